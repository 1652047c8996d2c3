"""What one call costs in the proxy, side by side with Envoy: `python -m bench`, or `make bench`.

Theory. A rate says which process of the bench was the bottleneck and, on two cores, that is as often the
load as the proxy. So the leading figure is **CPU a call in the proxy's process**: user and system time over
a window, divided by the calls done in it.  The second is **added p50**: the median latency of one lonely
connection through the proxy, less the same straight to the upstream, in the same round.

Every contender gets the same bytes (``load.lua``: a POST of 500 bytes in absolute form, each to a new
record), from the same wrk, for the same nginx upstream (1 KB of JSON); the proxy alone on one core,
everything else on another.  Contenders take turns within a round, so that a machine that slows down slows
all of them; ratios are taken within a round and reported as the median over the rounds.

A window counts only if it did what it says (``checks.py``): no error, every answer whole, every call at the
upstream, the log written, and for the gated row an intent, a lock and four caps in two scripts a call.
"""
