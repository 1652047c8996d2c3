-- How many a place holds.  Mostly the claim says a number.  Where it says words, the limit moves:
--
--   auto 1 200        as many as the upstream takes well, from 1 to 200: see adapt
--   rate 100 10000 3  100 tokens in any 10 s; this call takes 3
--   pause             nobody while the upstream wants to be left alone, then one: see paused
--
-- A rate is a place whose holders are tokens, and a token lets go when its period is over, whatever became of the call.
-- So it promises what "100 per 10s" says, of every stretch of 10 s, and the 100 may come at once.  GCRA keeps one
-- instant instead of 100 tokens, but it lets 200 through in the 10 s after an idle time, or forbids the 100 at once.
--- @include "holders"
--- @include "release"
local START = 8 -- of a cap that finds its limit

local function words_of(terms)
  return string.match(terms, "^(%a+) ?(%d*) ?(%d*) ?(%d*)$")
end

-- What one call takes of the place.
local function cost_of(terms)
  local kind, _, _, cost = words_of(terms)
  return kind == "rate" and tonumber(cost) or 1
end

-- Until when the place is paused, and how often its probe has failed since; nothing where it is open.
local function pause_of(place)
  local value = call("HGET", P .. "paused", place)
  if value then
    local ends, failures = string.match(value, "^(%d+) (%d+)$")
    return tonumber(ends), tonumber(failures)
  end
end

-- The limit now, where it moves.
local function moving(place, terms)
  local kind, first, second, third = words_of(terms)
  if not kind then
    return nil
  elseif kind == "rate" then
    return first - third + 1
  elseif kind == "auto" then
    local learnt = call("GET", P .. "a:" .. place)
    local limit = learnt and cmsgpack.unpack(learnt).limit or START
    return math.min(math.max(limit, tonumber(first)), tonumber(second))
  end
  local ends = pause_of(place)
  return not ends and math.huge or ends > now and 0 or 1
end

-- When the call that has `ahead` others before it may have its turn at a place that opens by the clock, as far as can
-- be told; nothing where only a holder's end opens it.
local function opens(place, terms, ahead)
  local kind, count, period, cost = words_of(terms)
  if kind == "pause" then
    local ends = pause_of(place)
    return ends and ends > now and ends
  elseif kind == "rate" then
    local key = P .. "h:" .. place
    local held = call("ZCARD", key)
    local wanted = math.max(held + cost * (ahead + 1) - count, 1) - 1
    local periods = math.floor(wanted / count)
    local token = call("ZRANGE", key, wanted % count, wanted % count, "WITHSCORES")
    return (tonumber(token[2]) or now) + periods * period
  end
end

-- Whether it is time that opens it, and not a holder's end.
local function by_clock(terms)
  local kind = words_of(terms)
  return kind == "rate" or kind == "pause"
end

-- Somebody is refused at a place; where it opens by the clock it is due then.
local function expect(place, terms)
  local at = opens(place, terms, 0)
  if at and at > now then
    call("ZADD", P .. "due", at, "d:" .. place)
  end
end

-- Gives back the tokens of a call that sent nothing.
local function unspend(c, id)
  for i = caps_of(c), #c, 2 do
    for n = 1, cost_of(c[i + 1]) do
      call("ZREM", P .. "h:" .. c[i], id .. "#" .. n)
    end
  end
end
