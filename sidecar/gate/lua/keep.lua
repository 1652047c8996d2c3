--[[
  keep -- runs go on, between their calls.

  Each lock that they hold is kept for one lease from now, and no longer than its idle time allows.

  KEYS[1]   cell   prefix of every key, with the hash tag: sc1:{cell}:

  ARGV[1]   now    ms; "" asks the server (only tests pass a number)
  ARGV[2]   lease  ms from now that this word is good for
  ARGV[3..] runs   name and quiet of each: ms since its last call ended; 0 while one is under way

  Returns {more, word...}: 1 while something is due: sweep; and one word for each run
    held  it holds something
    gone  it holds nothing any more
]]
--- @include "prelude"
--- @include "holders"
--- @include "grant"
--- @include "calls"
--- @include "release"
--- @include "record"
--- @include "lapse"

local lease, words = tonumber(ARGV[2]), {}

local function keep_run(run, quiet)
  local word = "gone"
  for _, lock in ipairs(locks_of(run)) do
    local place, idle, ends = unpack(lock)
    local ms = math.min(lease, idle - quiet)
    if ends > now then
      word = "held"
      if now + ms > ends then
        keep_lock(run, place, ms)
      end
    end
  end
  return word
end

sweep(16)
for i = 3, #ARGV, 2 do
  words[#words + 1] = keep_run(ARGV[i], tonumber(ARGV[i + 1]))
end
return { more, unpack(words) }
