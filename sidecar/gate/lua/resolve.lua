--[[
  resolve -- evidence, or a person, says what an unknown attempt did.

  Applied: its record is completed, as if its answer had come.  Not applied: its intent is free.  Its locks go to
  whoever waits for them; but where it was not applied and its request may still be running, they stay until that must
  be over.  A late settle of it finds nothing, and changes nothing.

  KEYS[1]  cell    prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now     ms; "" asks the server (only tests pass a number)
  ARGV[2]  intent  key of the record
  ARGV[3]  fence   of the attempt that is spoken of; "" for whichever it is
  ARGV[4]  ending  answer: it was applied, and a twin gets the answer; done: it was applied; free: it was not
  ARGV[5]  note    done: the status
  ARGV[6]  answer  opaque here; "" unless ending is answer

  Returns {word, more, about}; more is 1 while something is due: sweep
    resolved
    gone      no unknown outcome of this intent, or of another attempt
]]
--- @include "prelude"
--- @include "calls"
--- @include "release"
--- @include "record"
--- @include "holders"
--- @include "grant"
--- @include "lapse"
--- @include "asking"

local intent, ending = ARGV[2], ARGV[4]
local r = unknown_of(intent)
if not r or ARGV[3] ~= "" and ARGV[3] ~= tostring(r[R_FENCE]) then
  return { "gone", 0, "" }
end
local c, owner = r[R_CALL], r[R_OWNER]
call("ZREM", P .. "unknown", intent)
if ending == "free" then
  undo(c)
else
  complete(c, true, ending == "answer" and "completed" or "done", ARGV[5], ARGV[6])
end
guards_settled(c, owner, ending, ending ~= "free")

local kept = call_of(owner)
if kept and ending == "free" and now < r[R_DEADLINE] then
  kept[HOLD] = kept[TIMEOUT]
  for i = PLACES, caps_of(kept) - 1, 2 do
    call("ZADD", P .. "h:" .. kept[i], "XX", kept[DEADLINE], owner)
  end
  save(kept, owner, kept[DEADLINE])
elseif kept then
  free(kept, owner, PLACES)
  forget(owner)
end
done_asking(intent)
dispatch()
sweep(4)
return { "resolved", more, r[R_ABOUT] }
