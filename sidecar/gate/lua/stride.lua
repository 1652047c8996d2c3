-- One level of a line: a ZSET of flows by pass.
--
-- The member "" is its clock, the pass that was served last: no pass is below it, and among equals it sorts first.  Passes
-- are whole numbers, so no share drifts.
local STRIDE = 720720 -- of weight 1; every weight up to 16 divides it

local function begin(level, flow, weight)
  if not call("ZSCORE", level, flow) then
    local clock = tonumber(call("ZSCORE", level, "") or 0)
    call("ZADD", level, clock, "", clock + math.floor(STRIDE / weight), flow)
  end
end

local function charge(level, flow, weight)
  local waits = call("ZSCORE", level, flow)
  if waits then
    call("ZADD", level, call("ZRANGE", level, 1, 1, "WITHSCORES")[2], "")
    call("ZINCRBY", level, math.floor(STRIDE / weight), flow)
  end
  return waits
end

-- Whether nobody is left.
local function cease(level, flow)
  call("ZREM", level, flow)
  return call("ZCARD", level) == 1 and call("DEL", level) == 1
end
