-- What happens to those who are silent.  Every script looks at a few that are due before it does its own work, so
-- what the dead held is free the next time anybody asks, and a timer asks where nobody does.
--- @include "dispatch"

local function lapse(c, id)
  if c[STATE] == "waiting" then
    withdraw(c, id)
  elseif c[STATE] == "offered" then
    unspend(c, id)
    free(c, id, PLACES)
    guards_settled(c, id, "not_sent", false)
    undo(c)
    forget(id)
  elseif c[STATE] == "lapsed" and now < locks_end(c) then
    set_versions(c, c[FENCE], 0) -- until now its request may have been running, after others read
    for i = PLACES, caps_of(c) - 1, 2 do
      freed[#freed + 1] = c[i] -- for a re-send, the only one that may have them before a person says so
    end
    save(c, id, locks_end(c))
  elseif c[STATE] == "lapsed" then
    set_versions(c, c[FENCE], 0)
    free(c, id, PLACES)
    forget(id)
  else
    free(c, id, caps_of(c))
    doubt(c, id, "crash", 0, false)
    quarantine(c, id)
    guards_settled(c, id, "unknown", true)
  end
end

local function sweep(count)
  local due = call("ZRANGEBYSCORE", P .. "due", "-inf", now, "LIMIT", 0, count)
  for _, member in ipairs(due) do
    local kind, name = string.sub(member, 1, 2), string.sub(member, 3)
    local c = kind == "c:" and call_of(name)
    call("ZREM", P .. "due", member)
    if c then
      lapse(c, name)
    elseif kind == "r:" then
      lapse_run(name)
    elseif kind ~= "c:" then
      freed[#freed + 1] = name
    end
    dispatch()
  end
  if #due > 0 then
    more = 1 -- there may be more, and what lapsed may have made something else due
  end
end
