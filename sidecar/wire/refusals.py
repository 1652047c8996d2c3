"""How a failing upstream is put into words: what happened, whether it may have taken effect, and what to do
next.

Only the host and port are named.  Paths and queries may carry secrets, and so may whatever an upstream sent.
"""

from sidecar.core.refusal import Refusal


def unreachable(host: str, port: int, why: str) -> Refusal:
    """Not a byte of the call was written.  ``why`` completes the sentence, without a full stop."""
    return Refusal(
        "upstream-unreachable",
        f"Could not reach {host} port {port}: {why}. Nothing was sent, so nothing took effect."
        " The same call may be sent again; if it keeps failing, check the address or tell an operator.",
        outcome="not_sent",
    )


def failed(host: str, why: str, *, safe: bool) -> Refusal:
    """The call was sent, wholly or in part, and no complete answer came back."""
    return Refusal(
        "upstream-failed",
        f"{host} broke off: {why}. {_advice(host, safe)}",
        outcome="unknown",
        retryable=safe,
    )


def timed_out(host: str, timeout_ms: int, *, safe: bool) -> Refusal:
    """The call was sent and its time ran out before the last byte of the answer."""
    return Refusal(
        "upstream-timeout",
        f"{host} did not finish its answer within {timeout_ms} ms. {_advice(host, safe)}",
        outcome="unknown",
        retryable=safe,
    )


def timed_out_unsent(host: str, timeout_ms: int) -> Refusal:
    """The call's time ran out while it still waited for a connection."""
    return Refusal(
        "upstream-timeout",
        f"No connection to {host} within the call's {timeout_ms} ms. Nothing was sent, so nothing took"
        " effect. The same call may be sent again.",
        outcome="not_sent",
        retryable=True,
    )


def _advice(host: str, safe: bool) -> str:
    if safe:
        return "The call only reads, so it may be sent again."
    return (
        "The request had been sent, so it may have taken effect."
        f" Do not send it again before you have checked at {host} whether it did."
    )
