-- Letting go of places, and remembering which may have room now.
local freed = {}

-- The first place index that is no lock.
local function caps_of(c)
  return PLACES + 2 * c[LOCKS]
end

local function free(c, id, from)
  for i = from, #c, 2 do
    call("ZREM", P .. "h:" .. c[i], id)
    freed[#freed + 1] = c[i]
  end
end

-- When the locks of a call are free, whatever became of it.
local function locks_end(c)
  return c[DEADLINE] - c[TIMEOUT] + c[HOLD]
end

-- Nobody speaks for it any more, or its outcome is unknown.  Its locks stay, and its owner may still come back with the
-- truth; it is due when its request must be over, and again when its locks end.
local function quarantine(c, id)
  c[STATE] = "lapsed"
  save(c, id, c[DEADLINE] > now and c[DEADLINE] or math.max(locks_end(c), now))
end
