-- What happens to those who are silent.  Every script looks at a few that are due before it does its own work, so
-- what the dead held is free the next time anybody asks, and a timer asks where nobody does.

local function lapse(c, id)
  if c[STATE] == "waiting" then
    exit(c, id)
    freed[#freed + 1] = place_of(c, c[AT])
    forget(id)
  elseif c[STATE] == "offered" then
    free(c, id, PLACES)
    undo(c)
    forget(id)
  else
    redis.call("ZREM", P .. "due", "c:" .. id)
    free(c, id, caps_of(c))
    doubt(c, id, c[FENCE], "crash", 0)
    quarantine(c, id)
  end
end

local function sweep(count)
  local due = redis.call("ZRANGEBYSCORE", P .. "due", "-inf", now, "LIMIT", 0, count)
  for _, member in ipairs(due) do
    local kind, name = string.sub(member, 1, 2), string.sub(member, 3)
    local c = kind == "c:" and call_of(name)
    if c then
      lapse(c, name)
    else
      redis.call("ZREM", P .. "due", member)
      freed[#freed + 1] = name
    end
    dispatch()
  end
  if #due == count then
    more = 1
  end
end
