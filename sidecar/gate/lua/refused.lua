-- Whether a call may go where others wait.
--- @include "paused"
--- @include "mins"
--- @include "line"
--- @include "holding"

local function stands(place)
  return call("EXISTS", P .. "l:" .. place) == 1
end

-- The limit of a place; what tickets bring may be older than a reload, so theirs is what the last who came there knew.
local function limit_of(c, i, at)
  local moves = moving(c[i], c[i + 1])
  if moves then
    return moves
  end
  local known = at and i >= caps_of(c) and call("GET", P .. "n:" .. c[i])
  return known or c[i + 1]
end

-- Whether the senior waits for what the call's own run holds.  Nothing is kept from such a call, or both would wait.
local function leads_senior(c)
  local oldest = runs_hold() and senior()
  for i = PLACES, oldest and caps_of(oldest) - 1 or 0, 2 do
    if run_at(oldest[i]) == run_of(c) then
      return true
    end
  end
  return false
end

-- The run that holds the place with index `i`, if not its own, where calls of that run wait: one of them may go.
local function rival(c, i)
  local run = i < caps_of(c) and run_at(c[i])
  return run and run ~= run_of(c) and call("EXISTS", P .. "o:" .. run) == 1 and run or nil
end

-- The index of the first place that refuses: full, or somebody waits there whom it may not pass, or its last slot is kept
-- for the senior.  `at` is the place where its turn has come, if it waits; 0 is its intent.  And who is owed a slot there,
-- if a min or another's run stands in the way.  A run passes whoever waits for what it holds.
local function refused(c, at, ghost)
  heed(c)
  if at ~= 0 and c[INTENT] ~= "" and stands("i:" .. c[INTENT]) then
    return 0
  end
  for i = PLACES, #c, 2 do
    local ours = is_own(c, i)
    local inherits = ours or ghost and call("ZSCORE", P .. "h:" .. c[i], ghost)
    local kept = not inherits and kept_from(c, c[i]) and not leads_senior(c) and 1 or 0
    local limit, own, other = limit_of(c, i, at)
    if not tonumber(limit) then
      limit, own, other = limit_by_mins(c, limit)
    end
    local passes = i == at or inherits or c == senior() or own and call("EXISTS", P .. "o:" .. own) == 0
    passes = passes or not stands(c[i]) or at and may_pass(c[i], c)
    if not passes or not room(c[i], limit - kept, ghost, ours) then
      expect(c[i], c[i + 1])
      return i, other or rival(c, i)
    end
  end
end
