-- An entity, the state that it is in, and the step that leads to another one.
--
-- An entity is one map under s:<entity>: its state, since when, who set it and until when that is remembered; and the
-- step that leads to another state, if one is on its way.  At most one is, so that nobody passes by a state that is
-- about to end:
--
--   none --granted--> running --done, and well--> none, and the entity is in the state that it sets
--    ^                 |   \----any other end---> none, and the entity is in the state that it was in
--    |                 \-------unknown----------> unknown
--    \-- the truth came late, or somebody found it; its record is forgotten ---/
--
-- The retry of an unknown step may go on where it stood.  A step that requires nothing may go over an unknown one once
-- the request of that must be over: whatever it did, the state is then what this one sets.  If this one comes to
-- nothing, it is as unknown as before.
local function entity_of(name)
  local value = call("GET", P .. "s:" .. name)
  local e = value and cmsgpack.unpack(value) or { state = "", at = 0, about = "", ends = 0 }
  if e.ends <= now then
    e.state = ""
  end
  if e.step and e.step.ends <= now then
    e.step = nil
  elseif e.step and e.step.before and e.step.before.ends <= now then
    e.step.before = nil
  end
  return e
end

local function save_entity(name, e)
  local ends = math.max(e.state ~= "" and e.ends or 0, e.step and e.step.ends or 0)
  if ends > now then
    call("SET", P .. "s:" .. name, cmsgpack.pack(e), "PX", ends - now)
  else
    call("DEL", P .. "s:" .. name)
  end
end

-- What a state says to who requires one of `requires`: nothing, or why it may not go.
local function misses(e, requires, max_age, unseen)
  local state, age = e.state, now - e.at
  if state == "" then
    state, age = string.match(unseen, "^as (.*)$") or "", -1
    if state == "" then
      return unseen ~= "allow" and { 0, "unseen", age, state, "" } or nil
    end
  end
  for _, required in ipairs(requires) do
    if required == state then
      return max_age > 0 and age > max_age and { 0, "stale", age, state, e.about } or nil
    end
  end
  return { 0, "missing", age, state, e.about }
end

local function become(e, c, state, retention)
  e.state, e.at, e.about, e.ends = state, now, c[ABOUT], now + retention
  return e
end
