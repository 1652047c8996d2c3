-- The sum of a budget: what is reserved and what is used, each in buckets of a sixtieth of the window.
--
-- One hash, b:<name>: r<n> and u<n> of each bucket, r and u of all, and `first`, the oldest bucket in them.
local BUCKETS = 60

-- As text; a zero has no sign, which the server would not take.
local function whole(number)
  return string.format("%.0f", number == 0 and 0 or number)
end

local function bucket_of(b, at)
  return math.floor(at / b.width)
end

-- budget name amount limit window decimals about, and the bucket where its call was granted
local function budget_of(terms)
  local window = tonumber(terms[5])
  return {
    name = terms[2] .. " " .. terms[5],
    amount = tonumber(terms[3]),
    limit = tonumber(terms[4]),
    window = window,
    width = window / BUCKETS,
    decimals = terms[6],
    about = terms[7],
    bucket = tonumber(terms[8]),
  }
end

local function put_in(b, kind, bucket, amount)
  local key = P .. "b:" .. b.name
  call("HINCRBY", key, kind .. whole(bucket), whole(amount))
  call("HINCRBY", key, kind, whole(amount))
end

-- Lets go of what is older than the window; the sum of the rest.
local function roll(b)
  local key = P .. "b:" .. b.name
  local oldest = bucket_of(b, now) - BUCKETS
  local first = tonumber(call("HGET", key, "first")) or oldest
  for bucket = first, oldest - 1 do
    for _, kind in ipairs({ "r", "u" }) do
      local gone = call("HGET", key, kind .. whole(bucket))
      if gone then
        call("HDEL", key, kind .. whole(bucket))
        call("HINCRBY", key, kind, whole(0 - gone))
      end
    end
  end
  if first < oldest then
    call("HSET", key, "first", whole(oldest))
  end
  local sums = call("HMGET", key, "r", "u")
  return (tonumber(sums[1]) or 0) + (tonumber(sums[2]) or 0)
end

-- ms until so much of the sum is older than the window.
local function room_in(b, wanted)
  local key, last = P .. "b:" .. b.name, bucket_of(b, now + b.window)
  for bucket = last - 2 * BUCKETS, last do
    local amounts = call("HMGET", key, "r" .. whole(bucket), "u" .. whole(bucket))
    wanted = wanted - (tonumber(amounts[1]) or 0) - (tonumber(amounts[2]) or 0)
    if wanted <= 0 then
      return math.ceil((bucket + BUCKETS + 1) * b.width) - now
    end
  end
  return b.window
end

-- When nothing that is counted now counts any more.
local function ends_of(b)
  return now + 2 * b.window + math.ceil(2 * b.width)
end

local function keep(b)
  call("PEXPIRE", P .. "b:" .. b.name, ends_of(b) - now)
end

-- Makes it known to people, until it is forgotten.
local function enlist(b)
  local key = P .. "b:" .. b.name
  call("HSET", key, "limit", whole(b.limit), "decimals", b.decimals, "about", b.about)
  call("HSETNX", key, "first", whole(bucket_of(b, now) - BUCKETS))
  keep(b)
  call("ZREMRANGEBYSCORE", P .. "budgets", "-inf", now)
  call("ZADD", P .. "budgets", ends_of(b), b.name)
  call("PEXPIRE", P .. "budgets", math.max(call("PTTL", P .. "budgets"), ends_of(b) - now))
end
