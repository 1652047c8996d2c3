--[[
  renew -- one sidecar's calls are alive.

  KEYS[1]    cell   prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]    now    ms; "" asks the server (only tests pass a number)
  ARGV[2..]  calls  leases to prolong, never past their deadline, and tickets to keep in line

  Returns {due_ms, more, word...}: ms until something is due (-1: nothing is); 1 while something is due now: sweep;
  and one word for each call
    held     prolonged
    offered  its turn has come: ask again
    waiting  keeps its place
    gone     unknown here: lapsed, answered, or never asked
]]
--- @include "prelude"
--- @include "holders"
--- @include "grant"
--- @include "calls"
--- @include "release"
--- @include "record"
--- @include "lapse"

local function renew(id)
  local c = call_of(id)
  if not c or c[STATE] == "lapsed" then
    return "gone"
  elseif c[STATE] == "waiting" then
    call("ZADD", P .. "due", now + TICKET_MS, "c:" .. id)
    return "waiting"
  elseif c[STATE] == "offered" then
    return "offered"
  end
  local ends = math.min(now + c[LEASE], c[DEADLINE])
  call("ZADD", P .. "due", ends, "c:" .. id)
  for i = caps_of(c), #c, 2 do
    if words_of(c[i + 1]) ~= "rate" then
      call("ZADD", P .. "h:" .. c[i], ends, id)
    end
  end
  return "held"
end

sweep(16)
local words = {}
for i = 2, #ARGV do
  words[i - 1] = renew(ARGV[i])
end
local first = call("ZRANGE", P .. "due", 0, 0, "WITHSCORES")[2]
return { first and math.max(first - now, 0) or -1, more, unpack(words) }
