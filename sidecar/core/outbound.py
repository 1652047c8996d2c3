"""The request that leaves: what is stripped, what is added, what is left alone."""

from typing import Literal, NamedTuple

from sidecar.core.call import RawHeaders


class Trust(NamedTuple):
    """How an upstream and we prove ourselves to each other: paths of PEM files."""

    ca: str = ""
    """What it is verified against; empty: what every other one is."""
    cert: str = ""
    """What we show; empty: nothing."""
    key: str = ""


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
        "trust",
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
        trust: Trust | None = None,
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
        self.trust = trust
        """Part of a connection's identity: one that showed a certificate serves no call that would not."""
