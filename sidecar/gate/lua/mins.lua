-- Slots that a `min` keeps: of a cap, for an owner (a lane or a tenant) that holds fewer than its min.
--
-- The limit of such a cap goes on after its number, "40 5 0 cap:lane:high_risk 3 1 cap:tenant:acme": how many slots,
-- whether they are lent, the place whose holders are the owner's.  What an owner holds less than its min it is owed:
--   to others it counts as taken; of one that lends, only as far as the owner's calls wait here, so that its slots work
--   for others while it has no use for them, and come back as calls end: no slot goes to anybody else until then
--   the owner itself may have it whatever others are owed, and waits behind its own calls only
-- The mins of a cap are no more than its limit, so what is owed can be given without taking from who holds.
--
-- o:<owner> is a ZSET by age of the owner's calls that stand at the cap.

local function holds(c, place)
  for i = caps_of(c), #c, 2 do
    if c[i] == place then
      return true
    end
  end
  return false
end

-- The limit of a cap for `c`; an owner of `c` that is owed a slot of it; another that is, and waits for it.
local function limit_by_mins(c, text)
  local limit, taken, own, other = tonumber(string.match(text, "^%d+")), 0, nil, nil
  for slots, lent, owner in string.gmatch(text, " (%d+) (%d) (%S+)") do
    local owed = slots - call("ZCOUNT", P .. "h:" .. owner, string.format("(%d", now), "+inf")
    if owed > 0 and holds(c, owner) then
      own = owner
    elseif owed > 0 then
      local waiting = call("ZCARD", P .. "o:" .. owner)
      other = other or waiting > 0 and owner or nil
      taken = taken + (lent == "1" and math.min(owed, waiting) or owed)
    end
  end
  if own then
    return limit, own
  end
  return limit - taken, nil, other
end

-- The owners of `c` that have a min at the place with index `at`.
local function owners_of(c, at)
  local owners = {}
  for owner in string.gmatch(at >= caps_of(c) and c[at + 1] or "", " %d+ %d (%S+)") do
    if holds(c, owner) then
      owners[#owners + 1] = owner
    end
  end
  return owners
end
