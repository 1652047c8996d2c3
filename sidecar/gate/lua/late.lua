-- Whether the truth still counts when it comes after the lease.
--- @include "changed"

-- Whether a lapsed call is still the last that held its entities and tried its intent.
local function undisputed(c, id)
  for i = PLACES, PLACES + 2 * c[LOCKS] - 1, 2 do
    redis.call("ZREMRANGEBYSCORE", P .. "h:" .. c[i], "-inf", now)
    local holder = redis.call("ZRANGE", P .. "h:" .. c[i], 0, 0)[1]
    if holder and holder ~= id then
      return false
    end
  end
  local value = c[INTENT] ~= "" and redis.call("GET", P .. "i:" .. c[INTENT])
  local r = value and select(2, cmsgpack.unpack_one(value))
  return (c[INTENT] == "" or r and r[R_OWNER] == id) and not changed_since(c, c[FENCE])
end
