"""The scripts as a test calls them: synchronously, on a clock that only the test moves."""

from typing import Any, Self

import redis

from sidecar.core.claim import Cap, Claim, Flow, Intent, Min
from sidecar.gate.gate import UNKNOWN_MS
from sidecar.gate.keyspace import prefix, terms_of
from sidecar.gate.scripts import script
from tests.servers import Server

LEASE_MS = 15_000
START_MS = 1_700_000_000_000


def claim(
    call: str,
    intent: str | None = None,
    locks: tuple[str, ...] = (),
    caps: dict[str, int] | None = None,
    *,
    mins: tuple[Min, ...] = (),
    until: str = "window",
    window_ms: int = 60_000,
    fingerprint: str = "",
    resend: bool = False,
    resend_ms: int = 0,
    tenant: str = "acme",
    priority: str = "interactive",
    weights: tuple[int, int] = (1, 8),
    wait_ms: int = 600_000,
    depth: tuple[int, int] = (100, 10_000),
    **others: Any,
) -> Claim:
    """A claim of a call with that id, everything else as small as it can be."""
    return Claim(
        call=call,
        tool="crm",
        route="deal.update",
        lane="write",
        workflow="dunning",
        run=others.pop("run", f"run-{call}"),
        flow=Flow(tenant, priority, *weights, *depth),
        intent=None if intent is None else Intent(intent, fingerprint, until, window_ms, resend, resend_ms),  # type: ignore[arg-type]
        locks=locks,
        caps=tuple(
            Cap(name, limit, mins if name == "global" else ()) for name, limit in (caps or {}).items()
        ),
        wait_ms=wait_ms,
        **others,
    )


def terms(asked: Claim) -> list[str]:
    """The arguments of ``admit`` from ``lease`` on, one by one."""
    groups = terms_of(asked, "here", LEASE_MS, UNKNOWN_MS)
    return [word for group in groups for word in ((group,) if isinstance(group, str) else group)]


class Scripts:
    """One cell of one server."""

    def __init__(self, server: Server) -> None:
        self.client = redis.Redis(unix_socket_path=str(server.socket), protocol=3)
        self.now = START_MS
        self.prefix = prefix("default")

    def __enter__(self) -> Self:
        self.client.flushall()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def run(self, name: str, *arguments: str | bytes | int) -> list[Any]:
        called = script(name)
        words = (1, self.prefix, self.now, *arguments)
        try:
            reply = self.client.evalsha(called.sha.decode(), *words)
        except redis.exceptions.NoScriptError:
            reply = self.client.eval(called.source.decode(), *words)
        return [item.decode() if isinstance(item, bytes) else item for item in reply]

    def admit(self, asked: Claim, mode: str = "ask") -> list[Any]:
        return self.run("admit", asked.call, mode, *terms(asked))

    def grant(self, asked: Claim) -> int:
        """Admit, which must succeed; the fence."""
        word, fence, _ = self.admit(asked)
        assert word == "granted"
        return int(fence)

    def settle(
        self,
        call: str,
        fence: int,
        ending: str = "answer",
        *,
        changed: bool = True,
        over: bool = True,
        note: str = "",
        retain_ms: int = 0,
        answer: bytes = b"200\n\nok",
    ) -> str:
        kept = answer if ending == "answer" else b""
        word, more = self.run("settle", call, fence, ending, int(changed), int(over), note, retain_ms, kept)
        if more:
            self.sweep()
        return str(word)

    def do(self, asked: Claim, ending: str = "answer", **settled: Any) -> int:
        """Grant and settle; the fence."""
        fence = self.grant(asked)
        assert self.settle(asked.call, fence, ending, **settled) == "settled"
        return fence

    def leave(self, call: str) -> str:
        word, more = self.run("leave", call)
        if more:
            self.sweep()
        return str(word)

    def renew(self, *calls: str) -> list[str]:
        _, more, *words = self.run("renew", *calls)
        if more:
            self.sweep()
        return [str(word) for word in words]

    def sweep(self) -> None:
        while self.run("sweep")[1]:
            pass

    def advance(self, ms: int) -> None:
        """Let time pass, and let the timer that every sidecar has notice it."""
        self.now += ms
        self.sweep()

    def states(self) -> dict[str, str]:
        """State of every call that waits, holds, or was handed something."""
        return {item[0].decode(): item[1].decode() for item in self.run("peek", "calls", 1000)[1:]}

    def holders(self, place: str) -> set[str]:
        """Who holds a place now."""
        key = self.prefix + b"h:" + place.encode()
        return {name.decode() for name in self.client.zrangebyscore(key, f"({self.now}", "+inf")}

    def flows(self, place: str) -> list[tuple[str, int, str, int, list[str]]]:
        """Who stands at a place, in order of their passes: priority, its pass, tenant, its pass, calls."""
        line = self.prefix + b"l:" + place.encode()
        return [
            (
                priority.decode(),
                int(pass_),
                tenant.decode(),
                int(own),
                self._names(b"%b %b %b" % (line, priority, tenant)),
            )
            for priority, pass_ in self.client.zrange(line, 1, -1, withscores=True)
            for tenant, own in self.client.zrange(b"%b %b" % (line, priority), 1, -1, withscores=True)
        ]

    def line(self, place: str) -> list[str]:
        """Who stands at a place, flow by flow."""
        return [name for *_, names in self.flows(place) for name in names]

    def senior(self) -> str:
        """For whom what it needs is kept; empty: for nobody."""
        names = self.client.zrangebyscore(self.prefix + b"elders", 0, 0)
        return names[0].decode() if names else ""

    def _names(self, key: bytes) -> list[str]:
        return [name.decode() for name in self.client.zrange(key, 0, -1)]
