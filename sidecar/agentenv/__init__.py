"""The agent's side: what its container says so that its clients come to the sidecar, and a look whether they do.

A proxy is something that a client must be told of, and clients read different words, or none.  So there are three
steps: the variables that nearly all obey (``variables``), a shim for those that obey none (``shim``), and a probe by
each client that is installed, through the sidecar that runs (``doctor``), since what counts is not what a client's
manual says.
"""
