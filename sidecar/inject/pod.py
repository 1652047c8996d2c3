"""The rule: a pod as it has to be.

The agent is stopped first, and the sidecar when it has ended; both within the pod's ``terminationGracePeriodSeconds``.
So that becomes what the agent had, and the drain, and a little; what the agent had is noted in an annotation, lest it
grow with every look at the pod.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from sidecar.inject.agent import Agents
from sidecar.inject.containers import OUR_VOLUMES, OURS, REDIRECT, SIDECAR, redirect, sidecar, volumes
from sidecar.inject.shape import Json, Malformed, listed, mapping, put, texts, words
from sidecar.inject.standard import Standard
from sidecar.inject.wanted import GRACE, INJECTED, PREFIX, Rejected, Wanted, opted_out, wanted

USUAL_GRACE_S: Final = 30
"""What the API server writes where a pod does not say."""
MARGIN_S: Final = 5
"""For the kubelet's own steps between the end of one container and the signal to the next."""

ADDED: Final = frozenset(
    {
        *("imagePullPolicy", "terminationMessagePath", "procMount", "resizePolicy"),
        *("scheme", "successThreshold", "protocol", "defaultMode"),
        *("cpu", "memory", "ephemeral-storage"),  # a LimitRange, where we ask for none
    }
)
"""Fields that the API server fills in by itself in what we made; they may be there, and are left alone."""
TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
"""Mounted into every container of a pod, ours as well, by the API server."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to become of a pod that may start."""

    pod: Json
    decision: Literal["injected", "opted-out"]
    warnings: tuple[str, ...] = ()


def inject(pod: Json, standard: Standard) -> Outcome:
    """``pod`` as it has to be; ``pod`` itself is not touched.  Raises Rejected, and Malformed for what is no pod."""
    spec, metadata = mapping(pod, "spec"), mapping(pod, "metadata")
    _shaped(spec)
    labels, annotations = texts(metadata, "labels", "metadata"), texts(metadata, "annotations", "metadata")
    if opted_out(pod):
        _may_opt_out(labels, standard)
        return Outcome(pod, "opted-out")
    asked = wanted(pod, _grace_s(spec), standard)
    problems = [*_unfit(spec, standard), *_clashes(spec, asked, standard)]
    if problems:
        raise Rejected(*problems)
    agents = Agents(standard, enforced=asked.mode == "enforced")
    metadata = metadata | {
        "labels": labels | {INJECTED: "true"},
        "annotations": annotations | {GRACE: str(asked.grace_s)},
    }
    made = pod | {"metadata": metadata, "spec": _spec(spec, asked, standard, agents)}
    return Outcome(made, "injected", (*agents.warnings, *_doubts(spec, asked, standard)))


def _spec(spec: Json, asked: Wanted, standard: Standard, agents: Agents) -> Json:
    found = {each["name"]: each for each in _containers(spec) if each["name"] in OURS}
    own = _own(sidecar(asked, standard), found.get(SIDECAR))
    first = [_own(redirect(asked, standard), found.get(REDIRECT))] if asked.mode == "enforced" else []
    early = [agents.gated(each) for each in _theirs(spec, "initContainers")]
    late = [agents.gated(each) for each in _theirs(spec, "containers")]
    early = [*([own] if standard.native else []), *first, *early]
    result = spec | {
        "containers": late if standard.native else [own, *late],
        "volumes": _volumes(spec, asked, standard),
        "terminationGracePeriodSeconds": asked.grace_s + asked.drain_s + MARGIN_S,
    }
    return result | {"initContainers": early} if early or "initContainers" in spec else result


def _volumes(spec: Json, asked: Wanted, standard: Standard) -> list[Json]:
    before = listed(spec, "volumes", "spec")
    ours = volumes(asked, standard)
    wanted_names = {volume["name"] for volume in ours}
    result = [each for each in before if each["name"] not in OUR_VOLUMES or each["name"] in wanted_names]
    for volume in ours:
        there = next((each for each in before if each["name"] == volume["name"]), None)
        result = put(result, _settled(volume, there))
    return result


def _own(wanted: Json, found: Json | None) -> Json:
    """One of our containers, with the token that is mounted into every one."""
    if found is None:
        return wanted
    mounts = listed(found, "volumeMounts", f"container {wanted['name']}")
    tokens = [each for each in mounts if each.get("mountPath") == TOKEN]
    settled: Json = _settled(wanted, found)
    return settled | {"volumeMounts": [*wanted.get("volumeMounts", []), *tokens]} if tokens else settled


