--[[
  budgets -- what budgets hold, for people.  Changes nothing.

  KEYS[1]  cell   prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now    ms; "" asks the server (only tests pass a number)
  ARGV[2]  count  how many at most

  Returns {word, item...}
    budgets  name about window_ms limit decimals used reserved; all as text
]]
--- @include "prelude"
--- @include "budget"

local function sums_of(named)
  local name, window = string.match(named, "^(.*) (%d+)$")
  local b = budget_of({ "", name, "0", "0", window })
  local known = { r = 0, u = 0 }
  local entries = call("HGETALL", P .. "b:" .. named)
  for i = 1, #entries, 2 do
    local kind, bucket = string.match(entries[i], "^([ru])(%d+)$")
    if not kind and entries[i] ~= "r" and entries[i] ~= "u" then
      known[entries[i]] = entries[i + 1]
    elseif kind and tonumber(bucket) >= bucket_of(b, now) - BUCKETS then
      known[kind] = known[kind] + entries[i + 1]
    end
  end
  return { name, known.about or "", window, known.limit or "0", known.decimals or "0", whole(known.u), whole(known.r) }
end

local items = { "budgets" }
for _, named in ipairs(call("ZRANGEBYSCORE", P .. "budgets", "(" .. now, "+inf", "LIMIT", 0, ARGV[2])) do
  items[#items + 1] = sums_of(named)
end
return items
