-- Who waits, in no line, for an entity's step to end: each until its patience is over.
local function look_on(name, c, id, wait_ms)
  if wait_ms > 0 then
    local key = P .. "sw:" .. name
    call("ZREMRANGEBYSCORE", key, "-inf", now)
    call("ZADD", key, now + wait_ms, c[WAKE] .. " " .. id)
    call("PEXPIRE", key, wait_ms, "NX")
    call("PEXPIRE", key, wait_ms, "GT")
  end
end

local function wake_onlookers(name)
  for _, onlooker in ipairs(call("ZRANGEBYSCORE", P .. "sw:" .. name, "(" .. now, "+inf")) do
    local waker, id = string.match(onlooker, "^(%S+) (.*)$")
    call("PUBLISH", P .. "wake:" .. waker, id)
  end
  call("DEL", P .. "sw:" .. name)
end
