-- The walls of the waiting room: so many of a tenant, so many in all, and no longer than a caller's patience.
--
-- A wait is too long if those before it, at the pace that they go at now, would outlast its patience.  A twin's is not,
-- since all twins are answered at once.

-- The wall that is met, if any, and ms until it may be worth asking again.
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

-- Whether the place is known to open after the caller's patience only: then it is told when, and does not wait.
local function hopeless(c, id, at)
  local opens_at = at > 0 and opens(c[at], c[at + 1], ahead(c[at], c, id))
  local patience = string.match(c[FLOW], "^%d+ %d+ (%d+)")
  return opens_at and opens_at - now > tonumber(patience)
end
