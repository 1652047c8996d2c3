--[[
  approvals -- the questions to people that are not forgotten yet; changes nothing.

  KEYS[1]  cell      prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now       ms; "" asks the server (only tests pass a number)
  ARGV[2]  approval  this one; "" for all
  ARGV[3]  count     how many at most, the latest to end first

  Returns {word, now, approval...}; each approval as JSON
    listed
]]
--- @include "prelude"
--- @include "approval"

local items = { "listed", now }
local ids = { ARGV[2] }
if ARGV[2] == "" then
  ids = call("ZREVRANGEBYSCORE", P .. "approvals", "+inf", "(" .. now, "LIMIT", 0, ARGV[3])
end
for _, id in ipairs(ids) do
  local a = approval_of(id)
  items[#items + 1] = a and cjson.encode(a) or nil
end
return items
