-- How fast a flow's FIFO moves at a place: us from one head to the next, averaged over the last few.
--
-- It is kept per flow, as long as the flow waits there: a share is what its own callers wait for, and a loud tenant's slow
-- line says nothing to others.  It starts at nothing, so a wait is refused for its length only after some of that length
-- was seen.

local function pace_key(place, priority, tenant)
  return P .. "m:" .. place .. " " .. priority .. " " .. tenant
end

-- us from head to head, and when the last one went.
local function pace_of(key)
  local kept = call("GET", key)
  if kept then
    local us, since = string.match(kept, "^(%d+) (%d+)$")
    return tonumber(us), tonumber(since)
  end
end

local function set_pace(key, us)
  call("SET", key, string.format("%d %d", us, now))
end

-- A head went just now.
local function step(key)
  local us, since = pace_of(key)
  if us then
    set_pace(key, math.floor((3 * us + 1000 * (now - since)) / 4))
  end
end
