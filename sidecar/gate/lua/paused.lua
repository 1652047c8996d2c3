-- An upstream that turned a call away is left alone by everybody, until a call went well again.
--
-- While its tool is paused a call needs one place more, `pause:<tool>`, last in order.  Nobody may hold it before the
-- time that the upstream asked for is over, and then one may: the probe.  If it goes well the pause is gone, and the
-- limit with it.  If not, the pause begins anew, and each time in a row is twice as long.  A probe that dies leaves its
-- place to the next, as every holder does.
--
-- One key says that anything is paused, so where nothing is nobody looks further.

--- @include "limit"
local anything

-- Puts the pause, if there is one, among what `c` needs.
local function heed(c)
  anything = anything or call("EXISTS", P .. "paused")
  if anything == 0 then
    return
  end
  local place = "pause:" .. string.match(c[ABOUT], "^[^\n]*\n[^\n]*\n([^\n]*)")
  if c[#c - 1] ~= place and pause_of(place) then
    c[#c + 1], c[#c + 2] = place, "pause"
  end
end
