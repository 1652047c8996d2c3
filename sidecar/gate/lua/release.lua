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

-- Nobody speaks for it any more, or its outcome is unknown: its locks stay until its request must be over, and until
-- then its owner may still come back with the truth.
local function quarantine(c, id)
  c[STATE] = "lapsed"
  save(c, id, math.max(c[DEADLINE] - c[TIMEOUT] + c[HOLD], now))
end
