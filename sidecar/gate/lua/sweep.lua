--[[
  sweep -- the dead give up what they held, and what was freed finds its next holder.

  KEYS[1]  cell  prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]  now   ms; "" asks the server (only tests pass a number)

  Returns {word, more, due_ms}; more is 1 while something is due: sweep again; due_ms: until something is (-1: nothing is)
    swept
]]
--- @include "prelude"
--- @include "holders"
--- @include "grant"
--- @include "calls"
--- @include "release"
--- @include "record"
--- @include "lapse"

sweep(16)
local first = call("ZRANGE", P .. "due", 0, 0, "WITHSCORES")[2]
return { "swept", more, first and math.max(first - now, 0) or -1 }
