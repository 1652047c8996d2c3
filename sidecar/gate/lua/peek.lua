--[[
  peek -- what there is, for people.  Changes nothing.

  KEYS[1]  cell   prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now    ms; "" asks the server (only tests pass a number)
  ARGV[2]  what   calls: what waits or holds; unknown: intents nobody can say the outcome of
  ARGV[3]  count  how many at most
  ARGV[4]  only   of unknown: this intent's; "" for all

  Returns {word, item...}
    calls    id state fence left_ms age at turn flow about intent locks place limit place limit ...
             turn: 1 for who heads the line that it stands in
    unknown  intent since_ms left_ms why owner about fence running_ms lock...
             running_ms: how long its request may still be running
]]
--- @include "prelude"
--- @include "calls"
--- @include "record"
--- @include "line"

local heads = {}
local function is_head(c, id)
  local place = c[AT] == 0 and "i:" .. c[INTENT] or c[c[AT]]
  heads[place] = heads[place] or head(place)
  return heads[place] == id and 1 or 0
end

local items = { ARGV[2] }
if ARGV[2] == "calls" then
  local due = call("ZRANGE", P .. "due", 0, ARGV[3] - 1, "WITHSCORES")
  for i = 1, #due, 2 do
    local id = string.match(due[i], "^c:(.*)$")
    local c = id and call_of(id)
    if c then
      local at = c[AT] == 0 and 0 or (c[AT] - PLACES) / 2 + 1
      local turn = c[STATE] == "waiting" and is_head(c, id) or 0
      local who = { id, c[STATE], c[FENCE], due[i + 1] - now, c[AGE], at, turn }
      who[8], who[9], who[10], who[11] = c[FLOW], c[ABOUT], c[INTENT], c[LOCKS]
      for place = PLACES, #c do
        who[#who + 1] = c[place]
      end
      items[#items + 1] = who
    end
  end
  return items
end
local only = (ARGV[4] or "") ~= "" and { ARGV[4] }
for _, intent in ipairs(only or call("ZRANGEBYSCORE", P .. "unknown", "(" .. now, "+inf", "LIMIT", 0, ARGV[3])) do
  local r = record_of(intent)
  if r and r[R_WORD] == "unknown" and r[R_ENDS] > now then
    local item = { intent, now - r[R_SINCE], r[R_ENDS] - now, r[R_WHY], r[R_OWNER], r[R_ABOUT], r[R_FENCE] }
    item[8] = math.max(r[R_DEADLINE] - now, 0)
    for i = PLACES, #r[R_CALL], 2 do
      item[#item + 1] = r[R_CALL][i]
    end
    items[#items + 1] = item
  end
end
return items
