-- Whether a call may go, and its going.  All of its places or none, so there is no order to deadlock on.

local function stands(place)
  return redis.call("EXISTS", P .. "l:" .. place) == 1
end

-- The index of the first place that refuses: full, or somebody waits there already.  `at` is the place whose
-- line the call heads, if it heads one; 0 is its intent.
local function refused(c, at, ghost)
  local busy = redis.call("ZCARD", P .. "w") > 0
  if busy and at ~= 0 and c[INTENT] ~= "" and stands("i:" .. c[INTENT]) then
    return 0
  end
  for i = PLACES, #c, 2 do
    if not room(c[i], tonumber(c[i + 1]), ghost) or busy and i ~= at and stands(c[i]) then
      return i
    end
  end
end

-- The owner of an earlier attempt that counts no more: its request must be over.
local function ghost_of(prior)
  return prior and now >= prior[R_DEADLINE] and prior[R_OWNER] or nil
end

-- Takes everything for `lease` ms under a new fence.
local function grant(c, id, state, lease, prior)
  c[STATE], c[FENCE], c[DEADLINE] = state, redis.call("INCR", P .. "fence"), now + c[TIMEOUT]
  local ghost = ghost_of(prior)
  for i = PLACES, ghost and #c or 0, 2 do
    redis.call("ZREM", P .. "h:" .. c[i], ghost)
  end
  take(c, id, lease)
  if c[INTENT] ~= "" then
    if prior then
      c[PRIOR] = cmsgpack.pack(prior)
      redis.call("ZREM", P .. "unknown", c[INTENT])
    end
    local fingerprint = string.match(c[TERMS], "^%a+ %d+ %d %d+ %d+ (.*)$")
    redis.call("SET", P .. "i:" .. c[INTENT], cmsgpack.pack({ "running", c[FENCE], fingerprint, 0, id }))
  end
  save(c, id, now + lease)
end
