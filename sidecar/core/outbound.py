"""The request that leaves: what is stripped, what is added, what is left alone."""

from typing import Literal

from sidecar.core.call import RawHeaders


class Outbound:
    """One request to an upstream, without its body and without framing fields (the wire adds those)."""

    __slots__ = (
        "connect_timeout_ms",
        "headers",
        "host",
        "method",
        "port",
        "safe",
        "scheme",
        "target",
        "timeout_ms",
    )

    def __init__(
        self,
        method: str,
        scheme: Literal["http", "https"],
        host: str,
        port: int,
        target: bytes,
        headers: RawHeaders,
        timeout_ms: int,
        safe: bool,
        connect_timeout_ms: int = 5_000,
    ) -> None:
        self.method = method
        self.scheme: Literal["http", "https"] = scheme
        self.host = host
        self.port = port
        self.target = target
        """Origin-form, percent-encoding as the agent sent it."""
        self.headers = headers
        """End-to-end fields only; Host first, Via last."""
        self.timeout_ms = timeout_ms
        """From the first attempt to connect until the last byte of the answer."""
        self.safe = safe
        """GET, HEAD, OPTIONS, TRACE: may be sent again on a stale connection even after bytes were written."""
        self.connect_timeout_ms = connect_timeout_ms
        """Until the connection, TLS included, stands."""
