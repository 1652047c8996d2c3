-- What a twin meets when it comes.
--- @include "changed"

-- What the record says to `c`: a word and the record; or nothing, and the unknown attempt that may be run again.
local function twin(c)
  if c[INTENT] == "" then
    return nil
  end
  local r, value, offset = record_of(c[INTENT])
  if not r or r[R_WORD] ~= "running" and r[R_ENDS] <= now then
    return nil
  end
  local turns, _, resend, resend_ms, _, fingerprint = terms_of(c)
  if r[R_FINGERPRINT] ~= fingerprint then
    return "reused", r
  elseif r[R_WORD] == "running" then
    return "running", r
  elseif r[R_WORD] ~= "unknown" then
    if turns == "change" and changed_since(c, r[R_FENCE]) then
      return nil
    end
    return r[R_WORD], r, string.sub(value, offset + 1)
  elseif resend == "0" then
    return "unknown", r
  end
  resend_ms = tonumber(resend_ms)
  if resend_ms > 0 and now > r[R_SINCE] + resend_ms or resend_ms == 0 and changed_since(c, r[R_FENCE]) then
    return "unknown", r
  end
  return nil, r
end
