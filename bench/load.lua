-- The one load that every contender gets: a JSON POST of 500 bytes, each to a record of its own.
--
-- args: origin ("http://HOST:PORT" for a proxy, "" straight to the upstream), host, salt (8 characters, new for every
-- window), and "fresh" or "same" (the same call over and over: what a gate answers from its store).

local BODY_BYTES = 500

local before, middle, after, salt, fresh
local sent = 0

function init(args)
  local origin, host = args[1], args[2]
  salt, fresh = args[3], args[4] == "fresh"
  before = "POST " .. origin .. "/crm/items/"
  middle = " HTTP/1.1\r\nHost: " .. host
    .. "\r\nUser-Agent: agent/1.0\r\nAccept: application/json\r\nAuthorization: Bearer not-a-secret"
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. BODY_BYTES .. "\r\n\r\n{\"id\":\""
  after = "\",\"note\":\""
  after = after .. string.rep("x", BODY_BYTES - #"{\"id\":\"" - #salt - 8 - #after - #"\"}") .. "\"}"
end

function request()
  if fresh then sent = sent + 1 end
  local id = salt .. string.format("%08d", sent)
  return before .. id .. middle .. id .. after
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"calls":%d,"bytes":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
