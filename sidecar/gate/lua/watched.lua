-- Who changed an entity, for runs that have read it.
--
-- A run that reads an entity has seen it as it was when the read was granted, or later.  So of a change that was settled
-- before that the run has seen the effect, and of every other one it is not known.  Both are told by the cell's fence: a
-- read has a fence of its own, a change is stamped with the last one given when it was settled.
--
-- The stamps stand in the version of the entity, and only where somebody reads it that way: the last change, and the last
-- one by another run than that, so that a run's own changes hide nobody else's.
--- @include "run"
local STAMP, AT, BY, WHO = 1, 2, 3, 4

-- `watched` with one more change, by `c`.
local function stamped(watched, c)
  local last, other = unpack(cmsgpack.unpack(watched))
  local change = { tonumber(call("GET", P .. "fence")), now, run_of(c) or "", string.match(c[ABOUT], "^[^\n]*\n[^\n]*") or "" }
  if last and last[BY] ~= change[BY] then
    other = last
  end
  return cmsgpack.pack({ change, other })
end

-- The last change by anybody but `run`.
local function changed_by_other(watched, run)
  local last, other = unpack(cmsgpack.unpack(watched))
  if last and last[BY] == run then
    return other
  end
  return last
end
