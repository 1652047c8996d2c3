-- Looking a call up, and letting go of it.
local function call_of(id)
  local value = call("GET", P .. "c:" .. id)
  return value and cmsgpack.unpack(value)
end

local function forget(id)
  call("ZREM", P .. "due", "c:" .. id)
  call("DEL", P .. "c:" .. id)
end
