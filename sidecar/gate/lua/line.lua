-- Who is next at a place.  The only file that knows about order.
--
-- Theory.  A line has two levels: priorities, in each the tenants, in each a FIFO by age.  On both levels the next flow
-- is the one with the least *pass*, and a turn moves its pass on by 1/weight: stride scheduling (Waldspurger 1995) with
-- the tags of start-time fair queueing (Goyal 1996).  A flow that begins to wait has the pass that its last turn left it,
-- its debt, or the pass that was served last, whichever is more.  So while two flows wait their grants are as their
-- weights, whoever floods; workflows, runs and keys are no flows, so splitting into them gains nothing; and of equal
-- flows it is not the one with the first name, nor the one that is back soonest, that gets more.
--
-- Unlike the textbook a grant needs several places at once.  Its flow is charged at every one of them where somebody
-- waits, whether it waits there itself or not, else who is served through other lines would ride free.  And a turn at
-- one place is good at the others, if there is room: it need not be the call's turn there, as long as its flow is no
-- more than one turn ahead.  Without that a slot of a narrow place is lost whenever a wide one frees up with it, for the
-- wide one's line takes that, and a ticket that needs two scarce places goes to and fro between their lines.  A head that
-- is refused elsewhere moves there with its age and is charged nothing (see senior for what that could cost it).
--
-- Bound.  While two flows wait at a place, their grants there over their weights, w and v, differ by at most 1/w + 1/v, as
-- in the textbook, and twice that where both may be a turn ahead.  Who begins to wait owing nothing sees every other flow
-- served at most twice before it, once by its pass and once ahead of it.
--
-- l:<place> is a level of priorities, l:<place> <priority> of tenants, l:<place> <priority> <tenant> a ZSET of ids by age.
-- Names have no space.
--- @include "pace"
--- @include "stride"

-- tenant_weight priority_weight priority tenant
local function flow_of(c)
  return string.match(c[FLOW], "^%d+ %d+ %d+ (%d+) (%d+) (%S+) (%S+)$")
end

local function tenant_of(c)
  local _, _, _, tenant = flow_of(c)
  return tenant
end

local function join(place, c, id)
  local _, _, priority, tenant = flow_of(c)
  local line = P .. "l:" .. place
  local tenants = line .. " " .. priority
  if call("EXISTS", tenants .. " " .. tenant) == 0 then
    begin(line, priority)
    begin(tenants, tenant)
    set_pace(pace_key(place, priority, tenant), 0)
  end
  call("ZADD", tenants .. " " .. tenant, c[AGE], id)
end

local function drop(place, priority, tenant, id)
  local line = P .. "l:" .. place
  local tenants = line .. " " .. priority
  local fifo = tenants .. " " .. tenant
  if call("ZREM", fifo, id) == 1 and call("EXISTS", fifo) == 0 then
    local key = pace_key(place, priority, tenant)
    call("DEL", key)
    if cease(tenants, tenant) and cease(line, priority) then
      call("DEL", P .. "n:" .. place)
    end
  end
end

local function quit(place, c, id)
  local _, _, priority, tenant = flow_of(c)
  drop(place, priority, tenant, id)
end

-- The id whose turn it is, its priority and its tenant.
local function head(place)
  local line = P .. "l:" .. place
  local priority = call("ZRANGE", line, 1, 1)[1]
  if priority then
    local tenant = call("ZRANGE", line .. " " .. priority, 1, 1)[1]
    return call("ZRANGE", line .. " " .. priority .. " " .. tenant, 0, 0)[1], priority, tenant
  end
end

local function pay_at(place, c, cost)
  local tenant_weight, priority_weight, priority, tenant = flow_of(c)
  local line = P .. "l:" .. place
  charge(line, priority, priority_weight / cost)
  charge(line .. " " .. priority, tenant, tenant_weight / cost)
end

-- Whether it is the turn of the call's flow, or would be after one more of its own; of the call itself, where none of its
-- flow is older.
local function flow_may_go(place, c)
  local tenant_weight, priority_weight, priority, tenant = flow_of(c)
  local line = P .. "l:" .. place
  return may_go(line, priority, priority_weight) and may_go(line .. " " .. priority, tenant, tenant_weight)
end

local function may_pass(place, c)
  local _, _, priority, tenant = flow_of(c)
  local fifo = P .. "l:" .. place .. " " .. priority .. " " .. tenant
  local oldest = call("ZRANGE", fifo, 0, 0, "WITHSCORES")[2]
  return (not oldest or tonumber(oldest) > c[AGE]) and flow_may_go(place, c)
end

-- A call goes: its flow pays wherever it waits, at a rate for each token that it takes.
local function pay(c)
  if c[AT] == 0 then
    pay_at("i:" .. c[INTENT], c, 1)
  end
  for i = PLACES, #c, 2 do
    pay_at(c[i], c, cost_of(c[i + 1]))
  end
end

-- How many of its flow stand before it, or would if it stood there.
local function ahead(place, c, id)
  local _, _, priority, tenant = flow_of(c)
  local fifo = P .. "l:" .. place .. " " .. priority .. " " .. tenant
  return call("ZRANK", fifo, id) or call("ZCARD", fifo)
end
