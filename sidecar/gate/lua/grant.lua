-- Whether a call may go, and its going.  All of its places or none, so there is no order to deadlock on.

-- The owner of an earlier attempt that counts no more, since its request must be over.  Its locks stay for the one
-- call that may take them: a re-send, which so goes on where the attempt stood.
local function ghost_of(prior)
  return prior and now >= prior[R_DEADLINE] and prior[R_OWNER] or nil
end

-- How many a place holds at least, as far as its terms tell: of a rate, what leaves room for the call's tokens; of a cap
-- with mins, what leaves room for them all.
local function least_of(terms)
  local tokens, cost = string.match(terms, "^rate (%d+) %d+ (%d+)$")
  local limit = tokens and tokens - cost + 1 or tonumber(string.match(terms, "^%d+"))
  for slots in string.gmatch(limit and terms or "", " (%d+) [01] cap:") do
    limit = limit - slots
  end
  return limit
end

-- Whether there is surely room at all of its places.  Where it is close, and where a cap finds its limit, it takes a
-- closer look.
local function fits(c)
  for i = PLACES, #c, 2 do
    local limit = tonumber(c[i + 1]) or least_of(c[i + 1])
    if not limit or not room(c[i], limit) then
      return false
    end
  end
  return true
end

-- Tells the guards of a call that it goes; set where there may be any (see guards).
local guards_granted

-- Takes everything for `lease` ms, under the fence that the call has; `anew`: it has it already.
local function hold(c, id, state, lease, anew)
  c[STATE], c[DEADLINE] = state, now + c[TIMEOUT]
  take(c, id, lease, anew)
  save(c, id, now + lease)
end

-- Grants under a new fence what nothing refused.  `prior` is the unknown attempt that is run again, if one is.
local function grant(c, id, state, lease, prior)
  c[FENCE] = call("INCR", P .. "fence")
  local ghost = ghost_of(prior)
  for i = PLACES, ghost and #c or 0, 2 do
    call("ZREM", P .. "h:" .. c[i], ghost)
  end
  if prior then
    c[PRIOR] = cmsgpack.pack(prior)
    call("ZREM", P .. "unknown", c[INTENT])
  end
  if c[INTENT] ~= "" then
    local fingerprint = string.match(c[TERMS], "^%a+ %d+ %d %d+ %d+ (.*)$")
    call("SET", P .. "i:" .. c[INTENT], cmsgpack.pack({ "running", c[FENCE], fingerprint, 0, id }))
  end
  if c[GUARDS] ~= "" then
    guards_granted(c, id)
  end
  hold(c, id, state, lease)
end
