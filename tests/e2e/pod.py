"""A pod, as the kernel sees one: a network namespace of its own, joined to the test's by a cable.

Its init container, its sidecar and its agents run in it, each as the user it would have; its names come from a hosts
file of its own.  What they call listens on the test's end of the cable.  Takes root, as the init container does.
"""

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.harness import CLEAN_ENV

SIDECAR, AGENT = 1337, 1000
"""Users."""
HOSTS = Path("/etc/netns")
SEARCHED = f"{os.environ['PATH']}:/usr/sbin:/sbin"
_count = itertools.count()


class Ran:
    """What came of a command."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def __repr__(self) -> str:
        return f"exit {self.status}\n{self.out}\n{self.err}"


class Pod:
    """``v4`` and ``v6`` are on the test's end: ``v4(10)`` is an address that something may listen on."""

    def __init__(self) -> None:
        number = os.getpid() * 8 + next(_count) % 8
        self.name = f"pod{number}"
        self._cable = f"sc{number}"
        self._net4 = f"10.{200 + number % 50}.{number // 50 % 250}"
        self._net6 = f"fd5c:{number >> 16:x}:{number & 0xFFFF:x}:"

    def v4(self, host: int) -> str:
        return f"{self._net4}.{host}"

    def v6(self, host: int) -> str:
        return f"{self._net6}:{host:x}"

    @property
    def networks(self) -> str:
        """All that is beyond the cable, as a YAML list."""
        return f'["{self._net4}.0/24", "{self._net6}:/64"]'

    def lay(self, addresses: Sequence[int], names: Mapping[str, int]) -> None:
        """The cable, and who is called what; names that end in ``6.test`` have an IPv6 address only."""
        near, far, within = self._cable, f"{self._cable}p", ("-n", self.name)
        _ip("netns", "add", self.name)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
        for host in (1, *addresses):
            _ip("addr", "add", f"{self.v4(host)}/24", "dev", near)
            _ip("addr", "add", f"{self.v6(host)}/64", "dev", near, "nodad")
        _ip(*within, "addr", "add", f"{self.v4(2)}/24", "dev", far)
        _ip(*within, "addr", "add", f"{self.v6(2)}/64", "dev", far, "nodad")
        for command in (("link", "set", near, "up"), (*within, "link", "set", far, "up")):
            _ip(*command)
        _ip(*within, "link", "set", "lo", "up")
        own = HOSTS / self.name
        own.mkdir(parents=True)
        lines = [
            f"{self.v6(host) if name.endswith('6.test') else self.v4(host)} {name}"
            for name, host in names.items()
        ]
        (own / "hosts").write_text("\n".join(["127.0.0.1 localhost", "::1 localhost", *lines]) + "\n")
        (own / "resolv.conf").write_text("nameserver 127.0.0.1\n")

    def take_away(self) -> None:
        _ip("netns", "delete", self.name, check=False)
        _ip("link", "delete", self._cable, check=False)
        shutil.rmtree(HOSTS / self.name, ignore_errors=True)

    def within(self, user: int = 0) -> list[str]:
        """What runs a command in the pod.  Its interpreter may be where only root could read it."""
        caps = ("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override")
        drop = [_program("setpriv"), "--reuid", str(user), "--regid", str(user), "--clear-groups", *caps]
        return [_program("ip"), "netns", "exec", self.name, *(drop if user else [])]

    async def run(self, *command: str, user: int = AGENT, env: Mapping[str, str] | None = None) -> Ran:
        """Run it to its end."""
        process = await asyncio.create_subprocess_exec(
            *self.within(user),
            *command,
            env=CLEAN_ENV | {"PATH": SEARCHED} | dict(env or {}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    async def python(self, code: str, *arguments: str, env: Mapping[str, str] | None = None) -> Ran:
        return await self.run(sys.executable, "-c", code, *arguments, env=env)

    async def redirect(self, *options: str, uid: int = SIDECAR, env: Mapping[str, str] | None = None) -> Ran:
        """The init container."""
        words = ("-m", "sidecar", "redirect", "--uid", str(uid), *options)
        return await self.run(sys.executable, *words, user=0, env=env)


@contextmanager
def pod(addresses: Sequence[int] = (), names: Mapping[str, int] | None = None) -> Iterator[Pod]:
    assert os.geteuid() == 0, (
        "network namespaces are made by root: run these tests as root, in a container for instance"
    )
    it = Pod()
    try:
        it.lay(addresses, names or {})
        yield it
    finally:
        it.take_away()


def _program(name: str) -> str:
    """Whatever PATH the command is given."""
    found = shutil.which(name, path=SEARCHED)
    assert found, f"{name} is not installed"
    return found


def _ip(*words: str, check: bool = True) -> None:
    ran = subprocess.run([_program("ip"), *words], capture_output=True, text=True, check=False)
    assert not check or ran.returncode == 0, f"ip {' '.join(words)}: {ran.stderr}"
