--[[
  noticed -- a question was announced, or is to be tried again later.

  KEYS[1]  cell      prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now       ms; "" asks the server (only tests pass a number)
  ARGV[2]  approval  the question
  ARGV[3]  again     ms until it is tried again; 0: it arrived

  Returns {word}
    noted
]]
--- @include "prelude"

local key, again = P .. "notices", tonumber(ARGV[3])
if again == 0 then
  call("ZREM", key, ARGV[2])
else
  call("ZADD", key, "XX", string.format("%d", now + again), ARGV[2])
end
return { "noted" }
