--[[
  unprobe -- it asks no more, and the outcome is as unknown as it was.

  KEYS[1]  cell    prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now     ms; "" asks the server (only tests pass a number)
  ARGV[2]  call    who asked
  ARGV[3]  intent  key of the record
  ARGV[4]  rest    ms in which nobody asks again, since it could not tell; 0: another may at once

  Returns {word}
    left
    gone  it was not the one that asks
]]
--- @include "prelude"
--- @include "calls"
--- @include "asking"

local intent, rest = ARGV[3], tonumber(ARGV[4])
if asker_of(intent) ~= ARGV[2] then
  return { "gone" }
end
done_asking(intent)
if rest > 0 and unknown_of(intent) then
  call("SET", P .. "asker:" .. intent, "", "PX", rest)
end
return { "left" }
