"""What every sidecar of a cluster gets, where its pod does not say otherwise."""

from dataclasses import dataclass
from typing import Final

from sidecar.agentenv.variables import Variable
from sidecar.core.config import Address

UID: Final = 61337
"""A number that no image has for a user of its own, since enforced mode tells the agent from the sidecar by it.

``nonroot`` of distroless images is 65532, the sidecar image's own user too.
"""
SHARE: Final = "/var/run/agent-sidecar"
"""Where the sidecar puts the certificates that agents are to trust, in both file systems."""


@dataclass(frozen=True, slots=True)
class Standard:
    """Made of the webhook's own configuration and of its flags."""

    image: str
    proxy: Address
    """Where the sidecar listens in every pod: agents, probes and rules rely on it."""
    admin: Address
    drain_s: int
    variables: tuple[Variable, ...]
    """What ``sidecar env`` says of the configuration."""
    hosts: tuple[str, ...] = ()
    """The tools', for what an agent must not exempt from the proxy."""
    intercepts: bool = False
    """HTTPS is opened, so agents are given an authority to trust."""
    config_map: str = "sidecar-config"
    secret: str = "sidecar-env"  # noqa: S105 - the name of one
    uid: int = UID
    native: bool = True
    """The cluster knows init containers that go on running (Kubernetes 1.29)."""
    opt_out: bool = True
    """A pod may say ``inject: disabled``."""
    registries: tuple[str, ...] = ()
    """What an image that a pod asks for must begin with; none: anything."""
    exclude: tuple[str, ...] = ()
    """Networks that enforced mode leaves alone."""


def folder_map(config_map: str, folder: str) -> str:
    """The ConfigMap of a folder's files, since one holds no folders: ``crm-config`` has ``crm-routes``."""
    return f"{config_map.removesuffix('-config')}-{folder}"
