--[[
  end -- a run holds nothing any more, or not this lock.

  Its calls under way keep what they hold for themselves, until they are settled.

  KEYS[1]  cell   prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now    ms; "" asks the server (only tests pass a number)
  ARGV[2]  run    its name among holders
  ARGV[3]  place  the lock it lets go of; "" for all

  Returns {word, more, count}; more is 1 while something is due: sweep; count: of locks
    ended
]]
--- @include "prelude"
--- @include "holders"
--- @include "grant"
--- @include "calls"
--- @include "release"
--- @include "record"
--- @include "lapse"

sweep(4)
local count = end_run(ARGV[2], ARGV[3] ~= "" and ARGV[3])
dispatch()
return { "ended", more, count }
