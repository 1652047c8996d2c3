--[[
  notice -- which question is to be announced next?

  Whoever asks has it for `claim` ms, and nobody else announces it meanwhile.  One that nobody reports as done is due
  again after that, so who dies over it costs no more than time; one that was answered is not announced any more.

  KEYS[1]  cell   prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now    ms; "" asks the server (only tests pass a number)
  ARGV[2]  claim  ms

  Returns {word, ...}
    notice   tries approval   to be announced, tried so often before; the approval as JSON
    nothing                   is due
]]
--- @include "prelude"
--- @include "approval"

for _, id in ipairs(call("ZRANGEBYSCORE", P .. "notices", "-inf", now, "LIMIT", 0, 16)) do
  local a = approval_of(id)
  if a and a.state == "pending" then
    local tries = a.tries or 0
    a.tries = tries + 1
    call("SET", P .. "ap:" .. id, cjson.encode(a), "KEEPTTL")
    call("ZADD", P .. "notices", string.format("%d", now + ARGV[2]), id)
    return { "notice", tries, cjson.encode(a) }
  end
  call("ZREM", P .. "notices", id)
end
return { "nothing" }
