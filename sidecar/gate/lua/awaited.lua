-- Whether a line at one of these places, a senior or a pause may be in the way.  Most calls, also where many wait
-- elsewhere, meet nobody, and find out by one look.
local function awaited(places, from, to, step)
  if call("EXISTS", P .. "w", P .. "paused") == 0 then
    return false
  end
  local lines = {}
  for i = from, to, step do
    lines[#lines + 1] = P .. "l:" .. places[i]
  end
  return call("EXISTS", P .. "elders", P .. "paused", unpack(lines)) > 0
end
