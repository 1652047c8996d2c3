-- end: the call is its run's last.  Whatever became of it, if it was sent or was done before, the run holds nothing more.
--- @include "holding"
GUARD["end"] = {
  repeated = function(c)
    end_run(run_of(c))
  end,

  settled = function(c, _, _, ending)
    if ending ~= "not_sent" then
      end_run(run_of(c))
    end
  end,
}
