-- Letting go of places, and remembering which may have room now.
local freed = {}

-- The first place index that is no lock.
local function caps_of(c)
  return PLACES + 2 * c[LOCKS]
end

local function free(c, id, from)
  for i = from, #c, 2 do
    redis.call("ZREM", P .. "h:" .. c[i], id)
    freed[#freed + 1] = c[i]
  end
end

-- Keeps the locks of a call that is gone, each until its own score, and has a sweep look at them then.
local function quarantine(c, id)
  for i = PLACES, caps_of(c) - 1, 2 do
    local ends = redis.call("ZSCORE", P .. "h:" .. c[i], id)
    if ends then
      redis.call("ZADD", P .. "due", ends, "q:" .. c[i])
    end
  end
  c[STATE] = "lapsed"
  redis.call("SET", P .. "c:" .. id, cmsgpack.pack(c), "PX", math.max(tonumber(c[HOLD]), tonumber(c[TIMEOUT])))
end
