-- Runs that would wait for each other for ever.
--
-- A call's locks are taken all or none, so calls never do.  But a run goes on holding while its next call waits, and then
-- who waits for whom may be a ring.  Whoever would close it is told so and does not wait.  The search is bounded: what it
-- misses ends with somebody's patience.
--- @include "holding"
local HOPS, LOOKS = 16, 64

-- Whether the calls that `run` waits with lead to `goal`; `path` is the way: place, run, place, run.
local leads

local function looks_on(c, run, goal, path, seen)
  for i = PLACES, caps_of(c) - 1, 2 do
    local holder = run_at(c[i])
    if holder and holder ~= run then
      path[#path + 1], path[#path + 2] = c[i], holder
      if holder == goal or leads(holder, goal, path, seen) then
        return true
      end
      path[#path], path[#path - 1] = nil, nil
    end
  end
  return false
end

leads = function(run, goal, path, seen)
  if seen[run] or #path >= 2 * HOPS then
    return false
  end
  seen[run] = true
  for _, id in ipairs(call("ZRANGE", P .. "o:" .. run, 0, -1)) do
    seen.looks = seen.looks + 1
    local c = seen.looks <= LOOKS and call_of(id)
    if c and looks_on(c, run, goal, path, seen) then
      return true
    end
  end
  return false
end

-- The ring that `c` would close by waiting: the lock it wants, the about of the run that holds it, the lock that run
-- waits for, and so on, to a lock that the run of `c` holds.
local function circle_of(c)
  local run = runs_hold() and run_of(c)
  local path = {}
  if not run or call("EXISTS", P .. "r:" .. run) == 0 or not looks_on(c, run, run, path, { looks = 0 }) then
    return nil
  end
  for i = 2, #path, 2 do
    path[i] = call("HGET", P .. "r:" .. path[i], "about") or ""
  end
  return path
end
