"""What the store holds now, as the admin port shows it: runs, workflows, names; never bodies or secrets."""

from hashlib import blake2b
from typing import Any
from urllib.parse import unquote

from sidecar.core.budget import shown
from sidecar.gate import words
from sidecar.gate.link import StoreAway
from sidecar.gate.pauses import unpacked
from sidecar.gate.store import Store

MOST = 1000
"""Items in one list; a longer one is cut."""

Item = dict[str, object]
_ABOUT = ("run", "workflow", "tool", "route", "lane", "tenant")


async def leases(store: Store) -> list[Item]:
    """Grants in use, handed out, and lapsed ones that keep their locks; and the locks that runs hold."""
    calls = [_lease(call) for call in await _ask(store, "calls") if call[1] != b"waiting"]
    calls = [call for call in calls if call["locks"] or call["state"] != "lapsed"]
    return calls + [_run_lock(*lock) for run in await _runs(store) for lock in _locks(run)]


async def runs(store: Store) -> list[Item]:
    """Runs that hold something between their calls."""
    return [
        {part: _about(run[1])[part] for part in ("run", "workflow", "tenant")}
        | {"locks": [place.partition(":")[2] for _, place, _ in _locks(run)]}
        | {"left_ms": max(left_ms for *_, left_ms in _locks(run))}
        for run in await _runs(store)
    ]


def place_of(lock: Item) -> str:
    """The place of a run's lock, an item of ``leases``, as the store names it."""
    locks: Any = lock["locks"]
    return f"lock:{locks[0]}"


async def _runs(store: Store) -> list[list[Any]]:
    try:
        return (await store.run("runs", str(MOST)))[1:]
    except StoreAway:
        raise words.away() from None


def _locks(run: list[Any]) -> list[tuple[list[Any], str, int]]:
    """The run, a place that it holds, and for how long unless somebody keeps it."""
    places, left = run[2::2], run[3::2]
    return [(run, place.decode(), left_ms) for place, left_ms in zip(places, left, strict=True)]


def _run_lock(run: list[Any], place: str, left_ms: int) -> Item:
    name = blake2b(run[0] + place.encode(), digest_size=8).hexdigest()
    held: Item = {"locks": [place.partition(":")[2]], "caps": []}
    return {"id": f"run-{name}", "state": "held", "fence": 0, "left_ms": left_ms} | held | _about(run[1])


async def queues(store: Store) -> list[Item]:
    """One item per place that somebody waits at: who holds it, and who waits, the oldest first."""
    calls, held = await _ask(store, "calls"), await _runs(store)
    lines: dict[str, list[list[Any]]] = {}
    for call in calls:
        if call[1] == b"waiting":
            lines.setdefault(_place(call), []).append(call)
    return [
        _line(
            place,
            sorted(tickets, key=lambda call: int(call[4])),
            [(call[0].decode(), call[8]) for call in calls if _holds(call, place)]
            + [("", run[1]) for run in held if place.encode() in run[2::2]],
        )
        for place, tickets in lines.items()
    ]


async def unknown(store: Store, only: str = "") -> list[Item]:
    """Unknown outcomes; ``only`` this intent's."""
    return [
        {
            "id": intent.decode(),
            "since_ms": since_ms,
            "left_ms": left_ms,
            "running_ms": running_ms,
            "why": why.decode(),
            "call": owner.decode(),
            "fence": fence,
            "locks": [lock.decode().partition(":")[2] for lock in locks],
        }
        | _about(about)
        for intent, since_ms, left_ms, why, owner, about, fence, running_ms, *locks in await _ask(
            store, "unknown", only
        )
    ]


async def pauses(store: Store) -> list[Item]:
    """A person's pause names who and why; an upstream's says how long it wants to be left alone."""
    try:
        return [_pause(*item) for item in (await store.run("pauses"))[1:]]
    except StoreAway:
        raise words.away() from None


async def budgets(store: Store) -> list[Item]:
    """What is used and reserved of each budget in which something is, in its smallest unit."""
    try:
        return [_budget(*item) for item in (await store.run("budgets", str(MOST)))[1:]]
    except StoreAway:
        raise words.away() from None


def _budget(safe_name: bytes, about: bytes, *numbers: bytes) -> Item:
    name, (tool, _, title) = unquote(safe_name.decode()), about.decode().partition(":")
    window_ms, limit, decimals, used, reserved = map(int, numbers)
    scope = [unquote(part) for part in name.split(":")[2:]]
    sums = {"limit": limit, "used": used, "reserved": reserved, "left": max(limit - used - reserved, 0)}
    item: Item = {"id": name, "tool": tool, "budget": title, "scope": scope, "window_ms": window_ms}
    return item | {key: float(shown(value, decimals)) if decimals else value for key, value in sums.items()}


def _pause(place: bytes, left_ms: int, *rest: Any) -> Item:
    if len(rest) == 1:
        tool = place.decode().partition(":")[2]
        why = f"it turned a call away; {rest[0]} probes failed since" if rest[0] else "it turned a call away"
        return {"id": place.decode(), "tool": tool, "by": "upstream", "why": why, "left_ms": left_ms}
    since_ms, said = rest
    kind, name, by, why = unpacked(said)
    about: Item = {"id": f"{kind}:{name}", kind: name, "by": by, "why": why, "since_ms": since_ms}
    return about if left_ms < 0 else about | {"left_ms": left_ms}


async def _ask(store: Store, what: str, only: str = "") -> list[list[Any]]:
    try:
        return (await store.run("peek", what, str(MOST), only))[1:]
    except StoreAway:
        raise words.away() from None


def _about(about: bytes) -> Item:
    return dict(zip(_ABOUT, about.decode().split("\n"), strict=False))


def _lease(call: list[Any]) -> Item:
    name, state, fence, left_ms, _age, _at, _turn, _flow, about, _key, locks, *places = call
    kinds = [place.decode().partition(":")[::2] for place in places[::2]]
    held: Item = {
        "locks": [name for _, name in kinds[: int(locks)]],
        "caps": [name for kind, name in kinds if kind == "cap" and state != b"lapsed"],
    }
    return (
        {"id": name.decode(), "state": state.decode(), "fence": fence, "left_ms": left_ms}
        | held
        | _about(about)
    )


def _holds(call: list[Any], place: str) -> bool:
    places = [name.decode() for name in call[11::2]]
    if call[1] == b"waiting":
        return False
    if place.startswith("intent:"):
        return place == _intent(call)
    return place in (places[: int(call[10])] if call[1] == b"lapsed" else places)


def _intent(call: list[Any]) -> str:
    return f"intent:{call[9].decode()[:12]}"


def _place(call: list[Any]) -> str:
    at = call[5]
    return str(call[11 + 2 * (at - 1)].decode()) if at else _intent(call)


def _line(place: str, tickets: list[list[Any]], holders: list[tuple[str, bytes]]) -> Item:
    tenants: dict[str, int] = {}
    for ticket in tickets:
        tenant = str(_about(ticket[8]).get("tenant", ""))
        tenants[tenant] = tenants.get(tenant, 0) + 1
    head = next((ticket for ticket in tickets if ticket[6]), tickets[0])
    return {
        "id": place,
        "waiting": len(tickets),
        "tenants": tenants,
        "head_run": _about(head[8]).get("run", ""),
        "head_call": head[0].decode(),
        "holders": [
            {"call": call} | {name: _about(about).get(name, "") for name in ("run", "workflow")}
            for call, about in holders
        ],
    }
