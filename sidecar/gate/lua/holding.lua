-- Locks that a run holds, also between its calls.
--
-- In a lock's set of holders the run is one more, beside the call of its own that is under way: to other runs the lock is
-- full, whether their calls would hold it for themselves or for their run, and to the run's calls its own name does not
-- count, so that they exclude each other and nobody else.  Its score is when it lapses: one lease from the last word of a
-- sidecar that serves the run, and no later than its idle time allows.
--
-- r:<run> is a hash: under `about` who it is, and each lock it holds with the ms it keeps it while it calls nobody.  It is
-- due when the first of its locks lapses.  `runs` names all that hold something: where it is missing, nobody looks.
-- o:<run> has the run's calls that wait, by age: they go before whoever waits for the run.
--- @include "run"
local holding

local function runs_hold()
  holding = holding or call("EXISTS", P .. "runs")
  return holding == 1
end

-- The run that holds a lock; nothing where none does.
local function run_at(place)
  if not runs_hold() then
    return nil
  end
  for _, member in ipairs(call("ZRANGEBYSCORE", P .. "h:" .. place, string.format("(%d", now), "+inf")) do
    if string.byte(member) == RUN_MARK then
      return member
    end
  end
end

-- Whether the call's own run holds the place with index `i`.
local function is_own(c, i)
  local run = i < caps_of(c) and run_at(c[i])
  return run and run == run_of(c) or false
end

local function keep_lock(run, place, ms)
  local ends = string.format("%d", now + ms)
  call("ZADD", P .. "h:" .. place, ends, run)
  call("ZADD", P .. "due", "LT", ends, "r:" .. run)
end

local function take_lock(run, c, place, idle, lease)
  holding = 1
  call("HSET", P .. "r:" .. run, "about", c[ABOUT], place, idle)
  call("SADD", P .. "runs", run)
  keep_lock(run, place, lease)
end

-- The locks of a run, each with its idle time and with when it lapses.
local function locks_of(run)
  local locks, fields = {}, call("HGETALL", P .. "r:" .. run)
  for i = 1, #fields, 2 do
    if fields[i] ~= "about" then
      local ends = call("ZSCORE", P .. "h:" .. fields[i], run)
      locks[#locks + 1] = { fields[i], tonumber(fields[i + 1]), tonumber(ends) or 0 }
    end
  end
  return locks
end

local function let_go(run, place)
  call("ZREM", P .. "h:" .. place, run)
  freed[#freed + 1] = place
  call("HDEL", P .. "r:" .. run, place)
  if call("HLEN", P .. "r:" .. run) <= 1 then
    call("DEL", P .. "r:" .. run)
    call("SREM", P .. "runs", run)
    call("ZREM", P .. "due", "r:" .. run)
  end
end

-- Lets go of everything, or of the one lock.  Of how many.
local function end_run(run, only)
  local count = 0
  for _, lock in ipairs(run and locks_of(run) or {}) do
    if not only or lock[1] == only then
      let_go(run, lock[1])
      count = count + 1
    end
  end
  return count
end

-- What nobody keeps any more is free.
local function lapse_run(run)
  for _, lock in ipairs(locks_of(run)) do
    if lock[3] <= now then
      let_go(run, lock[1])
    else
      call("ZADD", P .. "due", "LT", string.format("%d", lock[3]), "r:" .. run)
    end
  end
end
