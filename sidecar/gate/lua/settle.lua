--[[
  settle -- this is what became of it.

  Writes the record, lets go of everything, hands it to whoever waits.  A lease that lapsed may still be settled with
  the truth while its locks are in quarantine, since nobody else could touch its entities, and unless its intent was
  run again: the fence still matches.

  KEYS[1]   cell     prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]   now      ms; "" asks the server (only tests pass a number)
  ARGV[2]   call     the owner
  ARGV[3]   fence    of the grant
  ARGV[4]   ending   answer: it happened, and a twin gets the answer; done: it happened; free: no twin meets it
                     not_sent: nothing left; unknown: it may have happened
  ARGV[5]   changed  1: the entities may differ now
  ARGV[6]   over     0: the request may still be running, so its locks stay
  ARGV[7]   note     answer, done, free: the status, or partial; unknown: why
  ARGV[8]   retain   ms an unknown record lives; 0: as the claim said
  ARGV[9]   answer   opaque here; "" unless ending is answer

  Returns {word, more}; more is 1 while something is due: sweep
    settled
    late               accepted, though the lease had lapsed
    lost               refused: the lease had lapsed and its intent was run again since
    gone               nothing known of this call: settled before, given up, or never granted
]]
--- @include "prelude"
--- @include "calls"
--- @include "release"
--- @include "record"
--- @include "awaited"

local id, ending, changed, over = ARGV[2], ARGV[4], ARGV[5] == "1", ARGV[6] == "1"
local c = call_of(id)
if not c or tostring(c[FENCE]) ~= ARGV[3] or c[STATE] == "waiting" then
  return { "gone", 0 }
end
local late = c[STATE] == "lapsed"
if late and c[INTENT] ~= "" then
  local r = record_of(c[INTENT])
  if not r or r[R_OWNER] ~= id then
    return { "lost", 0 }
  end
  call("ZREM", P .. "unknown", c[INTENT])
end

local stays = ending == "unknown" and (not over or c[HOLD] ~= c[TIMEOUT])
forget(id)
free(c, id, stays and caps_of(c) or PLACES)
if ending == "not_sent" or ending == "free" then
  undo(c)
  if ending == "free" and changed then
    set_versions(c, c[FENCE], 0)
  end
elseif ending == "unknown" then
  doubt(c, id, ARGV[7], tonumber(ARGV[8]), over)
else
  complete(c, changed, ending == "answer" and "completed" or "done", ARGV[7], ARGV[9])
end
if stays then
  quarantine(c, id)
end

-- Limits that move are words: the first cap's, and those that come last.  They learn from every ending, rates only from
-- one that sent nothing.
local learns, last = string.find(c[caps_of(c) + 1] or "", "^auto"), #c
while last > PLACES and string.find(c[last], "^%a") do
  learns = learns or ending == "not_sent" or string.sub(c[last], 1, 4) ~= "rate"
  last = last - 2
end
local word = late and "late" or "settled"
if not learns and c[GUARDS] == "" and not awaited(freed, 1, #freed, 1) then
  return { word, 0 }
end
-- A function of its own, for a script pays for every name it may need.
local function hand_on()
  --- @include "holders"
  --- @include "grant"
  --- @include "lapse"
  --- @include "learn"
  guards_settled(c, id, ending, changed, ARGV[7])
  if learns then
    learn(c, id, ending)
  end
  dispatch()
  sweep(4)
  return { word, more }
end
return hand_on()
