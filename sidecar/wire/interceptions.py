"""What came of CONNECTs that were to be opened: counted each, and complained of in words where no call came of it.

A client that does not trust our authority makes no call, so but for this nobody would hear of it.  Many say so in an
alert; Node and asyncio just leave.  A client that is refused tries again and again, so the same complaint about the
same host is written once in ``AGAIN_S``.
"""

import logging
import ssl
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final

from sidecar.core.call import Call

OPENED: Final = "opened"
AGAIN_S: Final = 60.0
MOST: Final = 1000
LONGEST_NAME: Final = 80

_TRUST: Final = (
    "Give it tls.ca_cert, by the variables that 'sidecar env' prints or by a setting of the client's own"
)
_WORDS: Final = {
    "ca-rejected": f"does not trust the sidecar's authority. {_TRUST}",
    "certificate-rejected": "rejects the certificate that the sidecar made for this host. Look with 'sidecar ca show' "
    f"whether the authority may sign for it, and whether it is the one that the client has. {_TRUST}",
    "no-common-tls": "shares no version of TLS or no cipher with the sidecar, which takes TLS 1.2 and 1.3",
    "left-in-handshake": "hung up in the middle of the handshake; likely it does not trust the sidecar's authority. "
    f"{_TRUST}",
    "left-without-call": "hung up after the handshake, without a call; likely it does not trust the sidecar's "
    f"authority (some look at it this late). {_TRUST}",
    "handshake-timeout": "did not finish the handshake in time",
    "handshake-failed": "failed in the handshake",
    "silent": "sent nothing after its CONNECT; a protocol in which the server speaks first cannot be intercepted",
}
"""Each result but ``OPENED``, as the end of a sentence about a client."""

_REASONS: Final = (
    ("UNKNOWN_CA", "ca-rejected"),
    ("CERTIFICATE", "certificate-rejected"),
    ("PROTOCOL", "no-common-tls"),
    ("VERSION", "no-common-tls"),
    ("CIPHER", "no-common-tls"),
    ("INSUFFICIENT_SECURITY", "no-common-tls"),
)
"""What in OpenSSL's name of an error means what; the first that fits."""

log = logging.getLogger("sidecar")


def result_of(error: ssl.SSLError) -> str:
    """What an error in the handshake means."""
    reason = error.reason or ""
    return next((result for word, result in _REASONS if word in reason), "handshake-failed")


class Interceptions:
    """Those of one listener."""

    def __init__(self, count: Callable[[str, str], None] | None = None) -> None:
        """``count`` hears each: its host, and what came of it."""
        self._count = count
        self._told_s: dict[tuple[str, str], float] = {}

    def opened(self, connect: Call) -> None:
        """Its first call is here."""
        if self._count is not None:
            self._count(connect.host, OPENED)

    def failed(self, connect: Call, result: str) -> None:
        """No call came of it."""
        if self._count is not None:
            self._count(connect.host, result)
        if self._is_news((connect.host, result), monotonic()):
            client = (connect.headers.text(b"user-agent") or "of no name")[:LONGEST_NAME]
            log.warning("TLS for %s: a client (%s) %s", connect.host, client, _WORDS[result])

    def astray(self, what: str) -> None:
        """A redirected connection came to nothing, before there was a name for it."""
        if self._is_news(("", what), monotonic()):
            log.warning("transparent port: a connection %s", what)

    def _is_news(self, complaint: tuple[str, str], now_s: float) -> bool:
        if now_s - self._told_s.get(complaint, -inf) < AGAIN_S:
            return False
        if len(self._told_s) >= MOST:
            self._told_s.clear()
        self._told_s[complaint] = now_s
        return True
