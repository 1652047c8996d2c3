"""Putting the rules in place, with nft where it is, else with iptables; or not at all, and saying why.

Whatever fails raises ``RedirectError``, so that an init container fails and its pod does not start: an agent that is
not redirected must not run.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sidecar.redirect.rules import CHAIN, TABLE, Redirect, iptables, iptables_removed, nft, nft_removed

NET_ADMIN: Final = 12
"""The bit of CAP_NET_ADMIN (linux/capability.h)."""
PATIENCE_S: Final = 20
TABLES: Final = ("nat", "filter")
SBIN: Final = "/usr/sbin:/sbin"
"""Not on the PATH of everybody, and where these programs are."""


class RedirectError(Exception):
    """The rules are not in place; the text says why, and what to do."""


def install(redirect: Redirect) -> str:
    """Put them in place, whatever of ours was there; the program that did.  Raises RedirectError."""
    _may()
    if program := _found("nft"):
        _run([program, "-f", "-"], nft(redirect))
        return "nft"
    for version, name in _families():
        _run([_restore(name), "--noflush", "-w", "10"], iptables(redirect, version, hooked=_hooked(name)))
    return "iptables"


def remove() -> None:
    """Take away what ``install`` put there, by whichever program.  Raises RedirectError."""
    _may()
    if program := _found("nft"):
        _run([program, "-f", "-"], nft_removed())
    for _, name in _families() if _found("iptables-restore") else ():
        if hooked := _hooked(name):
            _run([_restore(name), "--noflush", "-w", "10"], iptables_removed(hooked))
    if not program and not _found("iptables-restore"):
        raise _no_program()


def check(redirect: Redirect) -> None:
    """Raises RedirectError where they are not in place, or are another set."""
    _may()
    if program := _found("nft"):
        shown = [_run([program, "list", "table", "inet", TABLE], failed="they are not in place: ")]
    else:
        shown = [
            _run([name, "-w", "10", "-t", table, "-S", CHAIN], failed="they are not in place: ")
            for _, name in _families()
            for table in TABLES
        ]
        if any(set(_hooked(name)) != set(TABLES) for _, name in _families()):
            raise RedirectError("they are not in place: OUTPUT does not lead to them")
    if not all(redirect.mark in each for each in shown):
        raise RedirectError("they are in place, and made from other arguments")


def _may() -> None:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        raise RedirectError("this needs Linux") from None
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    if not int(effective, 16) >> NET_ADMIN & 1:
        raise RedirectError(
            f"the capability NET_ADMIN is missing (user {os.geteuid()}); run this as root in an init container with "
            "'capabilities: {drop: [ALL], add: [NET_ADMIN]}', and nothing else there"
        )


def _families() -> Sequence[tuple[int, str]]:
    """IP versions, and the program for each.  Without IPv6 in the kernel there is none to be redirected."""
    six = Path("/proc/net/if_inet6").exists()
    return ((4, "iptables"), (6, "ip6tables")) if six else ((4, "iptables"),)


def _hooked(name: str) -> list[str]:
    """The tables in which OUTPUT leads to our chain."""
    program = _found(name)
    if not program:
        raise _no_program()
    return [
        table
        for table in TABLES
        if _ran([program, "-w", "10", "-t", table, "-C", "OUTPUT", "-j", CHAIN]).returncode == 0
    ]


def _restore(name: str) -> str:
    program = _found(f"{name}-restore")
    if not program:
        raise _no_program()
    return program


def _no_program() -> RedirectError:
    return RedirectError(
        "neither nft nor iptables (with ip6tables) is installed here; use an image that has the package 'nftables'"
    )


def _found(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}") or ""


def _run(command: Sequence[str], text: str = "", failed: str = "") -> str:
    ran = _ran([_found(command[0]) or command[0], *command[1:]], text)
    if ran.returncode:
        said = " ".join(ran.stderr.split()) or f"exit status {ran.returncode}"
        raise RedirectError(f"{failed}{Path(command[0]).name}: {said}")
    return ran.stdout


def _ran(command: Sequence[str], text: str = "") -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603 - programs found on the PATH, without a shell, and words of our own
            command, input=text, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RedirectError(f"{Path(command[0]).name} could not be run: {error}") from None
