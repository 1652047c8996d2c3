-- The waiting room: who waits, where, and its walls.
local TICKET_MS = 3000 -- a ticket whose sidecar says nothing for this long is gone; it says something every second

-- The place a call stands at.  Index 0 is its own intent, which a twin is running.
local function place_of(c, at)
  return at == 0 and "i:" .. c[INTENT] or c[at]
end

local function tenant_of(c)
  local _, _, _, tenant = flow_of(c)
  return tenant
end

-- The wall that is met, if any, and ms until it may be worth asking again.  A wait is too long if those before it, at the
-- pace that they go at now, would outlast its patience; a twin's is not, since all twins are answered at once.
local function crowded(c, id, at)
  local tenant_depth, total_depth, patience = string.match(c[FLOW], "^(%d+) (%d+) (%d+)")
  local _, _, priority, tenant = flow_of(c)
  local turn = (pace_of(pace_key(place_of(c, at), priority, tenant)) or 0) / 1000
  if call("ZCARD", P .. "w:" .. tenant) >= tonumber(tenant_depth) then
    return "tenant", math.ceil(turn)
  elseif call("ZCARD", P .. "w") >= tonumber(total_depth) then
    return "total", math.ceil(turn)
  end
  local wait = at == 0 and 0 or turn * ahead(place_of(c, at), c, id)
  if wait > tonumber(patience) then
    return "time", math.ceil(wait - patience)
  end
end

-- Stands in line; a re-send stands where the attempt did that it repeats.  A limit that others did not know of yet
-- counts for all who wait, at once.
local function enter(c, id, at, prior)
  c[STATE], c[AT], c[AGE] = "waiting", at, prior and prior[R_FENCE] or call("INCR", P .. "fence")
  call("ZADD", P .. "w", c[AGE], id)
  call("ZADD", P .. "w:" .. tenant_of(c), c[AGE], id)
  join(place_of(c, at), c, id)
  save(c, id, now + TICKET_MS)
  local known = at >= caps_of(c) and call("SET", P .. "n:" .. c[at], c[at + 1], "GET")
  if known and known ~= c[at + 1] then
    freed[#freed + 1] = c[at]
  end
end

local function step_out(c, id)
  if c[BYPASSED] < BYPASSES or not retire(c, id) then
    quit(place_of(c, c[AT]), c, id)
  end
end

-- To the place that refused it now.  The senior only remembers which one that is, unless it has to wait for its twin.
local function move(c, id, at)
  if at > 0 and c == senior() then
    c[AT] = at
  else
    step_out(c, id)
    c[AT], c[BYPASSED] = at, c[BYPASSED] + math.min(at, 1)
    join(place_of(c, at), c, id)
    if at > 0 and c[BYPASSED] >= BYPASSES then
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
end

-- Waits no longer, without having got anything.
local function withdraw(c, id)
  exit(c, id)
  freed[#freed + 1] = place_of(c, c[AT])
  forget(id)
end

-- Makes the oldest elder the senior, where there is none.  Whether it did.
local function promote()
  local id = not senior() and call("ZRANGE", P .. "elders", 0, 0)[1]
  local c = id and call_of(id)
  if c then
    quit(place_of(c, c[AT]), c, id)
    call("ZADD", P .. "elders", 0, id)
    remember(c, id)
    freed[#freed + 1] = place_of(c, c[AT])
  elseif id then
    call("ZREM", P .. "elders", id)
  end
  return c
end
