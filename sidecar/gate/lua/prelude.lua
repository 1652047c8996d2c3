-- The cell, the clock, and what a call looks like while the store knows it.
--
-- A call is one array under c:<id>, as long as it waits, holds something, or may still come back with its answer:
--   offered   handed what it waits for; nothing was sent, and the offer ends unless its asker takes it
--   granted   its request may be on its way
--   waiting   in one line, holding nothing
--   lapsed    nobody renewed it; its locks stay until the request must be over
-- Its places are what it needs, in canonical order: locks, caps, rates, a pause, and of them first what fewest share.  So
-- calls that wait for one hot entity stand at that entity and not in front of everybody else's caps.
local P, call = KEYS[1], redis.call
local now = tonumber(ARGV[1])
if not now then
  local time = call("TIME")
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local STATE, FENCE, DEADLINE, AGE, AT, BYPASSED, PRIOR = 1, 2, 3, 4, 5, 6, 7
local LEASE, TIMEOUT, HOLD, WAKE, ABOUT, FLOW, INTENT, TERMS, GUARDS, LOCKS = 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
local PLACES = 18

-- A record is one array under i:<intent>.
local R_WORD, R_FENCE, R_FINGERPRINT, R_ENDS = 1, 2, 3, 4
local R_STATUS = 5 -- of one that is done
local R_OWNER, R_SINCE, R_WHY, R_DEADLINE, R_ABOUT, R_ORIGIN = 5, 6, 7, 8, 9, 10 -- of one that is running (owner) or unknown
local R_CALL = 11 -- of one that is unknown: the call without its caps, for when it is resolved

-- Keeps a call until `due`, when a sweep looks at it again.
local function save(c, id, due)
  call("SET", P .. "c:" .. id, cmsgpack.pack(c))
  call("ZADD", P .. "due", due, "c:" .. id)
end
