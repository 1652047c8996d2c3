--[[
  evict -- a person takes back what a call holds.

  What was sent cannot be called back, so the outcome of a call under way is unknown from now on, until its owner comes
  with the truth.  Of one that lapsed the quarantine ends.

  KEYS[1]  cell  prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now   ms; "" asks the server (only tests pass a number)
  ARGV[2]  call  the owner

  Returns {word, more}; more is 1 while something is due: sweep
    evicted
    gone     it holds nothing
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
if not c or c[STATE] == "waiting" then
  return { "gone", more }
elseif c[STATE] == "offered" then
  lapse(c, id)
else
  free(c, id, PLACES)
  local under_way = c[STATE] == "granted"
  if under_way then
    doubt(c, id, "released", 0)
  end
  c = { unpack(c, 1, PLACES - 1) } -- it has no places any more
  c[LOCKS], c[HOLD] = 0, c[TIMEOUT]
  quarantine(c, id)
  if under_way then
    guards_settled(c, id, "unknown", true)
  elseif c[DEADLINE] <= now then
    forget(id)
  end
end
dispatch()
return { "evicted", more }
