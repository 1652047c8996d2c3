-- What an ending teaches the places whose limit moves.  The call has let go of its slots already.
--- @include "limit"
--- @include "adapt"
--- @include "pausing"

local function learn(c, id, ending)
  local sent = ending ~= "not_sent"
  if not sent then
    unspend(c, id)
  end
  for i = caps_of(c), #c, 2 do
    local kind = words_of(c[i + 1])
    if kind == "auto" and sent then
      adapt(c, i, ending == "unknown" and "failed" or "well")
    elseif kind == "pause" then
      probed(c[i], sent and ending ~= "unknown")
    end
  end
end
