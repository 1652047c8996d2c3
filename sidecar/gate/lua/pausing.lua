-- The beginning and the end of a pause.  Sidecars hear of both, for calls that would not ask the store otherwise.
local FIRST_MS, LONGEST_MS, KEEP_MS = 1000, 3600000, 7200000

-- Nobody goes there for `asked` ms; for twice as long as the last time, at least, where the probe failed.
local function shut(place, asked, failed)
  local ends, failures = pause_of(place)
  failures = (failures or 0) + (failed and 1 or 0)
  if failed then
    asked = math.max(asked, FIRST_MS * 2 ^ failures)
  end
  ends = math.max(ends or 0, now + math.min(asked, LONGEST_MS))
  call("HSET", P .. "paused", place, string.format("%d %d", ends, failures))
  call("PEXPIRE", P .. "paused", KEEP_MS)
  call("ZADD", P .. "due", ends, "d:" .. place)
  call("PUBLISH", P .. "paused", place)
  return ends
end

local function reopen(place)
  call("HDEL", P .. "paused", place)
  call("PUBLISH", P .. "paused", "open:" .. string.sub(place, 7))
end

-- What a probe's ending means.  Only after the pause: a probe that was turned away has begun another one.
local function probed(place, went_well)
  local ends = pause_of(place)
  if ends and ends <= now and went_well then
    reopen(place)
  elseif ends and ends <= now then
    shut(place, 0, true)
  end
end
