--[[
  decide -- a person says yes or no to a call that waits for one.

  The first answer counts: one no is enough, a yes counts once for each name, and what is decided stays decided.  Said
  again by the same person, it is answered as the first time, so that a lost reply costs nothing.

  KEYS[1]  cell      prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now       ms; "" asks the server (only tests pass a number)
  ARGV[2]  approval  the question
  ARGV[3]  verdict   approve, deny
  ARGV[4]  by        who says so
  ARGV[5]  name      the same, in the one spelling by which names are compared
  ARGV[6]  why       for the log, and of a no for the agent

  Returns {word, approval}; the approval as JSON, where there is one
    approved  enough people agree, and the call may go
    pending   so far not enough do
    denied    it may not
    decided   somebody else was first, and said otherwise
    asker     whose call it is does not decide
    gone      no such question, or it is over
]]
--- @include "prelude"
--- @include "approval"

local a, verdict, by, name = approval_of(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
if not a then
  return { "gone" }
end

local run, workflow, tenant = string.match(a.about, "^(.*)\n(.*)\n.*\n.*\n.*\n(.*)$")
if name == string.lower(run) or name == string.lower(workflow) or name == string.lower(tenant) then
  return { "asker", cjson.encode(a) }
end

local said, before = a.said or {}, nil
for i, one in ipairs(said) do
  before = one.name == name and i or before
end
if a.state ~= "pending" then
  local same = before and said[before].verdict == verdict and (a.state == "denied") == (verdict == "deny")
  return { same and (verdict == "deny" and "denied" or "approved") or "decided", cjson.encode(a) }
end
if not before or verdict == "deny" then
  said[#said + 1] = { by = by, name = name, verdict = verdict, why = ARGV[6], at = now }
  a.said = said
end
if verdict == "deny" then
  keep_approval(a, "denied")
elseif #said >= a.needs then
  keep_approval(a, "approved")
else
  call("SET", P .. "ap:" .. a.id, cjson.encode(a), "KEEPTTL")
  return { "pending", cjson.encode(a) }
end
close_approval(a)
return { a.state == "denied" and "denied" or "approved", cjson.encode(a) }
