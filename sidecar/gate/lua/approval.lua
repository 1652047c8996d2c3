-- A question to people, and what became of it: JSON under ap:<id>, until `ends`.
--
--   pending --enough agree--> approved --a call goes--> used         (and back, if that call turns out to have done nothing)
--      \------one does not--> denied
--
-- Every state lasts for `ttl` from when it began, and then there was never a question.  The exact request points at its
-- latest question (aq:<bind>), so that a retry attaches; a question has an id of its own, so that who answers an old one
-- answers nothing else.  What is open counts for its run and its tenant (ao:<scope>).
local function approval_of(id)
  local value = call("GET", P .. "ap:" .. id)
  local a = value and cjson.decode(value)
  return a and a.ends > now and a or nil
end

local function outlive(key, ms)
  if call("PTTL", key) < ms then
    call("PEXPIRE", key, ms)
  end
end

local function keep_approval(a, state)
  local left = string.format("%d", a.ttl)
  a.state, a.ends = state, now + a.ttl
  call("SET", P .. "ap:" .. a.id, cjson.encode(a), "PX", left)
  call("SET", P .. "aq:" .. a.bind, a.id, "PX", left)
  call("ZADD", P .. "approvals", string.format("%d", a.ends), a.id)
  outlive(P .. "approvals", a.ttl)
end

-- It waits for nobody any more.
local function close_approval(a)
  for _, scope in ipairs(a.scopes) do
    call("ZREM", P .. "ao:" .. scope, a.id)
  end
  call("ZREM", P .. "notices", a.id)
end
