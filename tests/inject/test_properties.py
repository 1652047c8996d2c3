"""What holds of every pod, and of everything that is none."""

import copy
import json
from contextlib import suppress
from typing import Any

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.inject.patch import patch
from sidecar.inject.pod import inject
from sidecar.inject.review import answer, mutate, request, validate
from sidecar.inject.shape import Malformed
from sidecar.inject.wanted import Rejected
from tests.inject.corpus import PREFIX, asking, patched, standard

NAMES = ("a", "b", "agent", "agent-sidecar", "agent-sidecar-redirect", "x")
VARIABLES = ("HTTP_PROXY", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SIDECAR_TENANT", "A", "B")
VALUES = st.sampled_from(["", "*", "a.test", ".hubapi.com,b.test", "http://127.0.0.1:8080", "$(A)", " , ,c"])
VOLUMES = ("agent-sidecar-share", "agent-sidecar-config", "data", "tmp")
CONTEXTS = st.sampled_from(
    [
        None,
        {},
        {"runAsUser": 1000},
        {"capabilities": {"drop": ["ALL"]}},
        {"capabilities": {"drop": ["SETUID"]}},
    ]
)

variable = st.one_of(
    st.fixed_dictionaries({"name": st.sampled_from(VARIABLES), "value": VALUES}),
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(VARIABLES),
            "valueFrom": st.just({"fieldRef": {"fieldPath": "status.podIP"}}),
        }
    ),
)
mount = st.fixed_dictionaries(
    {"name": st.sampled_from(VOLUMES), "mountPath": st.sampled_from(["/a", "/b"])},
    optional={"subPath": st.just("s")},
)
container = st.fixed_dictionaries(
    {"name": st.sampled_from(NAMES), "image": st.sampled_from(["agent:1", "agent-sidecar:0.1.0"])},
    optional={
        "env": st.lists(variable, max_size=5),
        "volumeMounts": st.lists(mount, max_size=3),
        "securityContext": CONTEXTS,
        "restartPolicy": st.just("Always"),
        "command": st.just(["sleep"]),
        "resources": st.sampled_from([{}, {"limits": {"cpu": "1"}}]),
    },
)
WORDS = {
    "tenant": st.sampled_from(["acme", "globex"]),
    "mode": st.sampled_from(["proxy", "enforced"]),
    "drain-seconds": st.sampled_from(["0", "9"]),
    "grace-seconds": st.just("7"),
    "inject": st.sampled_from(["enabled", "disabled"]),
    "cpu": st.just("50m"),
    "uid": st.just("2000"),
}
words = st.fixed_dictionaries({}, optional={f"{PREFIX}{word}": text for word, text in WORDS.items()})
pods = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {}, optional={"annotations": words, "labels": st.sampled_from([None, {}, {"app": "a"}])}
        ),
        "spec": st.fixed_dictionaries(
            {"containers": st.lists(container, min_size=1, max_size=3)},
            optional={
                "initContainers": st.one_of(st.none(), st.lists(container, max_size=3)),
                "volumes": st.one_of(
                    st.none(),
                    st.lists(
                        st.fixed_dictionaries({"name": st.sampled_from(VOLUMES), "emptyDir": st.just({})})
                    ),
                ),
                "terminationGracePeriodSeconds": st.integers(0, 600),
                "restartPolicy": st.sampled_from(["Always", "Never"]),
                "securityContext": CONTEXTS,
            },
        ),
    }
)
junk: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "spec",
                    "containers",
                    "name",
                    "env",
                    "annotations",
                    f"{PREFIX}tenant",
                    "securityContext",
                    "os",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(pods, st.booleans(), st.booleans())
def test_twice_is_once(pod: dict[str, Any], native: bool, intercepts: bool) -> None:
    rules = standard(native=native, intercepts=intercepts)
    before = copy.deepcopy(pod)
    try:
        verdict = mutate(asking(pod), rules)
    except Malformed:
        return
    assert pod == before
    if not verdict.allowed:
        return
    made = patched(asking(pod), verdict)
    again = mutate(asking(made), rules)
    assert again.patch == ()
    assert validate(asking(made), rules).decision in ("gated", "opted-out")
    names = [
        each["name"] for each in (*(made["spec"].get("initContainers") or ()), *made["spec"]["containers"])
    ]
    assert verdict.decision == "opted-out" or names.count("agent-sidecar") == 1


@settings(max_examples=100, deadline=None)
@given(junk)
def test_whatever_is_sent_is_answered_or_told_to_be_no_pod(pod: Any) -> None:
    try:
        ask = asking(pod)
        answer(ask, mutate(ask, standard()))
        answer(ask, validate(ask, standard()))
    except Malformed:
        pass


@settings(max_examples=60, deadline=None)
@given(pods, junk)
def test_a_damaged_pod_is_answered_or_told_to_be_none(pod: dict[str, Any], damage: Any) -> None:
    pod["spec"]["containers"][0] |= damage if isinstance(damage, dict) else {"env": damage}
    with suppress(Malformed, Rejected):
        inject(pod, standard())


@settings(max_examples=100, deadline=None)
@given(junk, junk)
def test_a_patch_makes_the_one_of_the_other(before: Any, after: Any) -> None:
    operations = list(patch(before, after))
    made = jsonpatch.apply_patch(copy.deepcopy(before), operations) if operations else before
    assert json.dumps(made, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert bool(operations) == (json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_review_are_told_so(body: bytes) -> None:
    with pytest.raises(Malformed):
        request(body)


def test_a_key_with_a_slash_is_spelled_as_a_pointer() -> None:
    assert list(patch({}, {"a/b~c": 1})) == [{"op": "add", "path": "/a~1b~0c", "value": 1}]
