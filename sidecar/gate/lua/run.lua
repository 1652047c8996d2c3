-- Which run a call belongs to, as a name that no call has: it may stand among the holders of a lock.
local RUN_MARK = 126 -- ~

-- Nothing where the call does not say.
local function run_of(c)
  local run, workflow, tenant = string.match(c[ABOUT], "^([^\n]+)\n([^\n]*)\n[^\n]*\n[^\n]*\n[^\n]*\n([^\n]*)")
  return run and "~" .. redis.sha1hex(tenant .. "\n" .. workflow .. "\n" .. run)
end
