--[[
  resume -- what a person paused goes on.

  KEYS[1]  cell   prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now    ms; "" asks the server (only tests pass a number)
  ARGV[2]  place  what was paused: its kind and its name

  Returns {word}
    resumed
    open     it was not paused
]]
--- @include "prelude"
--- @include "halts"

local place, known = ARGV[2], false
each_halt(function(halted)
  known = known or halted == place
end)
call("HDEL", P .. "halts", place)
prune_halts()
call("PUBLISH", P .. "paused", "resume:" .. place)
return { known and "resumed" or "open" }
