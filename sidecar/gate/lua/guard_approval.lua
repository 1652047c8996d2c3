-- People agreed to exactly this request, for one use.  Terms:
--   request hold_ms ttl_ms approvers tenant_scope run_scope per_run per_tenant effect announced seen
-- The call that uses it adds its question's id.
--- @include "approval"
local MOST_NOTICES = 10000

-- What the approval is bound to.  Another intent of the same request has another one.
local function bind_of(c, terms)
  return redis.sha1hex(terms[2] .. " " .. c[INTENT])
end

local function latest(bind)
  local id = call("GET", P .. "aq:" .. bind)
  return id and approval_of(id)
end

-- Nothing, or whose questions are too many, and how many that is.
local function too_many(terms)
  for n, whose in ipairs({ "tenant", "run" }) do
    local key, most = P .. "ao:" .. terms[5 + n], terms[10 - n]
    if terms[5 + n] ~= "" and call("ZCOUNT", key, "(" .. now, "+inf") >= most then
      return whose, most
    end
  end
end

local function announce(id, ttl)
  call("ZREMRANGEBYRANK", P .. "notices", 0, -MOST_NOTICES)
  call("ZADD", P .. "notices", now, id)
  outlive(P .. "notices", ttl)
end

local function open_approval(c, id, terms, bind)
  local a = { bind = bind, opened = now, ttl = terms[4], needs = terms[5], about = c[ABOUT], call = id, seen = terms[12] }
  a.id = string.sub(redis.sha1hex(bind .. " " .. id .. " " .. now), 1, 20)
  a.scopes = terms[7] ~= "" and { terms[6], terms[7] } or { terms[6] }
  keep_approval(a, "pending")
  for _, scope in ipairs(a.scopes) do
    call("ZREMRANGEBYSCORE", P .. "ao:" .. scope, "-inf", now)
    call("ZADD", P .. "ao:" .. scope, string.format("%d", a.ends), a.id)
    outlive(P .. "ao:" .. scope, a.ttl)
  end
  call("ZREMRANGEBYSCORE", P .. "approvals", "-inf", now)
  if terms[11] then
    announce(a.id, a.ttl)
  end
  return a
end

-- The approval let the attempt go whose outcome is unknown, and this call ends that attempt: the record lets only such
-- through.
local function ends_it(c, a)
  local r = c[INTENT] ~= "" and record_of(c[INTENT])
  return r and r[R_WORD] == "unknown" and r[R_ORIGIN] == a.used
end

GUARD.approval = {
  refuses = function(c, id, terms)
    if terms[4] == 0 then
      return { 0, "would" }
    end
    local bind = bind_of(c, terms)
    local a = latest(bind)
    if a and (a.state == "approved" or a.state == "used" and ends_it(c, a)) then
      return nil
    elseif a and a.state == "denied" then
      return { 0, "denied", a.id, a.said[#a.said].by, a.said[#a.said].why }
    elseif not a or a.state == "used" then
      local whose, most = too_many(terms)
      if whose then
        return { 0, "many", whose, most }
      end
      a = open_approval(c, id, terms, bind)
    end
    return { terms[3], "pending", a.id, a.ends - now, a.needs - #(a.said or {}) }
  end,

  granted = function(c, id, terms)
    local a = latest(bind_of(c, terms))
    if a.state == "approved" then
      a.used = id
      keep_approval(a, "used")
    end
    terms[13] = a.id
  end,

  settled = function(_, id, terms, ending, changed)
    local a = terms[13] and approval_of(terms[13])
    local nothing = ending == "not_sent" or ending == "free" and terms[10] and not changed
    if nothing and a and a.used == id and call("GET", P .. "aq:" .. a.bind) == a.id then
      a.used = nil
      keep_approval(a, "approved")
    end
  end,
}
