"""What makes a window count: the answers were right, and the row did the work that its name says."""

import http.client

from bench.backing import ANSWER
from bench.contenders import Promise
from bench.wrk import Load, salt

LOGGED_SHARE = 0.99
"""A log may be behind or drop under pressure, but one that was mostly off cost nothing."""


class Wrong(Exception):
    """A contender did not do what its row says."""


class NotReady(OSError):
    """It answers, but not with the upstream's answer yet."""


def ask(port: int, host: str) -> http.client.HTTPResponse:
    """One call like those of the load, on a connection of its own.  NotReady where it is not a 200."""
    name = salt() + "00000000"
    head = b'{"id":"%s","note":"' % name.encode()
    body = head + b"y" * (500 - len(head) - 2) + b'"}'
    fields = {"Content-Type": "application/json", "Authorization": "Bearer not-a-secret"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", f"http://{host}/crm/items/{name}", body, fields)
        answer = connection.getresponse()
        got = answer.read()
    finally:
        connection.close()
    if answer.status != 200 or got != ANSWER:
        raise NotReady(f"{answer.status} with {len(got)} bytes: {got[:300]!r}")
    return answer


def check_answer(name: str, answer: http.client.HTTPResponse, promise: Promise) -> None:
    """The proxy's own field says that it ran the call, or there is none."""
    verdict = (answer.getheader("Sidecar-Verdict") or "").partition(";")[0]
    if verdict != promise.verdict:
        raise Wrong(f"{name}: its verdict is {verdict or 'absent'!r}, not {promise.verdict or 'absent'!r}")


def check_load(load: Load) -> None:
    """Every call got the upstream's whole answer."""
    if load.errors or not load.calls:
        raise Wrong(f"{load.errors} errors in {load.calls} calls")
    if load.bytes < load.calls * len(ANSWER):
        raise Wrong(
            f"{load.bytes / load.calls:.0f} bytes an answer, which is less than its body of {len(ANSWER)}"
        )


def check_work(load: Load, connections: int, upstream_calls: int, scripts: int, promise: Promise) -> None:
    """Each call reached the upstream once and took the store scripts of its row.

    A window ends with up to one call a connection under way, begun but not counted.  A retry of the proxy's
    own would show here too.
    """
    slack = 2 * connections + load.calls // 100
    if not load.calls <= upstream_calls <= load.calls + slack:
        raise Wrong(f"{upstream_calls} requests reached the upstream for {load.calls} calls")
    wanted = load.calls * promise.scripts
    if not wanted <= scripts <= wanted + slack * max(promise.scripts, 1):
        raise Wrong(f"{scripts} store scripts for {load.calls} calls, not {promise.scripts} a call")


def check_replays(load: Load, upstream_calls: int, scripts: int) -> None:
    """Answered from the store: one script a call, and no request but the first."""
    if upstream_calls > 1:
        raise Wrong(f"{upstream_calls} requests reached the upstream for {load.calls} identical calls")
    if scripts > load.calls * 1.01 + 4:
        raise Wrong(f"{scripts} store scripts for {load.calls} replays, not one a call")


def check_log(lines: int, calls: int) -> None:
    """The log was on, and not by dropping most of it."""
    if lines < calls * LOGGED_SHARE:
        raise Wrong(f"{lines} log lines for {calls} calls")
