--[[
  runs -- what runs hold between their calls, for people.  Changes nothing.

  KEYS[1]  cell   prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now    ms; "" asks the server (only tests pass a number)
  ARGV[2]  count  how many runs at most

  Returns {word, item...}
    runs    run about lock left_ms lock left_ms ...
]]
--- @include "prelude"
--- @include "calls"
--- @include "release"
--- @include "holding"

local items = { "runs" }
local named = call("SSCAN", P .. "runs", 0, "COUNT", ARGV[2])[2]
for n = 1, math.min(#named, ARGV[2]) do
  local item = { named[n], call("HGET", P .. "r:" .. named[n], "about") or "" }
  for _, lock in ipairs(locks_of(named[n])) do
    if lock[3] > now then
      item[#item + 1], item[#item + 2] = lock[1], lock[3] - now
    end
  end
  items[#items + 1] = #item > 2 and item or nil
end
return items
