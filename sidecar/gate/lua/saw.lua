--[[
  saw -- somebody asked the tool which state an entity is in.

  Taken only where nobody has seen it: what a step set here is known better.

  KEYS[1]  cell    prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now     ms; "" asks the server (only tests pass a number)
  ARGV[2]  entity  its name, safe in a key
  ARGV[3]  state   what the tool said
  ARGV[4]  ttl     ms that this counts

  Returns {word}
    taken
    known  it has a state already, or a step is on its way
]]
--- @include "prelude"
--- @include "calls"
--- @include "entity"

local e = entity_of(ARGV[2])
if e.state ~= "" or e.step then
  return { "known" }
end
e.state, e.at, e.about, e.ends = ARGV[3], now, "", now + ARGV[4]
save_entity(ARGV[2], e)
return { "taken" }
