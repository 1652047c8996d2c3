-- Whether a call may go where others wait.
--- @include "paused"
--- @include "mins"
--- @include "line"

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

-- The index of the first place that refuses: full, or somebody waits there whom it may not pass, or its last slot is kept
-- for the senior.  `at` is the place where its turn has come, if it waits; 0 is its intent.  And who is owed a slot there,
-- if a min stands in the way.
local function refused(c, at, ghost)
  heed(c)
  if at ~= 0 and c[INTENT] ~= "" and stands("i:" .. c[INTENT]) then
    return 0
  end
  for i = PLACES, #c, 2 do
    local inherits = ghost and call("ZSCORE", P .. "h:" .. c[i], ghost)
    local kept = not inherits and kept_from(c, c[i]) and 1 or 0
    local limit, own, other = limit_of(c, i, at)
    if not tonumber(limit) then
      limit, own, other = limit_by_mins(c, limit)
    end
    local passes = i == at or inherits or c == senior() or own and call("EXISTS", P .. "o:" .. own) == 0
    passes = passes or not stands(c[i]) or at and may_pass(c[i], c)
    if not passes or not room(c[i], limit - kept, ghost) then
      expect(c[i], c[i + 1])
      return i, other
    end
  end
end
