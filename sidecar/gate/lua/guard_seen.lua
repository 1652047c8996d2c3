-- observe entity: the call reads it, and if it is answered well its run has seen what there was when the call went.
-- fresh entity: nobody else changed it since the call's run saw it.  A run that never saw it bases nothing on that.
--
-- s:<run> <lock> is what a run saw: the fence of its read, and until when that is remembered.
--- @include "run"
local SEEN_MS = 3600000 -- longer than a run thinks about one answer

-- From now on changes are stamped, for as long as anybody compares them.
local function watch(place)
  local version, ends, watched = version_of(place)
  set_version(place, version or 0, math.max(ends, now + SEEN_MS), watched ~= "" and watched or cmsgpack.pack({}))
end

GUARD.observe = {
  granted = function(c, _, terms)
    terms[3] = c[FENCE]
    watch("lock:" .. terms[2])
  end,

  settled = function(c, _, terms, ending, _, note)
    local status = tonumber(note)
    local well = status and (status >= 200 and status < 300 or status == 304)
    if well and ending ~= "not_sent" and ending ~= "unknown" then
      local key = P .. "s:" .. run_of(c) .. " lock:" .. terms[2]
      call("SET", key, string.format("%d %d", terms[3], now + SEEN_MS), "PX", SEEN_MS)
      watch("lock:" .. terms[2])
    end
  end,
}

GUARD.fresh = {
  refuses = function(c, _, terms)
    local run, place = run_of(c), "lock:" .. terms[2]
    local key = P .. "s:" .. run .. " " .. place
    local seen, remembered = string.match(call("GET", key) or "", "^(%d+) (%d+)$")
    local _, ends, watched = version_of(place)
    if not seen or tonumber(remembered) <= now or ends <= now or watched == "" then
      return nil
    end
    local change = changed_by_other(watched, run)
    if change and change[STAMP] >= tonumber(seen) then
      return { 0, change[AT], now - change[AT], change[WHO] }
    end
  end,
}
