"""What the overlays and the chart come to, and what Kubernetes says to it."""

import functools
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from tests.k8s.custom import SCHEMAS

REPO = Path(__file__).parents[2]
OVERLAYS = ("dev", "production")
ROUTES = sorted((REPO / "config" / "routes").glob("*.yaml"))
STATES = sorted((REPO / "config" / "states").glob("*.yaml"))
SYSTEM = "agent-sidecar"
"""The namespace of the webhook."""

Manifest = dict[str, Any]
Manifests = dict[tuple[str, str, str], Manifest]
"""By kind, namespace and name."""


def run(program: str, *words: object) -> str:
    """Run kubectl or helm; AssertionError with what it said."""
    done = subprocess.run(
        [REPO / ".tools" / program, *map(str, words)], check=False, capture_output=True, text=True, cwd=REPO
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def kustomized(overlay: str) -> Manifests:
    return parsed(run("kubectl", "kustomize", f"k8s/overlays/{overlay}"))


def handed_over(overlay: str) -> list[str]:
    """The arguments that give the chart an overlay's configuration and values."""
    folder = REPO / "k8s" / "overlays" / overlay
    routes = [f"--set-file=config.{path.parent.name}.{path.stem}={path}" for path in (*ROUTES, *STATES)]
    return [
        f"--values={folder}/values.yaml",
        f"--set-file=config.sidecar={folder}/config/sidecar.yaml",
        *routes,
    ]


def charted(overlay: str, *more: str, namespace: str = SYSTEM) -> Manifests:
    words = ("template", "sidecar", "k8s/chart", "--namespace", namespace, *handed_over(overlay), *more)
    return parsed(run("helm", *words))


def parsed(text: str) -> Manifests:
    found = [document for document in yaml.safe_load_all(text) if document]
    named = {key(document): document for document in found}
    assert len(named) == len(found), "two of one name"
    return named


def key(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def of(manifests: Manifests, kind: str) -> list[Manifest]:
    return [manifest for (it, _, _), manifest in manifests.items() if it == kind]


def check(manifest: Manifest, version: str) -> None:
    """Raises what is wrong with it, unknown fields included."""
    if (schema := SCHEMAS.get((manifest["apiVersion"], manifest["kind"]))) is not None:
        jsonschema.validate(manifest["spec"], schema)
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


def selected(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes something with these labels."""
    return (selector.get("matchLabels") or {}).items() <= labels.items() and all(
        (labels.get(it["key"]) in it["values"]) == (it["operator"] == "In")
        for it in selector.get("matchExpressions", ())
    )


ALLOWED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)


def unrestricted(pod: Manifest) -> Iterator[str]:
    """What Pod Security's `restricted` would say to a pod's spec."""
    whole = pod.get("securityContext", {})
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name))
    for volume in pod.get("volumes", ()):
        yield from (f"volume {kind}" for kind in volume.keys() - ALLOWED_VOLUMES - {"name"})
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        own = container.get("securityContext", {})
        both = whole | own
        rules = {
            "capabilities": own.get("capabilities", {}).get("drop") == ["ALL"]
            and set(own["capabilities"].get("add", ())) <= {"NET_BIND_SERVICE"},
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "privileged": not own.get("privileged"),
            "runAsNonRoot": both.get("runAsNonRoot") is True,
            "runAsUser": both.get("runAsUser") != 0,
            "seccompProfile": both.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "hostPort": not any(port.get("hostPort") for port in container.get("ports", ())),
            "procMount": own.get("procMount", "Default") == "Default",
        }
        yield from (f"{container['name']}: {rule}" for rule, held in rules.items() if not held)
