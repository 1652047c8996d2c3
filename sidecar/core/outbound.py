"""The request that leaves: what is stripped, what is added, what is left alone."""

from typing import Literal, NamedTuple

from sidecar.core.call import RawHeaders


class Outbound(NamedTuple):
    """One request to an upstream, without its body and without framing fields (the wire adds those)."""

    method: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    target: bytes
    """Origin-form, percent-encoding as the agent sent it."""
    headers: RawHeaders
    """End-to-end fields only; Host first, Via last."""
    timeout_ms: int
    """From the first attempt to connect until the last byte of the answer."""
    safe: bool
    """GET, HEAD, OPTIONS, TRACE: may be sent again on a stale connection even after bytes were written."""
    connect_timeout_ms: int = 5_000
    """Until the connection, TLS included, stands."""
