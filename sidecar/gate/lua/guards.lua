-- What must hold beside room at the places.  A guard is a table of functions, under the word that its terms begin with:
--
--   refuses(c, id, terms)           nothing, or why the call may not go now: { patience_ms, said... }; it may be asked again
--                                   for patience_ms, in which what it waits for may come to be (0: asking again is no use)
--   granted(c, id, terms)           the call goes; may keep what it found in terms, until the call is settled
--   settled(c, id, terms, ending, changed, note)   it ended: answer, done, free, not_sent, unknown; with the status of
--                                   the answer, or partial, where there was one and somebody knows it
--   repeated(c, id, terms)          the call does not go, since a twin did it
--
-- Every one may be left out.  `not_sent` comes too where a grant is given back or lapses unused, and `unknown` where its
-- owner died; a late settle then says what was true after all.
local GUARD = {} -- each in a block of its own: a function of Lua has room for 200 locals
do
  --- @include "guard_hold"
end
do
  --- @include "guard_seen"
end
do
  --- @include "guard_end"
end
do
  --- @include "guard_order"
end
do
  --- @include "guard_budget"
end
do
  --- @include "guard_approval"
end

local function guards_of(c)
  return c[GUARDS] ~= "" and cjson.decode(c[GUARDS]) or {}
end

-- The first guard that says no, by its number from 0, and what it says.
local function guarded(c, id)
  for n, terms in ipairs(guards_of(c)) do
    local refuses = GUARD[terms[1]].refuses
    local no = refuses and refuses(c, id, terms)
    if no then
      return { n - 1, unpack(no) }
    end
  end
end

guards_granted = function(c, id)
  local guards = guards_of(c)
  for _, terms in ipairs(guards) do
    local granted = GUARD[terms[1]].granted
    if granted then
      granted(c, id, terms)
    end
  end
  c[GUARDS] = #guards > 0 and cjson.encode(guards) or ""
end

local function guards_settled(c, id, ending, changed, note)
  for _, terms in ipairs(guards_of(c)) do
    local settled = GUARD[terms[1]].settled
    if settled then
      settled(c, id, terms, ending, changed, note)
    end
  end
end

local function guards_repeated(c, id)
  for _, terms in ipairs(guards_of(c)) do
    local repeated = GUARD[terms[1]].repeated
    if repeated then
      repeated(c, id, terms)
    end
  end
end
