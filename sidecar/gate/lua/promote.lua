-- Who becomes the senior, where there is none: the oldest elder whose flow is not ahead.

-- Whether nobody but others stands in its way: its flow has not had more than its turns anywhere.
local function is_passed_over(c)
  for i = PLACES, #c, 2 do
    if not flow_may_go(c[i], c) then
      return false
    end
  end
  return true
end

-- Whether there is a new one.  An elder whose flow is ahead has to be passed over once more.
local function promote()
  local id = not senior() and call("ZRANGE", P .. "elders", 0, 0)[1]
  while id do
    local c = call_of(id)
    if c and is_passed_over(c) then
      step_back(c, id)
      call("ZADD", P .. "elders", 0, id)
      remember(c, id)
      freed[#freed + 1] = place_of(c, c[AT])
      return true
    end
    call("ZREM", P .. "elders", id)
    if c then
      c[BYPASSED] = BYPASSES - 1
      call("SET", P .. "c:" .. id, cmsgpack.pack(c))
    end
    id = call("ZRANGE", P .. "elders", 0, 0)[1]
  end
  return false
end
