"""Pod in, pod out: what the admission webhook makes of an agent's pod, and whether a pod that comes is gated.

Pure: no clock, no I/O, no cluster asked.  A pod is the JSON that the API server sent.  There is one rule, ``inject``:
the pod as it has to be.  Mutating is the difference between that and the pod that came; a pod is gated when there is
none.  So whatever was injected before, by us or by somebody who would like to be taken for us, is put right, and what
is right already is left alone.
"""
