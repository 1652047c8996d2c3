--[[
  halt -- a person pauses a tool, a tenant, a workflow or a lane.

  All sidecars hear of it, on the connection that their grants come by: whoever is granted something after this reads it
  after the message, and gives it back.

  KEYS[1]  cell   prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now    ms; "" asks the server (only tests pass a number)
  ARGV[2]  place  what is paused: its kind and its name
  ARGV[3]  after  ms until it ends by itself; 0: it has no end
  ARGV[4]  said   what sidecars and people read; opaque here

  Returns {word, left_ms}; left_ms: -1 where it has no end
    halted  from now on, whatever was said of it before
]]
--- @include "prelude"
--- @include "halts"

local place, after, said = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local left = after > 0 and after or -1
call("HSET", P .. "halts", place, string.format("%d %d %s", after > 0 and now + after or 0, now, said))
prune_halts()
call("PUBLISH", P .. "paused", string.format("halt:%d 0 %s", left, said))
return { "halted", left }
