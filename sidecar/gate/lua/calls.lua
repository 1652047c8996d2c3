-- Looking up what is kept, and letting go of a call.
local function call_of(id)
  local value = call("GET", P .. "c:" .. id)
  return value and cmsgpack.unpack(value)
end

local function forget(id)
  call("ZREM", P .. "due", "c:" .. id)
  call("DEL", P .. "c:" .. id)
end

-- The record of an intent, and the answer that is stored behind it; nothing where there is none.
local function record_of(intent)
  local value = call("GET", P .. "i:" .. intent)
  if value then
    local offset, r = cmsgpack.unpack_one(value)
    return r, value, offset
  end
end
