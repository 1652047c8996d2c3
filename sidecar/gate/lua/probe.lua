--[[
  probe -- may this call ask the upstream what became of an unknown attempt?

  One call asks at a time, across the fleet, for a bounded time; asked again by that call, it begins anew.

  KEYS[1]  cell    prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now     ms; "" asks the server (only tests pass a number)
  ARGV[2]  call    who would ask
  ARGV[3]  intent  key of the record
  ARGV[4]  hold    ms that it may take
  ARGV[5]  lag     ms after the attempt is over in which its effect may not show yet
  ARGV[6]  wake    whom to wake when it is known: channel sc1:{cell}:wake:<wake>

  Returns {word, fence, ms}
    mine    it may: the attempt's fence, and how long "not applied" comes too early
    theirs  another asks, for so long at most; it is told when that is done
    lately  another asked, could not tell, and nobody asks again for so long
    known   the outcome is not unknown any more, or never was
]]
--- @include "prelude"
--- @include "calls"
--- @include "asking"

local id, intent, hold = ARGV[2], ARGV[3], tonumber(ARGV[4])
local r = unknown_of(intent)
if not r then
  return { "known", 0, 0 }
end
local asker, left = asker_of(intent)
if asker == "" then
  return { "lately", r[R_FENCE], left }
elseif asker and asker ~= id then
  local key = P .. "curious:" .. intent
  call("SADD", key, ARGV[6] .. " " .. id)
  call("PEXPIRE", key, left + 60000)
  return { "theirs", r[R_FENCE], left }
end
call("SET", P .. "asker:" .. intent, id, "PX", hold)
return { "mine", r[R_FENCE], math.max(r[R_DEADLINE] + ARGV[5] - now, 0) }
