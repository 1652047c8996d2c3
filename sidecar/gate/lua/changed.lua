-- Whether another call may have changed an entity of `c` since that fence.
local function changed_since(c, fence)
  for i = PLACES, PLACES + 2 * c[LOCKS] - 1, 2 do
    local version, ends = version_of(c[i])
    if version and ends > now and version > fence then
      return true
    end
  end
  return false
end
