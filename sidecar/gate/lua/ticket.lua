-- The waiting room: who waits, where, how deep it may get.
local TICKET_MS = 3000 -- a ticket whose sidecar says nothing for this long is gone; it says something every second

local function tenant_of(c)
  return string.match(c[FLOW], "^%d+ %d+ %d+ %d+ %S+ (.*)$")
end

-- The place a call stands at.  Index 0 is its own intent, which a twin is running.
local function place_of(c, at)
  return at == 0 and "i:" .. c[INTENT] or c[at]
end

-- The wall that is met, if any: "tenant" or "total".
local function crowded(c)
  local tenant_depth, total_depth = string.match(c[FLOW], "^(%d+) (%d+) ")
  if call("ZCARD", P .. "w:" .. tenant_of(c)) >= tonumber(tenant_depth) then
    return "tenant"
  elseif call("ZCARD", P .. "w") >= tonumber(total_depth) then
    return "total"
  end
end

-- Stands in line; a re-send stands where the attempt did that it repeats.
local function enter(c, id, at, prior)
  c[STATE], c[AT], c[AGE] = "waiting", at, prior and prior[R_FENCE] or call("INCR", P .. "fence")
  call("ZADD", P .. "w", c[AGE], id)
  call("ZADD", P .. "w:" .. tenant_of(c), c[AGE], id)
  join(place_of(c, at), c, id)
  save(c, id, now + TICKET_MS)
end

local function move(c, id, at)
  quit(place_of(c, c[AT]), c, id)
  c[AT] = at
  join(place_of(c, at), c, id)
  call("SET", P .. "c:" .. id, cmsgpack.pack(c))
end

-- Out of the line and of the room; the call itself is the caller's to keep or forget.
local function exit(c, id)
  quit(place_of(c, c[AT]), c, id)
  call("ZREM", P .. "w", id)
  call("ZREM", P .. "w:" .. tenant_of(c), id)
end
