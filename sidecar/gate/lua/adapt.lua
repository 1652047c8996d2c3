-- A cap that finds its limit: as many calls as the upstream takes before they queue there (AIMD, as TCP does it).
--
-- An upstream that works on C calls at once answers each in a time T.  Given more it queues them, and the time grows
-- with their number: n calls take T n/C.  So a limit L that keeps the time just above T is about C.  In rounds of L
-- answers (20 at least) L grows by one, if the cap was full, until the mean time of a round is over 1.5 T, or a tenth
-- of a round failed, or the upstream turned a call away.  Then L is halved: well below C, so that the first round after
-- it sees T without a queue.  T is measured there, each time anew.  It falls to what is seen at once and rises to it by
-- halves, so that an upstream that became slower for good is believed after a few rounds.  5 ms of queue are never
-- minded: below that the clock is too coarse.
--
-- One back-off a round trip: answers to calls that were granted before the last one say nothing new.
-- Bound: between 0.75 C and 1.5 C where the upstream is steady; never below the least or above the most that is written.
local ROUND, SLOW, FALL, SLACK_MS = 20, 1.5, 0.5, 5

local function back_off(s)
  s.limit, s.since, s.trough = math.floor(s.limit * FALL), now, 1
end

-- One answer: `how` is well, failed or full (it was turned away).
local function answered(s, how, took, crowded)
  local size = math.max(s.limit, ROUND)
  s.count, s.sum = s.count + 1, s.sum + took
  s.failed = s.failed + (how == "failed" and 1 or 0)
  s.crowded = crowded and 1 or s.crowded
  if how ~= "full" and s.failed * 10 < size and s.count < size then
    return
  end
  local mean = s.sum / s.count
  local failed = how == "full" or s.failed * 10 >= size
  if s.trough == 1 and not failed then
    s.base, s.trough = s.base == 0 and mean or math.min(mean, (s.base + mean) / 2), 0
  end
  if failed or mean > s.base * SLOW + SLACK_MS then
    back_off(s)
  else
    s.limit = s.limit + s.crowded
  end
  s.count, s.sum, s.failed, s.crowded = 0, 0, 0, 0
end

local function adapt(c, i, how)
  local key = P .. "a:" .. c[i]
  local _, least, most = words_of(c[i + 1])
  local granted = c[DEADLINE] - c[TIMEOUT]
  local s = call("GET", key)
  s = s and cmsgpack.unpack(s)
    or { since = 0, count = 0, sum = 0, failed = 0, crowded = 0, trough = 1, base = 0 }
  s.limit = moving(c[i], c[i + 1])
  if granted > s.since then
    answered(s, how, now - granted, call("ZCARD", P .. "h:" .. c[i]) + 1 >= s.limit)
    s.limit = math.min(math.max(s.limit, tonumber(least)), tonumber(most))
    call("SET", key, cmsgpack.pack(s), "PX", 86400000)
  end
end
