-- The cell's senior: the one ticket for which what it needs is kept.
--
-- A ticket that needs several places moves from line to line while others, who need less, are served: each such move is a
-- bypass.  After BYPASSES of them it is an elder, and the oldest elder is the senior.  It stands in no line; one
-- slot of each place it needs is kept for it as it frees up, and it is tried when the place that refused it last is
-- freed.  So it waits at most about the longest hold of each, and since there is one at a time, no two can deadlock.
--
-- It is passed over only when its flow's turn has come and goes by, and what it gets in the end its flow pays for.  So
-- seniority moves turns and adds none: an elder whose flow has had more than a turn too many at one of its places is
-- none until it is passed over again, or who floods, whose tickets are the oldest, would be served by age.
--
-- Nothing is kept of a rate or a pause, which only time opens, nor for a ticket that waits for one.
--
-- elders is a ZSET of ids by age; the senior's score is 0, below every age.
--- @include "limit"
local BYPASSES = 4
local elder, elder_id, needs
local looked = false

local function remember(c, id)
  elder, elder_id, needs = c, id, {}
  for i = PLACES, c and #c or 0, 2 do
    needs[c[i]] = not by_clock(c[i + 1])
  end
end

-- The senior and its id.
local function senior()
  if not looked then
    looked = true
    local id, score = unpack(call("ZRANGE", P .. "elders", 0, 0, "WITHSCORES"))
    if id and tonumber(score) == 0 then
      remember(call_of(id), id)
    end
  end
  return elder, elder_id
end

-- Whether one slot of a place is kept from `c`.
local function kept_from(c, place)
  local oldest = senior()
  return oldest and oldest ~= c and needs[place] or false
end

-- It is no elder any more; if it was the senior, which it answers, what was kept for it is free.
local function retire(c, id)
  local was = senior() and elder_id == id
  call("ZREM", P .. "elders", id)
  for i = PLACES, was and #c or 0, 2 do
    freed[#freed + 1] = needs[c[i]] and c[i] or nil
  end
  if was then
    remember(nil, nil)
  end
  return was
end
