--[[
  leave -- it will not go after all.

  Out of the line, or gives back a grant that was not used.  Only for a call whose request never began.

  KEYS[1]  cell  prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now   ms; "" asks the server (only tests pass a number)
  ARGV[2]  call  who leaves

  Returns {word, more}; more is 1 while something is due: sweep
    left
    gone   nothing known of this call
]]
--- @include "prelude"
--- @include "holders"
--- @include "grant"
--- @include "calls"
--- @include "release"
--- @include "record"
--- @include "lapse"

sweep(4)
local id = ARGV[2]
local c = call_of(id)
if not c or c[STATE] == "lapsed" then
  return { "gone", more }
elseif c[STATE] == "waiting" then
  withdraw(c, id)
else
  unspend(c, id)
  free(c, id, PLACES)
  guards_settled(c, id, "not_sent", false)
  undo(c)
  forget(id)
end
dispatch()
return { "left", more }
