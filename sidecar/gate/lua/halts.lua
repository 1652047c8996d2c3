-- What people paused: a tool, a tenant, a workflow or a lane, until somebody resumes it or its time is over.
--
-- No place, no line and no probe: sidecars keep what is paused from asking, since they must do so for calls that never
-- ask, and while they cannot ask. This is what they all know it from.
--
-- One hash; an entry says when it ends (0: when somebody says so), when it began, and what people read.

-- Each entry that has not ended: what(place, left_ms, since_ms, said); left is -1 where it has no end.
local function each_halt(what)
  local entries = call("HGETALL", P .. "halts")
  for i = 1, #entries, 2 do
    local ends, began, said = string.match(entries[i + 1], "^(%d+) (%d+) (.*)$")
    if ends == "0" or tonumber(ends) > now then
      what(entries[i], ends == "0" and -1 or ends - now, now - began, said)
    end
  end
end

-- Forgets what has ended; and all of it when the last has, unless one has no end.
local function prune_halts()
  local entries, last = call("HGETALL", P .. "halts"), 0
  for i = 1, #entries, 2 do
    local ends = tonumber(string.match(entries[i + 1], "^%d+"))
    if ends == 0 then
      last = math.huge
    elseif ends <= now then
      call("HDEL", P .. "halts", entries[i])
    end
    last = math.max(last, ends)
  end
  if last == math.huge then
    call("PERSIST", P .. "halts")
  elseif last > now then
    call("PEXPIRE", P .. "halts", last - now)
  end
end
