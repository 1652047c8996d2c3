-- Who holds a place.  A lock, a cap and a rate are the same thing: a set of holders, each with an instant at which it
-- counts no more, and a limit.  Never a counter: what a dead holder held frees itself.
--
-- A cap is held for as long as the lease, a lock for as long as the request may still be running (its deadline, or
-- the record's retention where only a person may free it), a token of a rate for its period.  So a lease that lapses
-- leaves its locks in quarantine without anybody doing anything.

-- Whether one more fits.  The dead are pruned only where they would stand in the way.
-- `ghost`, if given, is the earlier attempt of the same intent, which does not count.  Nor does the run of the call that
-- asks, where `own` says that it is among the holders.
local function room(place, limit, ghost, own)
  local key = P .. "h:" .. place
  local held = call("ZCARD", key)
  if held < limit then
    return true
  end
  held = held - call("ZREMRANGEBYSCORE", key, "-inf", now)
  if ghost and call("ZSCORE", key, ghost) then
    held = held - 1
  end
  if own then
    held = held - 1
  end
  return held < limit
end

-- Takes the tokens of a rate, for its period from now.
local function spend(place, id, terms)
  local period, cost = string.match(terms, "^rate %d+ (%d+) (%d+)$")
  local key, ends = P .. "h:" .. place, string.format("%d", now + period)
  call("ZREMRANGEBYSCORE", key, "-inf", now)
  for n = 1, cost do
    call("ZADD", key, ends, id .. "#" .. n)
  end
  call("PEXPIRE", key, period + 60000) -- an idle rate leaves nothing behind
end

-- Holds every place: locks until `hold` from now, caps for `lease`; tokens for their period from the grant, and no longer
-- though it be held anew.
local function take(c, id, lease, anew)
  local caps = PLACES + 2 * c[LOCKS]
  -- As text, once: the server prints every number it is given, slowly.
  local locks_end, caps_end = string.format("%d", now + c[HOLD]), string.format("%d", now + lease)
  for i = PLACES, #c, 2 do
    if string.byte(c[i + 1]) ~= 114 then -- r for rate: see limit
      call("ZADD", P .. "h:" .. c[i], i < caps and locks_end or caps_end, id)
    elseif not anew then
      spend(c[i], id, c[i + 1])
    end
  end
end
