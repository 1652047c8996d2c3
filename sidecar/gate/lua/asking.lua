-- The one call that asks an upstream about an unknown outcome, and those who wait for what it hears.  Both are gone with
-- their time, so a call that dies asking leaves the outcome as unknown as it was.

-- Who asks, and for how long yet; nobody (an empty name) where one asked lately and could not tell.
local function asker_of(intent)
  local key = P .. "asker:" .. intent
  local id = call("GET", key)
  if id then
    return id, call("PTTL", key)
  end
end

-- It is known now, or another may ask: wakes who waits for that.
local function done_asking(intent)
  local key = P .. "curious:" .. intent
  for _, member in ipairs(call("SMEMBERS", key)) do
    local wake, id = string.match(member, "^(%S+) (.*)$")
    call("PUBLISH", P .. "wake:" .. wake, id)
  end
  call("DEL", key, P .. "asker:" .. intent)
end

-- The record of an intent, if its outcome is unknown.
local function unknown_of(intent)
  local r = record_of(intent)
  if r and r[R_WORD] == "unknown" and r[R_ENDS] > now then
    return r
  end
end