def _settled(wanted: Any, found: Any) -> Any:
    """``wanted``, with what the API server had added to it by itself."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        added = {key: value for key, value in found.items() if key in ADDED and key not in wanted}
        return {key: _settled(value, found.get(key)) for key, value in wanted.items()} | added
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [_settled(one, other) for one, other in zip(wanted, found, strict=True)]
    return wanted


def _containers(spec: Json) -> list[Json]:
    return [*listed(spec, "initContainers", "spec"), *listed(spec, "containers", "spec")]


def _theirs(spec: Json, key: str) -> list[Json]:
    return [each for each in listed(spec, key, "spec") if each["name"] not in OURS]


def _shaped(spec: Json) -> None:
    if not _theirs(spec, "containers"):
        raise Malformed("spec.containers must have one that is not the sidecar's")


def _grace_s(spec: Json) -> int:
    grace_s = spec.get("terminationGracePeriodSeconds", USUAL_GRACE_S)
    if not isinstance(grace_s, int) or grace_s < 0:
        raise Malformed("spec.terminationGracePeriodSeconds must be a whole number")
    return grace_s


def _may_opt_out(labels: Json, standard: Standard) -> None:
    if not standard.opt_out:
        raise Rejected(
            f"{PREFIX}inject: no pod may opt out here; remove it, or start the pod in another namespace"
        )
    if INJECTED in labels:
        raise Rejected(
            f"the label {INJECTED} is for pods with a sidecar, and this one wants none; remove the label"
        )


def _unfit(spec: Json, standard: Standard) -> Iterator[str]:
    """Why a sidecar cannot gate such a pod at all."""
    way = f"start it in a namespace that is not gated, or with the annotation {PREFIX}inject: disabled"
    if spec.get("hostNetwork"):
        yield f"a pod on its node's network (hostNetwork) shares it with others and cannot be gated; {way}"
    system = mapping(spec, "os", "spec").get("name") or texts(spec, "nodeSelector", "spec").get(
        "kubernetes.io/os"
    )
    if system == "windows":
        yield f"the sidecar runs on Linux and this pod on Windows; {way}"
    if not standard.native and spec.get("restartPolicy", "Always") != "Always":
        yield (
            "a pod that is to end (a Job's, restartPolicy Never or OnFailure) never would, since a sidecar beside it "
            f"runs on: that takes Kubernetes 1.29; {way}"
        )


def _clashes(spec: Json, asked: Wanted, standard: Standard) -> Iterator[str]:
    """What of the agent's own containers stands in the way."""
    taken = {standard.proxy[1]: "listen.proxy", standard.admin[1]: "listen.admin"}
    for container in (*_theirs(spec, "initContainers"), *_theirs(spec, "containers")):
        name = container["name"]
        ports = container.get("ports") or []
        for port in (each.get("containerPort") for each in ports if isinstance(each, dict)):
            if port in taken:
                yield f"container {name} listens on port {port}, and so does the sidecar; change {taken[port]}"
        if asked.mode == "enforced":
            yield from (f"container {name} {how}" for how in _slips(container, spec, asked.uid))


def _slips(container: Json, spec: Json, uid: int) -> Iterator[str]:
    """How it could get past the redirection."""
    context = mapping(container, "securityContext", "container")
    general = mapping(spec, "securityContext", "spec")
    added = words(mapping(context, "capabilities", "container"), "add", "capabilities")
    powers = {"ALL", "NET_ADMIN", "NET_RAW", "SETUID", "SYS_ADMIN", "SYS_PTRACE", "BPF"} & set(added)
    if context.get("privileged"):
        yield "is privileged, so it could undo the redirection of enforced mode; remove privileged"
    if powers:
        yield f"has {', '.join(sorted(powers))}, so it could get past enforced mode; remove that"
    if context.get("runAsUser", general.get("runAsUser")) == uid:
        yield f"runs as {uid}, as the sidecar does, so it would not be redirected; change one, {PREFIX}uid or runAsUser"


def _doubts(spec: Json, asked: Wanted, standard: Standard) -> Iterator[str]:
    if asked.mode == "enforced" and not standard.intercepts:
        yield "enforced mode, and no 'tls' in the configuration: HTTPS to the tools cannot be gated and is refused"
    early = [each["name"] for each in _theirs(spec, "initContainers")]
    if early and not standard.native:
        yield (
            f"init containers ({', '.join(early)}) run before the sidecar on this cluster: their calls fail; "
            "Kubernetes 1.29 starts it first"
        )
