"""What becomes of the agent's own containers: the variables of ``sidecar env``, and the certificates to trust.

What an agent had set for itself is not overruled in silence.  Another proxy is replaced, since two cannot be obeyed,
and that is warned of.  ``NO_PROXY`` is a list and is joined, less what would let a tool's own host go past.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sidecar.agentenv.variables import Variable
from sidecar.inject.containers import OUR_VOLUMES, SHARE_VOLUME
from sidecar.inject.shape import Json, listed, mapping, put, words
from sidecar.inject.standard import SHARE, Standard

EXEMPTIONS: Final = ("NO_PROXY", "no_proxy")
BYPASSES: Final = ("NET_RAW", "SETUID")
"""In enforced mode no agent has these, which most containers have by default and few use: the one sends packets that
no rule sees, the other becomes the sidecar's own user."""


@dataclass(frozen=True, slots=True)
class Agents:
    """Makes containers what they must be, and collects what somebody should be told."""

    standard: Standard
    enforced: bool = False
    warnings: list[str] = field(default_factory=list)

    def gated(self, container: Json) -> Json:
        """``container`` as it has to be."""
        where = f"container {container['name']}"
        env = listed(container, "env", where)
        for variable in self.standard.variables:
            env = put(env, self._variable(variable, env, container["name"]))
        result = container | {"env": env}
        mounts = self._mounts(listed(container, "volumeMounts", where))
        if mounts or "volumeMounts" in container:
            result["volumeMounts"] = mounts
        if self.enforced:
            result["securityContext"] = _unable(mapping(container, "securityContext", where), where)
        return result

    def _variable(self, variable: Variable, env: Iterable[Json], container: str) -> Json:
        name = variable.name
        before = next((item for item in env if item["name"] == name), None)
        value = variable.value.replace("$", "$$")  # $(NAME) would be expanded
        if before is None or before == {"name": name, "value": value}:
            return {"name": name, "value": value}
        written = before.get("value")
        if name in EXEMPTIONS and isinstance(written, str):
            value = self._exempt(written, value, container)
        elif variable.joint and isinstance(written, str):
            parts = [part for part in written.split(variable.joint) if part and part != value]
            value = variable.joint.join([value, *parts])
        else:
            self._tell(f"{container}: {name} was set to something else and is replaced by the sidecar's")
        return {"name": name, "value": value}

    def _exempt(self, written: str, ours: str, container: str) -> str:
        """What was exempted stays so, in its order, but for what a tool's host would match."""
        kept = []
        for entry in filter(None, map(str.strip, written.split(","))):
            if any(_covers(entry, host) for host in self.standard.hosts):
                self._tell(
                    f"{container}: '{entry}' is taken out of NO_PROXY: a tool would go past the sidecar"
                )
            elif entry not in kept:
                kept.append(entry)
        return ",".join([*kept, *(entry for entry in ours.split(",") if entry not in kept)])

    def _mounts(self, mounts: list[Json]) -> list[Json]:
        """An agent sees the certificates, and cannot write them; nothing else of ours."""
        share = {"name": SHARE_VOLUME, "mountPath": SHARE, "readOnly": True}
        seen = self.standard.intercepts
        kept = [
            mount
            for mount in mounts
            if mount["name"] not in OUR_VOLUMES or (seen and mount["name"] == SHARE_VOLUME)
        ]
        return put(kept, share) if seen else kept

    def _tell(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


def _covers(entry: str, host: str) -> bool:
    """Whether some client takes ``entry`` for ``host``; ports are left off, as clients differ about them."""
    name = entry.lower().partition(":")[0].lstrip("*").lstrip(".")
    return f".{host}".endswith(f".{name}") if name else entry.startswith("*")


def _unable(context: Json, where: str) -> Json:
    """Without the capabilities that lead past the redirection."""
    capabilities = mapping(context, "capabilities", f"{where}.securityContext")
    drop = words(capabilities, "drop", f"{where}.securityContext.capabilities")
    if "ALL" in drop:
        return context
    drop = [*drop, *(name for name in BYPASSES if name not in drop)]
    return context | {"capabilities": capabilities | {"drop": drop}}
