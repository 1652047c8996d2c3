"""What a sidecar's own environment says over ``sidecar.yaml``: who it serves, and what differs from pod to pod.

One configuration is shared by many sidecars, and the injector writes these into each one's container.  The agent sees
another environment, and a pin is beaten by nothing that a call says; so whoever may write the pod decides whose calls
they are, and whoever runs in it does not.

They are laid over the document before it is read, so the schema judges them like the file's own values, and a message
names the variable.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sidecar.core.document import Document, Mark, Node, Path

OVERLAY: Final[Mapping[str, Path]] = {
    "SIDECAR_TENANT": ("identity", "tenant", "pin"),
    "SIDECAR_WORKFLOW": ("identity", "workflow", "pin"),
    "SIDECAR_LISTEN_PROXY": ("listen", "proxy"),
    "SIDECAR_LISTEN_ADMIN": ("listen", "admin"),
    "SIDECAR_LISTEN_TRANSPARENT": ("listen", "transparent"),
    "SIDECAR_STORE_STATE": ("store", "state"),
    "SIDECAR_TLS_SHARE": ("tls", "share"),
    "SIDECAR_LOG_LEVEL": ("log", "level"),
    "SIDECAR_DRAIN": ("drain",),
}
"""Each variable, and the field that it is written over.  Set but empty is as good as unset."""

_NOWHERE: Final = Mark(1, 1)


def blank() -> Document:
    """What stands in for a ``sidecar.yaml`` that is not there, for something to be written over."""
    return Document("sidecar.yaml", Node(_NOWHERE, {"version": Node(_NOWHERE, "1")}))


def overlaid(environ: Mapping[str, str]) -> bool:
    """Whether the environment says anything."""
    return any(environ.get(name) for name in OVERLAY)


def overlay(document: Document, environ: Mapping[str, str]) -> Document:
    """``document`` with the environment's word in it."""
    root = document.root
    for name, path in OVERLAY.items():
        if text := environ.get(name):
            root = _written(root, path, Node(root.mark, text, variables=(name,)))
    return replace(document, root=root)


def _written(node: Node, path: Path, value: Node) -> Node:
    """A pin stands alone, so whatever else was written beside it gives way."""
    if not path:
        return value
    step = str(path[0])
    if step == "pin":
        node = Node(node.mark, None)
    if isinstance(node.value, str | list):
        return node  # a mistake, which is told
    entries = dict(node.value or {})
    keys = dict(node.keys)
    entries[step] = _written(entries.get(step, Node(node.mark, None)), path[1:], value)
    keys.setdefault(step, node.mark)
    return replace(node, value=entries, keys=keys)
