"""What a gated call costs at the store: ``python -m bench.store`` prints it for every server program at hand.

One call is an ``admit`` and a ``settle`` with one lock, an intent, four caps and a stored answer of 1 KB, 64 in flight.
Client CPU is this process's, through the gate's own face; server CPU is the server process's, its sockets included.
"""

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

from sidecar.core.call import Answer
from sidecar.core.claim import Cap, Claim, Flow, Intent
from sidecar.core.outcome import Outcome
from sidecar.gate.gate import Gate
from sidecar.gate.lease import Lease
from tests.servers import Server, engines

IN_FLIGHT = 64
CAPS = (Cap("global", 400), Cap("lane:write", 200), Cap("tenant:acme", 100), Cap("tool:crm:write", 100))
FLOW = Flow("acme", "interactive")
ANSWER = Answer(200, [(b"Content-Type", b"application/json")], b"x" * 1024)
DONE = Outcome("completed", "answer", 200, ANSWER, changed=True)
REACH = {
    "client CPU us a call": 20.0,
    "server CPU us a call": 60.0,
    "server CPU us a call at 100,000 records": 120.0,
    "bytes a record, without its answer": 800.0,
}


def claim(number: int) -> Claim:
    """A call on an entity and with an intent of its own."""
    intent = Intent(f"{number:032x}", "", "change", 600_000, False, 0)
    call = f"d106a336d4-{number}"
    return Claim(
        call, "crm", "deal.update", "write", "dunning", "run-7", FLOW, intent, (f"deal:{number}",), CAPS
    )


async def calls(gate: Gate, first: int, count: int) -> None:
    """``count`` calls, ``IN_FLIGHT`` at a time."""
    numbers = iter(range(first, first + count))

    async def worker() -> None:
        for number in numbers:
            lease = await gate.admit(claim(number))
            assert isinstance(lease, Lease)
            lease.sending()
            await lease.settle(DONE)

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


async def replays(gate: Gate, count: int) -> None:
    for number in range(count):
        assert not isinstance(await gate.admit(claim(number)), Lease)


def own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def server_cpu_s(server: Server) -> float:
    text = Path(f"/proc/{server.pid}/schedstat").read_text()
    return int(text.split()[0]) / 1e9


async def memory_bytes(server: Server) -> int:
    return int((await server.command("INFO", "memory"))["used_memory"])


async def measure(program: str, count: int, folder: Path) -> dict[str, float]:
    """The figures of one server program."""
    server = Server(program, folder)
    await server.start()
    gate = Gate(server.url)
    await gate.start()
    try:
        await calls(gate, 1 << 30, 2000)
        memory, own_s, server_s, wall_s = (
            await memory_bytes(server),
            own_cpu_s(),
            server_cpu_s(server),
            time.time(),
        )
        await calls(gate, 0, count)
        figures = {
            "client CPU us a call": (own_cpu_s() - own_s) / count * 1e6,
            "server CPU us a call": (server_cpu_s(server) - server_s) / count * 1e6,
            "calls a second": count / (time.time() - wall_s),
            "bytes a record, without its answer": (await memory_bytes(server) - memory) / count - 1024,
        }
        began_s = time.perf_counter()
        await replays(gate, 2000)
        figures["replay us, one at a time"] = (time.perf_counter() - began_s) / 2000 * 1e6
        await calls(gate, count, max(100_000 - count, 0))
        server_s = server_cpu_s(server)
        await calls(gate, 1 << 20, count)
        figures["server CPU us a call at 100,000 records"] = (server_cpu_s(server) - server_s) / count * 1e6
    finally:
        await gate.stop()
        server.stop()
    return figures


def main() -> None:
    """Measure, print, compare."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for name, program in engines().items():
        with (
            tempfile.TemporaryDirectory(prefix="sc-") as folder,
            asyncio.Runner(loop_factory=_loop) as runner,
        ):
            figures = runner.run(measure(program, count, Path(folder)))
        print(f"{name}: {count} calls, {IN_FLIGHT} in flight")
        for what, value in sorted(figures.items()):
            reach = f"   reach {REACH[what]:.0f}" if what in REACH else ""
            print(f"  {what:42} {value:10.1f}{reach}")


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


if __name__ == "__main__":
    main()
