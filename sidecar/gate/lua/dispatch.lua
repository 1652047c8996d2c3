-- Direct hand-off: what was freed goes to the head of its line in the same step, so that no newcomer can slip in
-- between and no herd is woken.
--
-- The head of a freed place is tried against all it needs.  It is offered everything, or it moves, with its age, to
-- the place that refused it, and the next one is tried.  An offer is short: its asker takes it by asking again, and a
-- dead asker's offer lapses.  Between scripts, then, whoever stands at a place stands there because it is full.
--
-- Tries are bounded, so that a script stays short however many wait; what is left over is due at once, for the next
-- script or for the caller that is told `more`.
local OFFER_MS = 2000
local tries = 16
local more = 0

local function wake(c, id)
  call("PUBLISH", P .. "wake:" .. c[WAKE], id)
end

local function index_of(c, place)
  if place == "i:" .. c[INTENT] then
    return 0
  end
  for i = PLACES, #c, 2 do
    if c[i] == place then
      return i
    end
  end
end

-- Tries the head of a line.  Whether the next one is worth a try.
local function try(place, id)
  local c = call_of(id)
  if not c or c[STATE] ~= "waiting" then
    quit(place, c, id)
    return true
  end
  local word, prior = twin(c)
  if word and word ~= "running" then
    exit(c, id)
    forget(id)
    wake(c, id)
    return true
  end
  local at = index_of(c, place)
  local no = word and 0 or refused(c, at, ghost_of(prior))
  if no == at then
    return false
  elseif no then
    move(c, id, no)
  else
    exit(c, id)
    grant(c, id, "offered", OFFER_MS, prior)
    wake(c, id)
  end
  return true
end

local function dispatch()
  local i = 1
  while freed[i] do
    local id = head(freed[i])
    while id do
      if tries == 0 then
        more = 1
        call("ZADD", P .. "due", 0, "d:" .. freed[i])
        break
      end
      tries = tries - 1
      id = try(freed[i], id) and head(freed[i])
    end
    i = i + 1
  end
  freed = {}
end
