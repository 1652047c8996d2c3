"""AdmissionReview in, AdmissionReview out (admission.k8s.io/v1).

``mutate`` makes a pod what it has to be, or refuses it.  ``validate`` comes last, after all other webhooks, and sees
the pod as it will be stored: it refuses one to which something is left to do.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from sidecar.inject.containers import OURS
from sidecar.inject.patch import patch
from sidecar.inject.pod import inject
from sidecar.inject.shape import Json, Malformed, listed, mapping, texts
from sidecar.inject.standard import Standard
from sidecar.inject.wanted import INJECTED, Rejected

VERSION: Final = "admission.k8s.io/v1"
LONGEST_WARNING: Final = 256
"""Characters; the API server cuts what is longer, and all of them once they are 4096."""

Decision = Literal["injected", "unchanged", "opted-out", "gated", "not-ours", "refused"]


@dataclass(frozen=True, slots=True)
class Request:
    """What the API server asks."""

    uid: str
    operation: str
    kind: str
    subresource: str
    namespace: str
    name: str
    """Of the pod, or what its name will begin with."""
    dry_run: bool
    pod: Json
    before: Json
    """The stored pod, where it is updated."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is answered."""

    decision: Decision
    message: str = ""
    warnings: tuple[str, ...] = ()
    patch: tuple[Json, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.decision != "refused"


def request(body: bytes) -> Request:
    """Raises Malformed."""
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error}") from None
    if not isinstance(review, dict) or review.get("kind") != "AdmissionReview":
        raise Malformed("the body must be an AdmissionReview")
    if review.get("apiVersion") != VERSION:
        raise Malformed(
            f"apiVersion must be {VERSION}; set admissionReviewVersions: [v1] in the webhook's rule"
        )
    asked = mapping(review, "request")
    if not asked:
        raise Malformed("request must be there")
    return _request(asked)


def _request(asked: Json) -> Request:
    pod, before = mapping(asked, "object", "request"), mapping(asked, "oldObject", "request")
    metadata = mapping(pod, "metadata", "request.object")
    name = _text(asked, "name") or _text(metadata, "name") or _text(metadata, "generateName")
    uid = _text(asked, "uid")
    if not uid:
        raise Malformed("request.uid must be there")
    return Request(
        uid=uid,
        operation=_text(asked, "operation"),
        kind=_text(mapping(asked, "kind", "request"), "kind"),
        subresource=_text(asked, "subResource"),
        namespace=_text(asked, "namespace"),
        name=name,
        dry_run=asked.get("dryRun") is True,
        pod=pod,
        before=before,
    )


def _text(owner: Json, key: str) -> str:
    value = owner.get(key)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"{key} must be text")
    return value or ""


def mutate(asked: Request, standard: Standard) -> Verdict:
    """Raises Malformed."""
    if not _pod(asked, "CREATE"):
        return Verdict("not-ours")
    try:
        outcome = inject(asked.pod, standard)
    except Rejected as no:
        return Verdict("refused", str(no))
    if outcome.decision == "opted-out":
        return Verdict("opted-out")
    operations = tuple(patch(asked.pod, outcome.pod))
    return Verdict("injected" if operations else "unchanged", warnings=outcome.warnings, patch=operations)


def validate(asked: Request, standard: Standard) -> Verdict:
    """Raises Malformed."""
    if _pod(asked, "UPDATE"):
        return _still(asked)
    if not _pod(asked, "CREATE"):
        return Verdict("not-ours")
    try:
        outcome = inject(asked.pod, standard)
    except Rejected as no:
        return Verdict("refused", str(no))
    if outcome.decision == "opted-out":
        return Verdict("opted-out")
    ungated = _ungated(asked.pod, outcome.pod)
    return Verdict("refused", ungated) if ungated else Verdict("gated")


def answer(asked: Request, verdict: Verdict) -> Json:
    """The AdmissionReview to send back."""
    response: Json = {"uid": asked.uid, "allowed": verdict.allowed}
    if verdict.patch:
        response |= {"patchType": "JSONPatch", "patch": b64encode(orjson.dumps(verdict.patch)).decode()}
    if not verdict.allowed:
        response["status"] = {
            "code": 403,
            "reason": "Forbidden",
            "message": f"agent sidecar: {verdict.message}",
        }
    if verdict.warnings:
        response["warnings"] = [f"agent sidecar: {text}"[:LONGEST_WARNING] for text in verdict.warnings]
    response["auditAnnotations"] = {"decision": verdict.decision}
    return {"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}


def _pod(asked: Request, operation: str) -> bool:
    return (asked.kind, asked.subresource, asked.operation) == ("Pod", "", operation)


def _ungated(pod: Json, wanted: Json) -> str:
    """Why ``pod`` is not gated; empty where it is.  Images may be another registry's, amounts are written anew."""
    there = _ours(pod)
    for name, container in _ours(wanted).items():
        if name not in there:
            return "nothing has put the sidecar into this pod; is the mutating webhook registered, and first?"
        container |= {key: there[name][key] for key in ("image", "resources") if key in there[name]}
    paths = [operation["path"] for operation in patch(pod, wanted)]
    if not paths:
        return ""
    return f"the sidecar is not as it was injected: {', '.join(paths[:5])}; whatever changed that must leave it alone"


def _still(asked: Request) -> Verdict:
    """Most of a pod cannot be changed; of what can, nothing that says or makes that it is gated."""
    now, then = (texts(mapping(pod, "metadata"), "labels", "metadata") for pod in (asked.pod, asked.before))
    if now.get(INJECTED) != then.get(INJECTED):
        return Verdict("refused", f"the label {INJECTED} is set when a pod is created, and never changed")
    images, before = (
        {name: each.get("image") for name, each in _ours(pod).items()} for pod in (asked.pod, asked.before)
    )
    if images != before:
        return Verdict(
            "refused", "the image of a running sidecar is not changed; let its owner make a new pod"
        )
    return Verdict("gated" if images else "unchanged")


def _ours(pod: Json) -> dict[str, Json]:
    spec = mapping(pod, "spec")
    containers = [*listed(spec, "initContainers", "spec"), *listed(spec, "containers", "spec")]
    return {each["name"]: each for each in containers if each["name"] in OURS}
