"""What becomes of pods, by a corpus of them."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest

from sidecar.agentenv.variables import Variable
from sidecar.core.compile.overlay import OVERLAY
from sidecar.inject.review import mutate, validate
from tests.core.test_compile import compiled
from tests.inject.corpus import (
    INJECTED,
    NAMES,
    PREFIX,
    REFUSED,
    asked,
    asking,
    env,
    injected,
    named,
    patched,
    standard,
)

NATIVE = ("1.29.0", "1.31.0", "1.34.0", "1.37.0")
OLD = ("1.25.0", "1.28.0")


def agents(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    spec = pod["spec"]
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        if not container["name"].startswith("agent-sidecar"):
            yield container


def storable(pod: dict[str, Any]) -> dict[str, Any]:
    """As the schema has it, which knows no null where the API server writes one."""
    pod = copy.deepcopy(pod)
    pod["metadata"].pop("creationTimestamp", None)
    return pod


@pytest.mark.parametrize("version", NATIVE)
@pytest.mark.parametrize("name", INJECTED)
def test_the_patched_pod_is_one_to_every_api_server(name: str, version: str) -> None:
    kubernetes_validate.validate(storable(injected(name)), version, strict=True)


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("name", sorted({*INJECTED} - {"job", "cronjob", "init-containers"}))
def test_the_patched_pod_of_an_old_cluster_is_one_to_its_api_server(name: str, version: str) -> None:
    kubernetes_validate.validate(storable(injected(name, native=False)), version, strict=True)


@pytest.mark.parametrize("name", INJECTED)
def test_the_sidecar_is_ready_before_anything_of_the_agents_starts(name: str) -> None:
    pod = injected(name)
    first = pod["spec"]["initContainers"][0]
    assert (first["name"], first["restartPolicy"]) == ("agent-sidecar", "Always")
    assert "/readyz" in json.dumps(first["startupProbe"])
    assert "/healthz" in json.dumps(first["livenessProbe"])
    assert pod["metadata"]["labels"][f"{PREFIX}injected"] == "true"


@pytest.mark.parametrize("name", INJECTED)
def test_every_container_of_the_agents_comes_to_the_sidecar(name: str) -> None:
    before = [each["name"] for each in agents(asked(name).pod)]
    after = list(agents(injected(name)))
    assert [each["name"] for each in after] == before
    for container in after:
        said = env(container)
        assert {said[key] for key in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")} == {
            "http://127.0.0.1:8080"
        }
        assert said["SSL_CERT_FILE"] == "/var/run/agent-sidecar/ca-bundle.pem"
        assert said["NODE_EXTRA_CA_CERTS"] == "/var/run/agent-sidecar/ca.pem"
        share = named(container["volumeMounts"], "agent-sidecar-share")
        assert share == {
            "name": "agent-sidecar-share",
            "mountPath": "/var/run/agent-sidecar",
            "readOnly": True,
        }


@pytest.mark.parametrize("name", INJECTED)
def test_nothing_else_of_the_agents_is_touched(name: str) -> None:
    ours = {item.name for item in standard().variables}
    for before, after in zip(agents(asked(name).pod), agents(injected(name)), strict=True):
        for container in (before, after):
            container["env"] = [item for item in container.get("env", []) if item["name"] not in ours]
            container["volumeMounts"] = [
                mount for mount in container["volumeMounts"] if mount["name"] != "agent-sidecar-share"
            ]
            if name == "enforced":
                container.pop("securityContext", None)
        assert before == after


@pytest.mark.parametrize("name", INJECTED)
def test_the_sidecar_is_restricted_as_pod_security_wants(name: str) -> None:
    own = injected(name)["spec"]["initContainers"][0]
    context = own["securityContext"]
    assert isinstance(context["runAsUser"], int)
    assert context["runAsUser"] > 0
    assert context == {
        "runAsUser": context["runAsUser"],
        "runAsGroup": context["runAsUser"],
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert own["resources"]["requests"].keys() == {"cpu", "memory"}
    assert own["resources"]["limits"]["memory"] == own["resources"]["requests"]["memory"]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_pod_that_was_patched_is_left_alone(name: str, native: bool) -> None:
    request, rules = asked(name), standard(native=native)
    verdict = mutate(request, rules)
    if not verdict.allowed:
        assert not native or name in REFUSED
        return
    pod = patched(request, verdict)
    again = mutate(asking(pod), rules)
    assert (again.decision, again.patch) == ("opted-out" if name == "opted-out" else "unchanged", ())
    assert validate(asking(pod), rules).decision == ("opted-out" if name == "opted-out" else "gated")


def filled_in(pod: dict[str, Any]) -> dict[str, Any]:
    """What an API server writes into a pod by itself between our two looks at it."""
    pod = copy.deepcopy(pod)
    token = {
        "name": "kube-api-access-7x2kq",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": True,
    }
    for container in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]:
        container.setdefault("imagePullPolicy", "Always")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("resizePolicy", [{"resourceName": "cpu", "restartPolicy": "NotRequired"}])
        container.setdefault("securityContext", {})["procMount"] = "Default"
        container.setdefault("resources", {}).setdefault("limits", {})["cpu"] = "1"
        for probe in ("startupProbe", "livenessProbe"):
            if probe in container:
                container[probe]["successThreshold"] = 1
                if "httpGet" in container[probe]:
                    container[probe]["httpGet"]["scheme"] = "HTTP"
        if not any(mount["name"] == token["name"] for mount in container.get("volumeMounts", [])):
            container.setdefault("volumeMounts", []).append(token)
    for volume in pod["spec"]["volumes"]:
        if "configMap" in volume:
            volume["configMap"]["defaultMode"] = 420
    return pod


@pytest.mark.parametrize("admin", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("name", INJECTED)
def test_what_the_api_server_fills_in_is_no_reason_to_do_it_again(name: str, admin: str) -> None:
    rules = standard(admin=(admin, 9901))
    pod = filled_in(injected(name, admin=(admin, 9901)))
    assert mutate(asking(pod), rules).patch == ()
    assert validate(asking(pod), rules).decision == "gated"


def test_whose_calls_they_are_is_the_pods_word_and_no_headers() -> None:
    own = named(injected("deployment", intercepts=False)["spec"]["initContainers"], "agent-sidecar")
    config = compiled(**env(own))
    assert (config.identity.tenant.pin, config.identity.workflow.pin) == ("acme", "crm-cleanup")
    for container in agents(injected("deployment")):
        assert not OVERLAY.keys() & env(container).keys()


def test_a_label_names_the_tenant_as_well() -> None:
    own = named(injected("job")["spec"]["initContainers"], "agent-sidecar")
    assert env(own)["SIDECAR_TENANT"] == "acme"


def test_what_the_environment_says_is_what_a_sidecar_reads() -> None:
    rules = standard(proxy=("127.0.0.1", 18080), admin=("::", 19901), intercepts=False)
    request = asked("cronjob")
    own = named(patched(request, mutate(request, rules))["spec"]["initContainers"], "agent-sidecar")
    process = compiled(**env(own)).process
    assert (process.listen.proxy, process.listen.admin) == (("127.0.0.1", 18080), ("::", 19901))
    assert (process.drain_ms, process.log.level, process.store.state) == (
        60_000,
        "debug",
        "/var/lib/agent-sidecar/store",
    )


def test_the_agent_keeps_its_time_to_stop_and_the_sidecar_has_its_own_after_it() -> None:
    assert injected("deployment")["spec"]["terminationGracePeriodSeconds"] == 30 + 25 + 5
    assert injected("cronjob")["spec"]["terminationGracePeriodSeconds"] == 120 + 60 + 5
    assert injected("own-words")["spec"]["terminationGracePeriodSeconds"] == 90 + 25 + 5


def test_a_job_ends_when_its_agent_does() -> None:
    """Kubernetes counts no container of restartPolicy Always among the init containers to be waited for."""
    for name in ("job", "cronjob"):
        pod = injected(name)
        assert [each["name"] for each in pod["spec"]["containers"]] == ["agent"]
        assert pod["spec"]["restartPolicy"] != "Always"


def test_the_configuration_is_the_config_map_that_the_pod_names() -> None:
    volumes = injected("own-words")["spec"]["volumes"]
    assert named(volumes, "agent-sidecar-config")["configMap"] == {"name": "crm"}
    assert named(volumes, "agent-sidecar-routes")["configMap"] == {"name": "crm-routes"}
    volumes = injected("deployment")["spec"]["volumes"]
    assert named(volumes, "agent-sidecar-config")["configMap"] == {"name": "sidecar-config"}
    assert named(volumes, "agent-sidecar-routes")["configMap"] == {"name": "sidecar-routes"}
    own = injected("deployment")["spec"]["initContainers"][0]
    mounts = {mount["mountPath"]: mount for mount in own["volumeMounts"]}
    assert mounts["/etc/sidecar"]["readOnly"]
    assert mounts["/etc/sidecar/routes"]["name"] == "agent-sidecar-routes"
    assert mounts["/etc/sidecar/states"]["name"] == "agent-sidecar-states"


def test_annotations_set_image_and_resources() -> None:
    own = injected("cronjob")["spec"]["initContainers"][0]
    assert own["resources"] == {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}}
    assert injected("own-words")["spec"]["initContainers"][0]["image"] == "mirror.example/sidecar:0.2.0"


def test_another_proxy_is_replaced_and_said() -> None:
    request = asked("existing-proxy")
    verdict = mutate(request, standard())
    (container,) = patched(request, verdict)["spec"]["containers"]
    said = env(container)
    assert said["HTTPS_PROXY"] == said["https_proxy"] == "http://127.0.0.1:8080"
    assert sum("HTTPS_PROXY was set to something else" in text for text in verdict.warnings) == 1
    assert sum("https_proxy was set to something else" in text for text in verdict.warnings) == 1


def test_a_dollar_is_no_reference_to_another_variable() -> None:
    request, rules = asked("deployment"), standard(variables=(Variable("HTTP_PROXY", "http://a:$(B)@h:1"),))
    (container,) = patched(request, mutate(request, rules))["spec"]["containers"]
    assert env(container)["HTTP_PROXY"] == "http://a:$$(B)@h:1"


def test_exemptions_are_kept_but_for_those_of_a_tool() -> None:
    request = asked("existing-proxy")
    verdict = mutate(request, standard())
    (container,) = patched(request, verdict)["spec"]["containers"]
    assert env(container)["NO_PROXY"].startswith("db.internal,10.0.0.0/8,localhost,127.0.0.1,")
    assert ".svc" in env(container)["NO_PROXY"].split(",")
    assert any("'.hubapi.com' is taken out of NO_PROXY" in text for text in verdict.warnings)
    names = [item["name"] for item in container["env"]]
    assert names.index("NO_PROXY") < names.index("AFTER")  # which refers to it


@pytest.mark.parametrize(
    "entry",
    ["*", ".hubapi.com", "hubapi.com", "api.hubapi.com", "API.HUBAPI.COM:443", "*.hubapi.com", "com", ".com"],
)
def test_no_exemption_leads_past_the_sidecar(entry: str) -> None:
    request = asked("deployment")
    request.pod["spec"]["containers"][0]["env"] = [{"name": "NO_PROXY", "value": f"a.test,{entry}"}]
    (container,) = patched(request, mutate(request, standard()))["spec"]["containers"]
    kept = env(container)["NO_PROXY"].split(",")
    assert entry not in kept
    assert "a.test" in kept


def test_enforced_mode_redirects_before_the_agent_starts() -> None:
    spec = injected("enforced", exclude=("10.96.0.0/12",))["spec"]
    assert [each["name"] for each in spec["initContainers"]] == [
        "agent-sidecar",
        "agent-sidecar-redirect",
        "fetch",
    ]
    own, redirect, fetch = spec["initContainers"]
    assert redirect["args"] == ["redirect", "--uid", "2102", "--to", "15001", "--exclude", "10.96.0.0/12"]
    assert own["securityContext"]["runAsUser"] == 2102
    assert env(own)["SIDECAR_LISTEN_TRANSPARENT"] == "15001"
    assert redirect["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert "restartPolicy" not in redirect
    assert fetch["securityContext"]["capabilities"]["drop"] == ["NET_RAW", "SETUID"]
    assert spec["containers"][0]["securityContext"] == {
        "runAsUser": 1000,
        "capabilities": {"drop": ["CHOWN", "NET_RAW", "SETUID"]},
    }


def test_an_agent_that_could_pass_for_the_sidecar_is_refused() -> None:
    request = asked("enforced")
    request.pod["spec"]["securityContext"] = {"runAsUser": 2102}
    verdict = mutate(request, standard())
    assert "container fetch runs as 2102, as the sidecar does" in verdict.message
    assert "container agent " not in verdict.message  # which has a user of its own


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("host-network", ["hostNetwork", "inject: disabled"]),
        ("windows", ["on Windows"]),
        (
            "mistyped",
            [
                "unknown annotation sidecar.agents.dev/tennant; did you mean 'tenant'?",
                "mode: 'enforce' is not proxy or enforced; did you mean 'enforced'?",
                "memory: '1Mi' is too little",
            ],
        ),
        ("privileged", ["container agent is privileged", "container root has NET_ADMIN"]),
        ("port-taken", ["container agent listens on port 8080", "change listen.proxy"]),
    ],
)
def test_a_pod_that_cannot_be_gated_does_not_start(name: str, words: list[str]) -> None:
    for verdict in (mutate(asked(name), standard()), validate(asked(name), standard())):
        assert verdict.decision == "refused"
        for word in words:
            assert word in verdict.message


def test_a_pod_may_opt_out_where_that_is_allowed() -> None:
    verdict = mutate(asked("opted-out"), standard())
    assert (verdict.decision, verdict.patch) == ("opted-out", ())
    assert validate(asked("opted-out"), standard()).decision == "opted-out"
    for decide in (mutate, validate):
        assert decide(asked("opted-out"), standard(opt_out=False)).decision == "refused"


def test_a_pod_without_a_sidecar_cannot_wear_the_label_of_one() -> None:
    request = asked("opted-out")
    request.pod["metadata"]["labels"] = {f"{PREFIX}injected": "true"}
    assert mutate(request, standard()).decision == validate(request, standard()).decision == "refused"


def test_images_may_be_held_to_a_registry() -> None:
    assert (
        "must begin with registry.example"
        in mutate(asked("own-words"), standard(registries=("registry.example/",))).message
    )
    assert mutate(asked("own-words"), standard(registries=("mirror.example/side",))).decision == "refused"
    assert mutate(asked("own-words"), standard(registries=("mirror.example/sidecar",))).decision == "injected"


def test_on_an_old_cluster_the_sidecar_stands_first_among_the_containers() -> None:
    spec = injected("several-containers", native=False)["spec"]
    assert spec["containers"][0]["name"] == "agent-sidecar"
    assert "initContainers" not in spec
    own = spec["containers"][0]
    assert "restartPolicy" not in own
    assert "/readyz" in own["lifecycle"]["postStart"]["exec"]["command"][2]
    assert "time.sleep(30)" in own["lifecycle"]["preStop"]["exec"]["command"][2]
    compile(own["lifecycle"]["postStart"]["exec"]["command"][2], "hook", "exec")


@pytest.mark.parametrize("name", ["job", "cronjob"])
def test_on_an_old_cluster_a_job_that_would_never_end_is_refused(name: str) -> None:
    verdict = mutate(asked(name), standard(native=False))
    assert verdict.decision == "refused"
    assert "never would" in verdict.message
    assert "Kubernetes 1.29" in verdict.message


def test_on_an_old_cluster_init_containers_are_warned_of() -> None:
    verdict = mutate(asked("init-containers"), standard(native=False))
    assert any("run before the sidecar" in text for text in verdict.warnings)


def test_the_two_places_of_a_word_must_agree() -> None:
    request = asked("deployment")
    request.pod["metadata"]["labels"][f"{PREFIX}tenant"] = "globex"
    assert "the label says 'globex' and the annotation 'acme'" in mutate(request, standard()).message


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("tenant", "ü"),
        ("tenant", ""),
        ("config", "Not A Name"),
        ("cpu", "lots"),
        ("cpu", "0"),
        ("memory", "128"),
        ("image", "a b"),
        ("log-level", "loud"),
        ("drain-seconds", "-1"),
        ("drain-seconds", "5s"),
        ("uid", "0"),
        ("inject", "true"),
        ("injected", "true"),
    ],
)
def test_a_word_that_means_nothing_is_refused(word: str, text: str) -> None:
    request = asked("deployment")
    request.pod["metadata"]["annotations"] = {f"{PREFIX}{word}": text}
    verdict = mutate(request, standard())
    assert verdict.decision == "refused"
    assert f"{PREFIX}{word}" in verdict.message
