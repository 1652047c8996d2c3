-- Why a call does not go now, in words that a refusal can use.

-- at (0: its intent, else 1 for its first place), how many stand before it, ms until the holder's time is up,
-- the holder's state, the holder's id and about.
local function blocked(c, id, at)
  local place = place_of(c, at)
  local holder, left
  if at == 0 then
    local value = call("GET", P .. "i:" .. c[INTENT])
    holder = value and cmsgpack.unpack_one(value) and select(2, cmsgpack.unpack_one(value))[R_OWNER]
    left = holder and (tonumber(call("ZSCORE", P .. "due", "c:" .. holder)) or now) - now or 0
  else
    local first = call("ZRANGE", P .. "h:" .. place, 0, 0, "WITHSCORES")
    holder, left = first[1], (tonumber(first[2]) or now) - now
  end
  local h = holder and call_of(holder)
  return { at == 0 and 0 or (at - PLACES) / 2 + 1, ahead(place, id), math.max(left, 0), h and h[STATE] or "", holder or "", h and h[ABOUT] or "" }
end
