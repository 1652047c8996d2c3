-- Direct hand-off: what was freed goes to whose turn it is in the same step, so that no newcomer can slip in between and
-- no herd is woken.
--
-- The head of a freed place is tried against all it needs.  It is offered everything, or it moves, with its age, to
-- the place that refused it, and the next one is tried.  An offer is short: its asker takes it by asking again, and a
-- dead asker's offer lapses.  Between scripts, then, whoever stands at a place stands there because it is full, but
-- for what is kept for the senior.
--
-- Tries are bounded, so that a script stays short however many wait; what is left over is due at once, for the next
-- script or for the caller that is told `more`.
--- @include "twin"
--- @include "senior"
--- @include "refused"
--- @include "line"
--- @include "ticket"
--- @include "guards"
--- @include "promote"
--- @include "cycle"
local OFFER_MS = 2000
local tries = 16
local more = 0

local function wake(c, id)
  call("PUBLISH", P .. "wake:" .. c[WAKE], id)
end

-- Tries a ticket whose turn it is.  Whether the next one is worth a try; if not, the owner that is owed what it wanted.
local function try(c, id)
  local at = c[AT]
  local word, prior = twin(c)
  local over = word and word ~= "running" or not word and guarded(c, id)
  local no, owner = 0, nil
  if not word and not over then
    no, owner = refused(c, at, ghost_of(prior))
    over = no and circle_of(c)
  end
  if over then
    exit(c, id)
    forget(id)
    wake(c, id)
    return true
  end
  if no == at then
    return false, owner
  elseif no then
    move(c, id, no)
  else
    pay(c)
    exit(c, id)
    grant(c, id, "offered", OFFER_MS, prior)
    wake(c, id)
  end
  return true
end

-- Whose turn it is at a place, and the flow that it heads: the oldest call's of the run that holds it, the senior's, if
-- the place refused it last, else the oldest call's of the owner that is owed a slot, else the head's.
local function turn(place, owner)
  local c, id = senior()
  if c and place == place_of(c, c[AT]) and string.byte(owner or "") ~= RUN_MARK then
    return id, c
  elseif owner then
    return oldest_of(owner, place)
  end
  local priority, tenant
  id, priority, tenant = head(place)
  return id, id and call_of(id), priority, tenant
end

-- Gives one turn at a place.  Whether the next one is worth a try, and the owner whose turn it is, if it is an owner's.
local function give(place, id, c, priority, tenant)
  if not c or c[STATE] ~= "waiting" then
    drop(place, priority, tenant, id)
    return true
  end
  local gone, owner = try(c, id)
  if gone and priority then
    step(pace_key(place, priority, tenant))
  end
  return gone or owner, owner
end

-- As long as somebody fits.
local function drain(place)
  local next, owner = true, nil
  while next do
    local id, c, priority, tenant = turn(place, owner)
    if id and tries == 0 then
      more = 1
      call("ZADD", P .. "due", 0, "d:" .. place)
    end
    if not id or tries == 0 then
      return
    end
    tries = tries - 1
    next, owner = give(place, id, c, priority, tenant)
  end
end

local function dispatch()
  local i = 1
  while freed[i] or promote() do
    drain(freed[i])
    i = i + 1
  end
  freed = {}
end
