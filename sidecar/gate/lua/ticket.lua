-- The waiting room: who waits, and where.
local TICKET_MS = 3000 -- a ticket whose sidecar says nothing for this long is gone; it says something every second

-- The place a call stands at.  Index 0 is its own intent, which a twin is running.
local function place_of(c, at)
  return at == 0 and "i:" .. c[INTENT] or c[at]
end

local function stand(c, id, at)
  c[AT] = at
  join(place_of(c, at), c, id)
  for _, owner in ipairs(owners_of(c, at)) do
    call("ZADD", P .. "o:" .. owner, c[AGE], id)
  end
end

local function step_back(c, id)
  quit(place_of(c, c[AT]), c, id)
  for _, owner in ipairs(owners_of(c, c[AT])) do
    call("ZREM", P .. "o:" .. owner, id)
  end
end

-- The call that waits longest for what its owner is owed, or at a place for what its run holds, and its flow.
local function oldest_of(owner, place)
  local last = string.byte(owner) == RUN_MARK and 99 or 0
  for _, id in ipairs(call("ZRANGE", P .. "o:" .. owner, 0, last)) do
    local c = call_of(id)
    if c and (last == 0 or place_of(c, c[AT]) == place) then
      local _, _, priority, tenant = flow_of(c)
      return id, c, priority, tenant
    end
  end
end

-- Stands in line; a re-send stands where the attempt did that it repeats.  A limit that others did not know of yet
-- counts for all who wait, at once.
local function enter(c, id, at, prior)
  c[STATE], c[AGE] = "waiting", prior and prior[R_FENCE] or call("INCR", P .. "fence")
  call("ZADD", P .. "w", c[AGE], id)
  call("ZADD", P .. "w:" .. tenant_of(c), c[AGE], id)
  local run = run_of(c)
  if run then
    call("ZADD", P .. "o:" .. run, c[AGE], id)
  end
  stand(c, id, at)
  save(c, id, now + TICKET_MS)
  local known = at >= caps_of(c) and call("SET", P .. "n:" .. c[at], c[at + 1], "GET")
  if known and known ~= c[at + 1] then
    freed[#freed + 1] = c[at]
  end
end

local function step_out(c, id)
  if c[BYPASSED] < BYPASSES or not retire(c, id) then
    step_back(c, id)
  end
end

-- To the place that refused it now.  The senior only remembers which one that is; but nothing is kept for who waits for
-- its twin, for the time to pass or for a run to end, and that is no bypass.
local function move(c, id, at)
  local passed = at > 0 and not by_clock(c[at + 1]) and not (at < caps_of(c) and run_at(c[at]))
  if passed and c == senior() then
    c[AT] = at
  else
    step_out(c, id)
    c[BYPASSED] = c[BYPASSED] + (passed and 1 or 0)
    stand(c, id, at)
    if passed and c[BYPASSED] >= BYPASSES then
      call("ZADD", P .. "elders", c[AGE], id)
    end
  end
  call("SET", P .. "c:" .. id, cmsgpack.pack(c))
end

-- Out of the line and of the room; the call itself is the caller's to keep or forget.
local function exit(c, id)
  step_out(c, id)
  call("ZREM", P .. "w", id)
  call("ZREM", P .. "w:" .. tenant_of(c), id)
  local run = run_of(c)
  if run then
    call("ZREM", P .. "o:" .. run, id)
  end
end

-- Waits no longer, without having got anything.
local function withdraw(c, id)
  exit(c, id)
  freed[#freed + 1] = place_of(c, c[AT])
  forget(id)
end
