--[[
  pauses -- what is paused, for sidecars and for people.  Changes nothing.

  KEYS[1]  cell  prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now   ms; "" asks the server (only tests pass a number)

  Returns {word, item...}
    pauses   place left_ms since_ms said    by a person; left_ms: -1 where it has no end
             place left_ms failures         by an upstream, place: pause:<tool>; left_ms: 0 while one call tries
]]
--- @include "prelude"
--- @include "halts"

local items = { "pauses" }
each_halt(function(...)
  items[#items + 1] = { ... }
end)
local entries = call("HGETALL", P .. "paused")
for i = 1, #entries, 2 do
  local ends, failures = string.match(entries[i + 1], "^(%d+) (%d+)$")
  items[#items + 1] = { entries[i], math.max(ends - now, 0), tonumber(failures) }
end
return items
