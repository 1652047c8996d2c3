--[[
  pause -- an upstream turned a call away.

  Where it said for how long, its tool is left alone by everybody until then; where it did not, it is so only if the
  call was the probe of an earlier pause.

  KEYS[1]  cell   prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now    ms; "" asks the server (only tests pass a number)
  ARGV[2]  call   whom it turned away, before that call is settled; need not be known here
  ARGV[3]  tool   the tool's name
  ARGV[4]  asked  ms it asked for; 0 where it did not say

  Returns {word, left_ms}
    paused   for left_ms
    open     it is not
]]
--- @include "prelude"
--- @include "calls"
--- @include "learn"

local id, place, asked = ARGV[2], "pause:" .. ARGV[3], tonumber(ARGV[4])
local c = call_of(id)
for i = c and caps_of(c) or 1, c and #c or 0, 2 do
  if words_of(c[i + 1]) == "auto" then
    adapt(c, i, "full")
  end
end
local probe = call("ZSCORE", P .. "h:" .. place, id) and pause_of(place)
local ends = pause_of(place)
if asked > 0 or probe then
  ends = shut(place, asked, probe)
end
if not ends then
  return { "open", 0 }
end
return { "paused", math.max(ends - now, 0) }
