-- What a twin meets: one record per intent, and one version per entity.
--
--   running --completed--> completed | done      and gone once its window is over
--      |  \---not sent---> gone, or what it was before a resend
--      \------unknown----> unknown --resend--> running
--                              \-----resolve--> completed | done, or gone
--
-- `until: change`: the version of an entity is the fence of the last call that may have changed it, so a twin of an
-- earlier call is a duplicate only while no version is above that call's fence: A, B, A is three writes, A, A is one.
-- A version lives as long as the longest record that is compared with it; where none is, none is written.

--- @include "watched"

-- until, window_ms, resend, resend_ms, unknown_ms, fingerprint
local function terms_of(c)
  return string.match(c[TERMS], "^(%a+) (%d+) (%d) (%d+) (%d+) (.*)$")
end

local function version_of(place)
  local value = call("GET", P .. "v:" .. place)
  if not value then
    return nil, 0, ""
  end
  local fence, ends, watched = string.match(value, "^(%d+) (%d+) ?(.*)$")
  return tonumber(fence), tonumber(ends), watched
end

local function set_version(place, fence, ends, watched)
  local value = fence .. " " .. ends .. (watched ~= "" and " " .. watched or "")
  call("SET", P .. "v:" .. place, value, "PX", ends - now)
end

-- `fence` is the version now, or 0 where nothing changed but a record will be compared from now on for `keep` ms.
local function set_versions(c, fence, keep)
  for i = PLACES, PLACES + 2 * c[LOCKS] - 1, 2 do
    local version, ends, watched = version_of(c[i])
    if keep > 0 or version then
      ends = math.max(ends, now + keep)
      if ends > now then
        watched = fence > 0 and watched ~= "" and stamped(watched, c) or watched
        set_version(c[i], math.max(version or 0, fence), ends, watched)
      end
    end
  end
end

local function set_unknown(intent, value, ends)
  call("SET", P .. "i:" .. intent, value, "PX", ends - now)
  call("ZREMRANGEBYSCORE", P .. "unknown", "-inf", now)
  call("ZADD", P .. "unknown", ends, intent)
end

-- The attempt left no trace: the intent is free again, or as unknown as it was before.
local function undo(c)
  if c[INTENT] == "" then
    return
  end
  local ends = c[PRIOR] ~= "" and cmsgpack.unpack(c[PRIOR])[R_ENDS] or 0
  if ends > now then
    set_unknown(c[INTENT], c[PRIOR], ends)
  else
    call("DEL", P .. "i:" .. c[INTENT])
  end
  freed[#freed + 1] = "i:" .. c[INTENT]
end

-- It happened, once: `word` is completed, with the answer, or done.
local function complete(c, changed, word, status, answer)
  local keep = 0
  if c[INTENT] ~= "" then
    local turns, window_ms, _, _, _, fingerprint = terms_of(c)
    local r = cmsgpack.pack({ word, c[FENCE], fingerprint, now + window_ms, status })
    call("SET", P .. "i:" .. c[INTENT], r .. answer, "PX", window_ms)
    freed[#freed + 1] = "i:" .. c[INTENT]
    keep = turns == "change" and tonumber(window_ms) or 0
  end
  if changed or keep > 0 then
    set_versions(c, changed and c[FENCE] or 0, keep)
  end
end

-- Bytes may have left, and nobody can say what they did.  `keep`: ms; 0 for as long as the claim says.  `over`: the
-- upstream is done with it.
local function doubt(c, id, why, keep, over)
  local _, _, _, _, unknown_ms, fingerprint = terms_of(c)
  keep = keep > 0 and keep or tonumber(unknown_ms)
  if c[INTENT] ~= "" then
    local prior = c[PRIOR] ~= "" and cmsgpack.unpack(c[PRIOR]) or { [R_SINCE] = now, [R_ORIGIN] = id }
    local since, origin = prior[R_SINCE], prior[R_ORIGIN]
    local ends = over and now or c[DEADLINE]
    local r = { "unknown", c[FENCE], fingerprint, now + keep, id, since, why, ends, c[ABOUT], origin }
    r[R_CALL] = { unpack(c, 1, caps_of(c) - 1) }
    r[R_CALL][PRIOR] = "" -- or each re-send would hold all those before it
    set_unknown(c[INTENT], cmsgpack.pack(r), now + keep)
    freed[#freed + 1] = "i:" .. c[INTENT]
  end
  set_versions(c, c[FENCE], c[INTENT] ~= "" and keep or 0)
end
