--[[
  admit -- may this call go now?

  Twin, locks, caps and line are decided in one step: asked in turn, a second caller slips between two answers.
  Asked again with the same call, it answers what it answered, so that a lost reply costs nothing.

  KEYS[1]     cell     prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]     now      ms; "" asks the server (only tests pass a number)
  ARGV[2]     call     unique per call, the same whenever it asks again
  ARGV[3]     mode     ask: first time, may wait; now: first time, will not wait
                       again: asked before; last: asked before, and will not wait any longer
  ARGV[4]     lease    ms a grant lives unless renewed
  ARGV[5]     timeout  ms after which the request is over for sure
  ARGV[6]     hold     ms the locks stay when nobody settles
  ARGV[7]     wake     whom to wake: channel sc1:{cell}:wake:<wake>
  ARGV[8]     about    run, workflow, tool and more, a line each, for others' refusals
  ARGV[9]     flow     tenant_depth total_depth patience_ms tenant_weight priority_weight priority tenant
  ARGV[10]    intent   key of the record; "" for none
  ARGV[11]    terms    until window_ms resend resend_ms unknown_ms fingerprint
  ARGV[12]    guards   JSON, a list of lists: the guard's word and its terms; "" for none
  ARGV[13]    locks    how many of the places are locks
  ARGV[14..]  places   name and limit of each: locks, then caps, then what moves its limit (see limit)

  Returns {word, ...}
    granted  fence origin                     go; settle, and renew before the lease runs out; origin: the call that
                                              first tried this intent, where an unknown attempt is run again
    completed  answer                         a twin did it, and this is the answer it got
    done     status                           a twin did it; its answer was not kept
    unknown  since_ms why about               a twin may have done it
    reused                                    same key, other request
    waiting  at ahead left_ms state holder about   stands in line; at: 0 its intent, else the nth place
    blocked  at ahead left_ms state holder about   the same, and does not stand in line
    guarded  nth patience_ms said...          the nth guard (from 0) says no, and why; it may be asked again for that long
    lapsed                                    it was granted, and asks again only after that grant lapsed
    deadlocked  lock about lock about...      it would wait for a run that waits for its own: each lock, and who holds it
    full     wall after_ms                    too many wait (tenant, total), or too long for its patience (time); when to
                                              ask again, at the pace they go at now (0: not known)
]]
--- @include "prelude"
--- @include "holders"
--- @include "grant"
--- @include "awaited"

local id, mode, lease = ARGV[2], ARGV[3], tonumber(ARGV[4])
local c = { "", 0, 0, 0, 0, 0, "", unpack(ARGV, 4) }
local fresh = mode == "ask" or mode == "now"
local news = c[INTENT] == "" or call("EXISTS", P .. "i:" .. c[INTENT]) == 0
if fresh and news and c[GUARDS] == "" and not awaited(c, PLACES, #c, 2) and fits(c) then
  grant(c, id, "granted", lease)
  return { "granted", c[FENCE], id }
end

-- Most calls are gone by now.  What is left is a function of its own, for a script pays for every name it may need.
local function go_on()
  --- @include "calls"
  --- @include "release"
  --- @include "record"
  --- @include "lapse"
  --- @include "blocked"
  --- @include "walls"

  sweep(4)
  local patient = mode == "ask" or mode == "again"
  local known = not fresh and call_of(id)
  local state = known and known[STATE]
  if state == "granted" or state == "offered" then
    hold(known, id, "granted", lease, true)
    return { "granted", known[FENCE], known[PRIOR] == "" and id or cmsgpack.unpack(known[PRIOR])[R_ORIGIN] }
  elseif state == "lapsed" then
    return { "lapsed" }
  end

  local word, r, answer = twin(c)
  local no = word == nil and guarded(c, id)
  local goes_on = (word == nil or word == "running") and not no
  if state == "waiting" then
    local why = blocked(known, id, known[AT])
    local circle = goes_on and patient and circle_of(known)
    if goes_on and patient and not circle then
      call("ZADD", P .. "due", now + TICKET_MS, "c:" .. id)
      return { "waiting", unpack(why) }
    end
    withdraw(known, id)
    dispatch()
    if circle then
      return { "deadlocked", unpack(circle) }
    elseif goes_on then
      return { "blocked", unpack(why) }
    end
  end
  if word == "completed" or word == "done" then
    guards_repeated(c, id)
    dispatch()
  end
  if word == "completed" then
    return { "completed", answer }
  elseif word == "done" then
    return { "done", r[R_STATUS] }
  elseif word == "unknown" then
    return { "unknown", now - r[R_SINCE], r[R_WHY], r[R_ABOUT] }
  elseif word == "reused" then
    return { "reused" }
  elseif no then
    return { "guarded", unpack(no) }
  end

  local at = word == "running" and 0 or refused(c, nil, ghost_of(r))
  if not at then
    grant(c, id, "granted", lease, r)
    return { "granted", c[FENCE], r and r[R_ORIGIN] or id }
  elseif not patient or hopeless(c, id, at) then
    return { "blocked", unpack(blocked(c, id, at)) }
  end
  local circle = at > 0 and circle_of(c)
  if circle then
    return { "deadlocked", unpack(circle) }
  end
  local wall, after = crowded(c, id, at)
  if wall then
    return { "full", wall, after }
  end
  enter(c, id, at, word == nil and r or nil)
  dispatch()
  return { "waiting", unpack(blocked(c, id, at)) }
end
return go_on()
