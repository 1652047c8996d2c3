-- Order: which state an entity must be in for a call to go, and which one it is in once the call is done.
--- @include "entity"
--- @include "onlookers"
do
  local function unknown_ms(c)
    local _, _, _, _, ms = terms_of(c)
    return tonumber(ms)
  end

  -- It was applied, and whole: not "unchanged", not "elsewhere", not "in part".
  local function went_well(ending, changed, note)
    local status = tonumber(note)
    if ending == "not_sent" or not status then
      return ending ~= "not_sent" and changed and note ~= "partial"
    end
    local other = status == 207 or status == 304 or status == 307 or status == 308
    return status >= 200 and status < 400 and not other
  end

  -- What is as unknown as it was once a step came to nothing: what it went over; or, where its retry left the record so,
  -- the attempt that it repeats.
  local function doubted_before(c, step, ending)
    local before = step.before
    local repeats = before and before.intent ~= "" and before.intent == c[INTENT]
    return (not repeats or c[PRIOR] ~= "" and (ending == "not_sent" or ending == "free")) and before or nil
  end

  -- terms: entity, requires, max_age_ms (0: any), wait_ms, sets, retention_ms, unseen (refuse, allow, probe, as <state>)
  GUARD.order = {
    refuses = function(c, id, terms)
      local _, name, requires, max_age, wait_ms, _, _, unseen = unpack(terms)
      local e = entity_of(name)
      local step = e.step
      if step and step.call ~= id and (step.intent == "" or step.intent ~= c[INTENT]) then
        if step.word == "running" then
          look_on(name, c, id, wait_ms)
          return { wait_ms, "running", math.max(step.over - now, 0), step.state, step.about }
        elseif #requires > 0 or now < step.over then
          return { 0, "unknown", now - step.at, step.state, step.about }
        end
      end
      return #requires > 0 and misses(e, requires, max_age, unseen) or nil
    end,

    granted = function(c, id, terms)
      local _, name, _, _, _, sets = unpack(terms)
      if sets ~= "" then
        local e, over = entity_of(name), now + c[TIMEOUT]
        local before = e.step -- unknown, or this would not go
        if before then
          before.before = nil
        end
        e.step = { word = "running", state = sets, call = id, fence = c[FENCE], intent = c[INTENT], at = now }
        e.step.about, e.step.over, e.step.ends = c[ABOUT], over, over + unknown_ms(c)
        e.step.before = before
        save_entity(name, e)
      end
    end,

    settled = function(c, id, terms, ending, changed, note)
      local _, name, _, _, _, sets, retention = unpack(terms)
      local e = entity_of(name)
      local step = e.step
      if sets == "" or not step or step.fence ~= c[FENCE] then
        if step and step.before and step.before.fence == c[FENCE] and ending ~= "unknown" then
          step.before = nil -- the truth about what a step went over; if that comes to nothing, this is the state
          save_entity(name, went_well(ending, changed, note) and become(e, c, sets, retention) or e)
        end
        return
      elseif ending == "unknown" then
        local r = c[INTENT] ~= "" and record_of(c[INTENT])
        step.word, step.at, step.over = "unknown", now, call_of(id) and c[DEADLINE] or now
        step.ends = r and r[R_ENDS] or now + unknown_ms(c)
      elseif went_well(ending, changed, note) then
        become(e, c, sets, retention).step = nil
      else
        e.step = doubted_before(c, step, ending)
      end
      save_entity(name, e)
      wake_onlookers(name)
    end,
  }
end
