"""What a pod asks of its sidecar, in annotations or labels under our prefix.

A word under the prefix that nobody knows is refused: a mistyped ``tennant`` would silently serve the pod as somebody
else.  What is wrong is told all at once.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sidecar.core.identity import LONGEST
from sidecar.core.problems import listed, meant, shown
from sidecar.inject.shape import Json, texts
from sidecar.inject.standard import Standard

PREFIX: Final = "sidecar.agents.dev/"
INJECTED: Final = f"{PREFIX}injected"
"""A label of ours: what network policies and monitors select by."""
GRACE: Final = f"{PREFIX}grace-seconds"
LONGEST_S: Final = 3600

_IDENTITY: Final = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{LONGEST - 2}}}[\x21-\x7e])?").fullmatch
_CONFIG_MAP: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,200}[a-z0-9])?").fullmatch
_CPU: Final = re.compile(r"[1-9][0-9]{0,6}m|[0-9]{1,4}(?:\.[0-9]{1,3})?").fullmatch
_MEMORY: Final = re.compile(r"([1-9][0-9]{0,9})(Ki|Mi|Gi)").fullmatch
_IMAGE: Final = re.compile(r"[a-zA-Z0-9][\w./:@-]{0,510}", re.ASCII).fullmatch
_UNITS: Final = {"Ki": 1 / 1024, "Mi": 1.0, "Gi": 1024.0}
LEAST_MI: Final = 64
"""An idle sidecar has 42 MiB."""


class Rejected(Exception):
    """The pod must not start; the texts say why, and what to do."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Every word, with what it is where nobody says it."""

    image: str
    config: str
    uid: int
    drain_s: int
    grace_s: int
    """How long the agent may take to stop, before the sidecar begins to."""
    tenant: str = ""
    workflow: str = ""
    mode: Literal["proxy", "enforced"] = "proxy"
    cpu: str = "100m"
    memory: str = "128Mi"
    log_level: str = ""


def opted_out(pod: Json) -> bool:
    """Whether it says that it wants no sidecar."""
    return _said(pod, []).get("inject") == "disabled"


def wanted(pod: Json, grace_s: int, standard: Standard) -> Wanted:
    """``grace_s``: the pod's own ``terminationGracePeriodSeconds``.  Raises Rejected."""
    problems: list[str] = []
    said = _said(pod, problems)
    values: dict[str, Any] = {}
    for word, text in said.items():
        try:
            values[word.replace("-", "_").replace("seconds", "s")] = _READERS[word](text)
        except ValueError as error:
            problems.append(f"{PREFIX}{word}: '{shown(text)}' {error}")
    problems += _foreign(values.get("image", ""), standard)
    if problems:
        raise Rejected(*problems)
    values.pop("inject", None)
    known = {
        "image": standard.image,
        "config": standard.config_map,
        "uid": standard.uid,
        "drain_s": standard.drain_s,
        "grace_s": grace_s,
    }
    return Wanted(**{**known, **values})


def _said(pod: Json, problems: list[str]) -> dict[str, str]:
    """Our words with their texts.  What is unknown, or said twice and differently, goes to ``problems``."""
    metadata = pod.get("metadata") or {}
    labels, annotations = texts(metadata, "labels", "metadata"), texts(metadata, "annotations", "metadata")
    said: dict[str, str] = {}
    ours = _ours(labels)
    for source in (ours, _ours(annotations)):
        for word, text in source.items():
            if source is ours and word == "injected" and text == "true":
                continue
            if word not in _READERS:
                hint = meant(word, _READERS) or f"; known are {', '.join(sorted(_READERS))}"
                problems.append(f"unknown annotation {PREFIX}{shown(word)}{hint}")
            elif said.setdefault(word, text) != text:
                problems.append(
                    f"{PREFIX}{word}: the label says '{said[word]}' and the annotation '{shown(text)}'; keep one"
                )
    return said


def _ours(source: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(PREFIX): text for key, text in source.items() if key.startswith(PREFIX)}


def _foreign(image: str, standard: Standard) -> list[str]:
    known = [name.rstrip("/") for name in standard.registries]
    if (
        not image
        or not known
        or any(image.startswith((f"{name}/", f"{name}:", f"{name}@")) for name in known)
    ):
        return []
    return [f"{PREFIX}image: '{shown(image)}' is not from here; it must begin with {listed(known)}"]


def _word(*known: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"is not {listed(known)}{meant(text, known)}")
        return text

    return read


def _fitting(pattern: Callable[[str], object], otherwise: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not pattern(text):
            raise ValueError(otherwise)
        return text

    return read


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not text.isascii() or len(text) > 10 or not least <= int(text) <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(text)

    return read


def _memory(text: str) -> str:
    found = _MEMORY(text)
    if found is None:
        raise ValueError("is not an amount of memory; write 128Mi")
    if int(found[1]) * _UNITS[found[2]] < LEAST_MI:
        raise ValueError(f"is too little; an idle sidecar needs {LEAST_MI}Mi")
    return text


def _cpu(text: str) -> str:
    if not _CPU(text) or not text.strip("0.m"):
        raise ValueError("is not an amount of CPU; write 100m, or 0.5")
    return text


_identity = _fitting(_IDENTITY, f"is not an identity; use printable ASCII, at most {LONGEST} characters")

_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "inject": _word("enabled", "disabled"),
    "tenant": _identity,
    "workflow": _identity,
    "config": _fitting(_CONFIG_MAP, "is not the name of a ConfigMap"),
    "mode": _word("proxy", "enforced"),
    "cpu": _cpu,
    "memory": _memory,
    "image": _fitting(_IMAGE, "is not an image; write REGISTRY/NAME:TAG"),
    "log-level": _word("debug", "info", "warning", "error"),
    "drain-seconds": _number(0, LONGEST_S),
    "uid": _number(1, 2**31 - 1),
    "grace-seconds": _number(0, 10 * LONGEST_S),
}
