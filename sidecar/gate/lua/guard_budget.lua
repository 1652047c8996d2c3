-- A budget: amounts that calls name, summed over a window, and never more than a limit.
--
-- The window is cut into 60 buckets, so a budget is one small hash however many calls count in it. An amount counts
-- for the window and up to a bucket more, never less: so what is promised is promised of every stretch of the window,
-- and room comes a sixtieth of it late.
--
-- An amount is reserved when its call is granted, in the bucket of the call's deadline, since it may take effect until
-- then. The outcome makes it used, as of then, or gives it back. Of an unknown outcome it stays reserved, and is
-- remembered beside the intent: a re-send of that intent takes it over, since at most one of the two has had an effect.
--
-- Amounts travel as text and are summed by the server as 64 bit; Lua compares them, exactly below 2^53.
--- @include "budget_doubt"

GUARD.budget = {}

function GUARD.budget.refuses(c, _, terms)
  local b = budget_of(terms)
  if b.amount > b.limit then
    return { 0, "never", 0, 0 }
  end
  local sum = roll(b)
  local own = doubtful(b, c[INTENT])
  local left = b.limit - (sum - (own and own.amount or 0))
  if b.amount > left then
    return { 0, "full", math.max(left, 0), room_in(b, b.amount - left) }
  end
end

function GUARD.budget.granted(c, _, terms)
  local b = budget_of(terms)
  roll(b)
  local own = doubtful(b, c[INTENT])
  if own then
    take_out(b, own)
    call("HDEL", P .. "bu:" .. c[INTENT], b.name)
  end
  b.bucket = bucket_of(b, now + math.min(c[TIMEOUT], b.window))
  put_in(b, "r", b.bucket, b.amount)
  terms[8] = whole(b.bucket)
  enlist(b)
end

function GUARD.budget.settled(c, _, terms, ending, changed)
  local b = budget_of(terms)
  if ending == "unknown" or c[PRIOR] ~= "" and (ending == "not_sent" or ending == "free") then
    if c[INTENT] ~= "" then
      remember_doubt(b, c[INTENT])
    end
    return
  end
  call("HDEL", P .. "bu:" .. c[INTENT], b.name)
  roll(b)
  take_out(b, b)
  if changed and (ending == "answer" or ending == "done") then
    put_in(b, "u", bucket_of(b, now), b.amount)
    keep(b)
  end
end
