-- hold entity idle_ms lease_ms: the call's run holds the entity's lock with it, and goes on when the call has ended.
--- @include "holding"
GUARD.hold = {
  granted = function(c, _, terms)
    local run, place = run_of(c), "lock:" .. terms[2]
    terms[5] = run_at(place) ~= run -- whether it begins with this call
    take_lock(run, c, place, terms[3], terms[4])
  end,

  -- A call that sent nothing leaves the run as it was.  One that lapsed says nothing of its run: somebody else keeps it.
  settled = function(c, _, terms, ending)
    local run, place = run_of(c), "lock:" .. terms[2]
    if run_at(place) ~= run then
      return
    elseif ending == "not_sent" and terms[5] then
      let_go(run, place)
    elseif c[STATE] ~= "lapsed" then
      keep_lock(run, place, math.min(terms[3], terms[4]))
    end
  end,
}
