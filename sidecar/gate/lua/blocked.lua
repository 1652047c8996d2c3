-- Why a call does not go now, in words that a refusal can use.

-- at (0: its intent, else 1 for its first place), how many stand before it, ms until the holder's time is up,
-- the holder's state, the holder's id and about.
local function blocked(c, id, at)
  local place = place_of(c, at)
  local holder, ends, run
  if at == 0 then
    local r = record_of(c[INTENT])
    holder = r and r[R_OWNER] or ""
    ends = call("ZSCORE", P .. "due", "c:" .. holder)
  else
    holder, ends = unpack(call("ZRANGE", P .. "h:" .. place, 0, 0, "WITHSCORES"))
    run = at < caps_of(c) and run_at(place)
    if run and run ~= run_of(c) then
      holder, ends = run, call("ZSCORE", P .. "h:" .. place, run)
    elseif run then -- what it waits for is another call of its own run
      holder, ends = unpack(call("ZRANGE", P .. "h:" .. place, 0, 1, "WITHSCORES"), holder == run and 3 or 1)
    end
  end
  local opens_at = at ~= 0 and opens(place, c[at + 1], ahead(place, c, id))
  if opens_at then
    holder, ends = nil, opens_at
  end
  local h = holder and call_of(holder) or { [STATE] = "", [ABOUT] = "" }
  if holder and holder == run then
    h = { [STATE] = "held", [ABOUT] = call("HGET", P .. "r:" .. run, "about") or "" }
  end
  local _, oldest = senior()
  local number = at == 0 and 0 or (at - PLACES) / 2 + 1
  return { number, oldest == id and 0 or ahead(place, c, id), math.max((tonumber(ends) or now) - now, 0), h[STATE], holder or "", h[ABOUT] }
end
