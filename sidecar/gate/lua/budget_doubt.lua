-- What unknown outcomes keep reserved: bu:<intent>, of each budget the bucket and the amount.
--- @include "budget"

-- Takes back what was reserved in a bucket, as far as that still counts.
local function take_out(b, reserved)
  local held = tonumber(call("HGET", P .. "b:" .. b.name, "r" .. whole(reserved.bucket))) or 0
  if held > 0 then
    put_in(b, "r", reserved.bucket, -math.min(held, reserved.amount))
  end
end

-- What an unknown attempt of the intent has reserved: its bucket and amount.
local function doubtful(b, intent)
  local value = intent ~= "" and call("HGET", P .. "bu:" .. intent, b.name)
  if value then
    local bucket, amount = string.match(value, "^(%d+) (%d+)$")
    return bucket_of(b, now) - BUCKETS <= tonumber(bucket) and { bucket = tonumber(bucket), amount = tonumber(amount) } or nil
  end
end

local function remember_doubt(b, intent)
  local key = P .. "bu:" .. intent
  call("HSET", key, b.name, whole(b.bucket) .. " " .. whole(b.amount))
  call("PEXPIRE", key, math.max(call("PTTL", key), 2 * b.window + math.ceil(2 * b.width)))
end
