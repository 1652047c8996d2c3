-- One level of a line: a ZSET of flows by pass, and beside it one of debts.
--
-- The member "" is the clock, the pass that was served last: no pass is below it, and among equals it sorts first.
--
-- A debt is what a flow's pass became by a turn.  It outlives the flow's wait, and is all that there is of a flow that
-- took its turn without waiting here, until the clock has come up to it.  So what is kept is bounded by the turns of
-- one round.  Passes are whole numbers, so no share drifts.
local STRIDE = 720720 -- of weight 1; every weight up to 16 divides it
local DEBTS = " " -- ends their key: what stands below a level has a name there

local function clock_of(level)
  return tonumber(call("ZSCORE", level, "") or 0)
end

local function least_pass(level)
  return tonumber(call("ZRANGE", level, 1, 1, "WITHSCORES")[2])
end

-- What the flow has if it waits, or would begin with.
local function pass_of(level, flow)
  local pass = call("ZSCORE", level, flow)
  if pass then
    return tonumber(pass), true
  end
  return math.max(tonumber(call("ZSCORE", level .. DEBTS, flow) or 0), clock_of(level)), false
end

local function begin(level, flow)
  local pass, waits = pass_of(level, flow)
  if not waits then
    call("ZADD", level, clock_of(level), "", pass, flow)
  end
end

-- Whether it is the flow's turn, or would be after one more of its own.
local function may_go(level, flow, weight)
  local least = least_pass(level)
  return not least or pass_of(level, flow) <= least + math.floor(STRIDE / weight)
end

-- The flow takes a turn of that weight.
local function charge(level, flow, weight)
  local least = least_pass(level)
  if least then
    local pass, waits = pass_of(level, flow)
    pass = pass + math.floor(STRIDE / weight)
    call("ZADD", level, least, "")
    if waits then
      call("ZADD", level, pass, flow)
    end
    call("ZADD", level .. DEBTS, pass, flow)
    call("ZREMRANGEBYSCORE", level .. DEBTS, "-inf", least)
  end
end

-- Whether nobody is left.
local function cease(level, flow)
  call("ZREM", level, flow)
  return call("ZCARD", level) == 1 and call("DEL", level, level .. DEBTS) > 0
end
