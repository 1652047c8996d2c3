"""What the API server asks and is answered."""

import copy
import json
from typing import Any

import pytest

from sidecar.inject.review import answer, mutate, request, validate
from sidecar.inject.shape import Malformed
from tests.inject.corpus import PREFIX, asked, asking, injected, named, patched, review, standard


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "must be an AdmissionReview"),
        (b'{"kind": "Pod", "apiVersion": "v1"}', "must be an AdmissionReview"),
        (
            b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}',
            "admissionReviewVersions: [v1]",
        ),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}', "request must be there"),
        (
            b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": 1}}',
            "uid must be text",
        ),
        (
            b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"name": "a"}}',
            "request.uid",
        ),
        (
            b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "a", "object": []}}',
            "o",
        ),
    ],
)
def test_what_is_no_review_is_told_so(body: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why.replace("[", r"\[")):
        request(body)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, "spec.containers must have one"),
        ({"containers": []}, "spec.containers must have one"),
        ({"containers": "x"}, "spec.containers must be a list"),
        ({"containers": [{}]}, "spec.containers must be a list of objects with a name"),
        ({"containers": [{"name": "agent-sidecar"}]}, "one that is not the sidecar's"),
        ({"containers": [{"name": "a", "env": [1]}]}, "container a.env"),
        ({"containers": [{"name": "a"}], "volumes": {}}, "spec.volumes"),
        (
            {"containers": [{"name": "a"}], "terminationGracePeriodSeconds": "1"},
            "terminationGracePeriodSeconds",
        ),
    ],
)
def test_what_is_no_pod_is_told_so(spec: Any, why: str) -> None:
    for decide in (mutate, validate):
        with pytest.raises(Malformed, match=why):
            decide(asking({"metadata": {}, "spec": spec}), standard())


def test_an_answer_is_one_that_the_api_server_takes() -> None:
    said = answer(asked("deployment"), mutate(asked("deployment"), standard()))
    assert (said["apiVersion"], said["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response = said["response"]
    assert response["uid"] == review("deployment")["request"]["uid"]
    assert (response["allowed"], response["patchType"]) == (True, "JSONPatch")
    assert response["auditAnnotations"] == {"decision": "injected"}


def test_a_refusal_says_why_to_whoever_made_the_pod() -> None:
    response = answer(asked("mistyped"), mutate(asked("mistyped"), standard()))["response"]
    assert not response["allowed"]
    assert response["status"]["code"] == 403
    assert "did you mean 'tenant'?" in response["status"]["message"]
    assert "patch" not in response


def test_warnings_are_short_enough_for_the_api_server() -> None:
    ask = asked("existing-proxy")
    ask.pod["spec"]["containers"][0]["env"] = [{"name": "NO_PROXY", "value": "a" * 400 + ".hubapi.com,*"}]
    warnings = answer(ask, mutate(ask, standard()))["response"]["warnings"]
    assert warnings
    assert all(len(text) <= 256 for text in warnings)


@pytest.mark.parametrize(
    "changed",
    [
        {"operation": "DELETE", "object": None},
        {"operation": "CONNECT"},
        {"subResource": "exec"},
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
    ],
)
def test_what_is_no_new_pod_is_let_through(changed: dict[str, Any]) -> None:
    ask = asking(
        **{"pod": asked("deployment").pod, **({} if "object" not in changed else {"pod": None})},
        **{key: value for key, value in changed.items() if key != "object"},
    )
    for decide in (mutate, validate):
        assert decide(ask, standard()).decision == "not-ours"


def test_a_pod_that_nobody_injected_is_refused() -> None:
    verdict = validate(asked("deployment"), standard())
    assert verdict.decision == "refused"
    assert "nothing has put the sidecar into this pod" in verdict.message


def test_a_sidecar_that_would_be_waited_for_is_refused() -> None:
    pod = injected("deployment")
    del pod["spec"]["initContainers"][0]["restartPolicy"]
    assert "/spec/initContainers/0/restartPolicy" in validate(asking(pod), standard()).message


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda own, agent: agent["env"].clear(), "/spec/containers/0/env"),
        (lambda own, agent: own.update(command=["sleep"]), "/spec/initContainers/0/command"),
        (
            lambda own, agent: own["env"].append({"name": "SIDECAR_STORE_URL", "value": "embedded"}),
            "/initContainers/0/env",
        ),
        (
            lambda own, agent: own["securityContext"].update(runAsUser=0),
            "/initContainers/0/securityContext/runAsUser",
        ),
        (lambda own, agent: own["volumeMounts"].append({"name": "x", "mountPath": "/opt"}), "/volumeMounts"),
        (lambda own, agent: own["envFrom"].append({"configMapRef": {"name": "x"}}), "/envFrom"),
    ],
)
def test_what_came_after_us_must_leave_the_sidecar_as_it_is(break_it: Any, told: str) -> None:
    pod = injected("deployment")
    break_it(pod["spec"]["initContainers"][0], pod["spec"]["containers"][0])
    verdict = validate(asking(pod), standard())
    assert verdict.decision == "refused"
    assert told in verdict.message
    mended = mutate(asking(pod), standard())
    assert mended.decision == "injected"


def test_a_mirror_may_rename_the_image_and_the_server_write_amounts_anew() -> None:
    pod = injected("deployment")
    pod["spec"]["initContainers"][0] |= {"image": "mirror.example/agent-sidecar:0.1.0"}
    pod["spec"]["initContainers"][0]["resources"]["requests"]["cpu"] = "0.1"
    assert validate(asking(pod), standard()).decision == "gated"


def test_a_container_that_only_has_our_name_is_made_ours() -> None:
    pod = copy.deepcopy(asked("deployment").pod)
    pod["spec"]["initContainers"] = [
        {"name": "agent-sidecar", "image": "evil:1", "command": ["sleep", "inf"], "restartPolicy": "Always"}
    ]
    pod["spec"]["containers"][0]["volumeMounts"].append(
        {"name": "agent-sidecar-state", "mountPath": "/state"}
    )
    own = mutate(asking(pod), standard())
    assert own.decision == "injected"
    made = patched(asking(pod), own)
    assert made["spec"]["initContainers"] == injected("deployment")["spec"]["initContainers"]
    assert "agent-sidecar-state" not in {
        each["name"] for each in made["spec"]["containers"][0]["volumeMounts"]
    }


def updated(change: Any) -> Any:
    pod = injected("deployment")
    after = copy.deepcopy(pod)
    change(after)
    return validate(asking(after, operation="UPDATE", oldObject=pod), standard())


def test_what_says_that_a_pod_is_gated_does_not_change_later() -> None:
    assert updated(lambda pod: pod["metadata"]["labels"].update(app="b")).decision == "gated"
    assert updated(lambda pod: pod["metadata"]["labels"].pop(f"{PREFIX}injected")).decision == "refused"
    assert updated(lambda pod: pod["spec"]["initContainers"][0].update(image="evil:1")).decision == "refused"
    assert updated(lambda pod: pod["spec"]["containers"][0].update(image="agent:2")).decision == "gated"


def test_a_dry_run_is_answered_as_the_real_one_would_be() -> None:
    ask = asked("dry-run")
    assert ask.dry_run
    real = review("dry-run")
    real["request"]["dryRun"] = False
    assert mutate(ask, standard()) == mutate(request(json.dumps(real).encode()), standard())
    assert named(injected("dry-run")["spec"]["initContainers"], "agent-sidecar")
