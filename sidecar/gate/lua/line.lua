-- Who is next at a place.  The only file that knows about order.
--
-- Rule: first come, first served.  A ticket's age is the fence counter at its arrival and goes with it from line to line,
-- so a ticket that moves stands among those of its age.  Bound: at one place nobody is passed by a younger ticket,
-- except while it needs something else too and that was refused to it.

local function join(place, c, id)
  call("ZADD", P .. "l:" .. place, c[AGE], id)
end

local function quit(place, _, id)
  call("ZREM", P .. "l:" .. place, id)
end

local function head(place)
  return call("ZRANGE", P .. "l:" .. place, 0, 0)[1]
end

-- How many stand before it.
local function ahead(place, id)
  return call("ZRANK", P .. "l:" .. place, id) or call("ZCARD", P .. "l:" .. place)
end
