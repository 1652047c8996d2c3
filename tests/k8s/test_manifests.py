"""The overlays and the chart: valid to every API server, the same by either way, and about things that exist."""

import base64
import importlib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cel
import pytest
import typer

from sidecar.cli.commands import COMMANDS
from sidecar.inject.wanted import INJECTED as INJECTED_LABEL
from sidecar.settings import load
from sidecar.telemetry.meters import Meters
from sidecar.telemetry.reviews import Reviews
from tests.k8s.manifests import (
    OVERLAYS,
    REPO,
    ROUTES,
    SYSTEM,
    Manifest,
    Manifests,
    charted,
    check,
    handed_over,
    key,
    kustomized,
    of,
    run,
    selected,
    unrestricted,
)

OLDEST, NEWEST = "1.27", "1.37"
INJECTED = {INJECTED_LABEL: "true"}

WAYS = {"kustomize": kustomized, "helm": charted}


@pytest.fixture(params=[f"{way} {overlay}" for way in WAYS for overlay in OVERLAYS])
def manifests(request: pytest.FixtureRequest) -> Manifests:
    """Each overlay, made each way."""
    way, overlay = request.param.split()
    return WAYS[way](overlay)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_an_api_server_takes_every_object(manifests: Manifests, version: str) -> None:
    assert manifests
    for manifest in manifests.values():
        check(manifest, version)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_and_helm_make_the_same(overlay: str) -> None:
    by_kustomize = {it: told(manifest) for it, manifest in kustomized(overlay).items()}
    by_helm = {it: told(manifest) for it, manifest in charted(overlay).items()}
    del by_kustomize["Namespace", "", SYSTEM]  # a chart goes into a namespace, it does not make it
    assert by_helm == by_kustomize


def told(manifest: Manifest) -> Manifest:
    """Less what says only who made it.  A namespace's labels are what it is for."""
    metadata = dict(manifest["metadata"])
    labels = metadata.pop("labels", {})
    if manifest["kind"] == "Namespace":
        metadata["labels"] = {
            name: value for name, value in labels.items() if "sidecar" in name or "security" in name
        }
    return manifest | {"metadata": metadata}


def pods(manifests: Manifests) -> Iterator[Manifest]:
    """Every pod template."""
    for manifest in of(manifests, "Deployment"):
        yield manifest["spec"]["template"]


def test_every_pod_is_restricted_and_every_namespace_says_so(manifests: Manifests) -> None:
    for pod in pods(manifests):
        assert not list(unrestricted(pod["spec"]))
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["resources"]["limits"]["memory"]
        assert pod["spec"]["automountServiceAccountToken"] is False
    for namespace in of(manifests, "Namespace"):
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_restricted_is_not_a_word(manifests: Manifests) -> None:
    (pod,) = pods(manifests)
    container = pod["spec"]["containers"][0]
    loose = container | {
        "securityContext": container["securityContext"] | {"capabilities": {"add": ["NET_ADMIN"]}}
    }
    assert list(unrestricted(pod["spec"] | {"containers": [loose], "hostPID": True})) == [
        "hostPID",
        "webhook: capabilities",
    ]


def test_a_selector_takes_the_pods_it_is_about(manifests: Manifests) -> None:
    (deployment,) = of(manifests, "Deployment")
    (pod,) = pods(manifests)
    labels = pod["metadata"]["labels"]
    spec = pod["spec"]
    affine = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    (service,) = of(manifests, "Service")
    selectors = [
        deployment["spec"]["selector"],
        {"matchLabels": service["spec"]["selector"]},
        *(it["spec"]["selector"] for it in of(manifests, "PodDisruptionBudget")),
        *(it["labelSelector"] for it in spec["topologySpreadConstraints"]),
        *(it["podAffinityTerm"]["labelSelector"] for it in affine),
        *(it["spec"]["podSelector"] for it in of(manifests, "NetworkPolicy") if key(it)[1] == SYSTEM),
    ]
    assert len(selectors) == 6
    assert all(selector["matchLabels"] for selector in selectors)
    assert all(selected(selector, labels) for selector in selectors)


def test_a_port_that_is_named_is_there(manifests: Manifests) -> None:
    for pod in pods(manifests):
        for container in pod["spec"]["containers"]:
            ports = {port["name"] for port in container["ports"]}
            probes = [container[name]["httpGet"]["port"] for name in ("readinessProbe", "livenessProbe")]
            (service,) = of(manifests, "Service")
            policies = [it for it in of(manifests, "NetworkPolicy") if key(it)[1] == SYSTEM]
            opened = [
                it["port"]
                for policy in policies
                for rule in policy["spec"]["ingress"]
                for it in rule["ports"]
            ]
            targets = [it["targetPort"] for it in service["spec"]["ports"]]
            assert {*probes, *opened, *targets} == ports


def test_a_volume_that_is_mounted_is_there_and_so_is_what_it_shows(manifests: Manifests) -> None:
    made = manifests.keys() | {("Secret", SYSTEM, "sidecar-webhook-tls")}
    certificates = {it["spec"]["secretName"] for it in of(manifests, "Certificate")}
    for pod in pods(manifests):
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", SYSTEM, volume["configMap"]["name"]) in made
            else:
                assert ("Secret", SYSTEM, volume["secret"]["secretName"]) in made
                assert not certificates or volume["secret"]["secretName"] in certificates


def test_every_command_and_option_exists(manifests: Manifests) -> None:
    for pod in pods(manifests):
        for container in pod["spec"]["containers"]:
            command, *words = container["args"]
            given = {word.partition("=")[0] for word in words}
            assert given <= options(command)


def options(command: str) -> set[str]:
    assert command in COMMANDS
    single = typer.Typer()
    single.command(command)(getattr(importlib.import_module(f"sidecar.cli.{command}"), command))
    return {word for option in typer.main.get_command(single).params for word in option.opts}


def test_what_is_injected_is_the_image_that_injects(manifests: Manifests) -> None:
    for pod in pods(manifests):
        for container in pod["spec"]["containers"]:
            environment = {variable["name"]: variable["value"] for variable in container["env"]}
            assert environment["SIDECAR_IMAGE"] == container["image"]
            assert ":" in container["image"]


def test_an_old_cluster_is_told_to_the_webhook_by_the_chart() -> None:
    def told(version: str) -> set[str]:
        made = charted("production", f"--kube-version={version}")
        (pod,) = pods(made)
        return {word for word in pod["spec"]["containers"][0]["args"] if "kubernetes-version" in word}

    assert told("1.28.4") == {"--kubernetes-version=v1.28.4"}
    assert told("1.29.0") == set()


def test_a_monitor_selects_what_there_is(manifests: Manifests) -> None:
    (service,) = of(manifests, "Service")
    for monitor in of(manifests, "ServiceMonitor"):
        assert selected(monitor["spec"]["selector"], service["metadata"]["labels"])
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
        (certificate,) = (it for it in of(manifests, "Certificate") if "dnsNames" in it["spec"])
        assert endpoint["tlsConfig"]["serverName"] in certificate["spec"]["dnsNames"]
        assert endpoint["tlsConfig"]["ca"]["secret"]["name"] == certificate["spec"]["secretName"]


def test_a_webhook_asks_who_answers(manifests: Manifests) -> None:
    (service,) = of(manifests, "Service")
    for kind, path in {"Mutating": "/mutate", "Validating": "/validate"}.items():
        (configuration,) = of(manifests, f"{kind}WebhookConfiguration")
        (webhook,) = configuration["webhooks"]
        asked = webhook["clientConfig"]["service"]
        assert asked == {"name": service["metadata"]["name"], "namespace": SYSTEM, "path": path, "port": 443}
        assert webhook["failurePolicy"] == "Fail"
        assert webhook["sideEffects"] == "None"


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({}, False),
        ({"metadata": {"finalizers": []}}, False),
        ({"metadata": {"labels": {"sidecar.agents.dev/injected": "true"}}}, True),
        ({"metadata": {"annotations": {"sidecar.agents.dev/tenant": "acme"}}}, True),
        ({"spec": {"containers": [{"name": "agent-sidecar", "image": "another"}]}}, True),
    ],
)
def test_a_running_pod_is_asked_about_when_its_gating_may_change(change: Manifest, asked: bool) -> None:
    (configuration,) = of(kustomized("production"), "ValidatingWebhookConfiguration")
    (condition,) = configuration["webhooks"][0]["matchConditions"]
    before = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "agent-sidecar", "image": "ours"}]}}
    after = before | change
    request = {"operation": "UPDATE"}
    assert (
        cel.evaluate(condition["expression"], {"request": request, "object": after, "oldObject": before})
        is asked
    )
    created = {"request": {"operation": "CREATE"}, "object": after, "oldObject": None}
    assert cel.evaluate(condition["expression"], created) is True


def test_a_labelled_namespace_is_asked_about_and_the_webhooks_own_never_is(manifests: Manifests) -> None:
    for kind in ("Mutating", "Validating"):
        (configuration,) = of(manifests, f"{kind}WebhookConfiguration")
        asks = [webhook["namespaceSelector"] for webhook in configuration["webhooks"]]
        for namespace in of(manifests, "Namespace"):
            name = namespace["metadata"]["name"]
            labels = namespace["metadata"]["labels"] | {"kubernetes.io/metadata.name": name}
            assert all(selected(ask, labels) == (name != SYSTEM) for ask in asks)
        forced = {"sidecar.agents.dev/inject": "enabled", "kubernetes.io/metadata.name": SYSTEM}
        assert not any(selected(ask, forced) for ask in asks)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_configuration_is_good_where_it_is_mounted(overlay: str, tmp_path: Path) -> None:
    everywhere = set()
    for manifest in of(kustomized(overlay), "ConfigMap"):
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        folder = (
            tmp_path
            / namespace
            / {"sidecar-config": ".", "sidecar-routes": "routes", "sidecar-states": "states"}[name]
        )
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in manifest["data"].items():
            (folder / file).write_text(text)
        everywhere.add(namespace)
    for namespace in everywhere:
        config = load(tmp_path / namespace, {"SIDECAR_STORE_URL": "rediss://:secret@redis.test:6379"})
        assert {site.tool.name for site in config.sites} == {path.stem for path in ROUTES}
        assert config.process.listen.admin == ("0.0.0.0", 9901), "the kubelet's probes come from outside"
        assert config.process.listen.proxy == ("127.0.0.1", 8080), "and nobody else's calls"


def test_what_stands_in_the_folder_for_kustomize_does_not_disturb_a_sidecar() -> None:
    config = load(REPO / "config", {})
    assert not [problem for problem in config.warnings if "ustomiz" in str(problem)]


def test_a_pod_without_a_sidecar_reaches_nothing_but_names(manifests: Manifests) -> None:
    reached = [ports for _, ports in egress(manifests, {"app": "agent"})]
    assert reached == [{("UDP", 53), ("TCP", 53)}]


def test_a_sidecar_reaches_tools_and_neither_the_cluster_nor_the_clouds_metadata(
    manifests: Manifests,
) -> None:
    blocks = [
        block for block, ports in egress(manifests, {"app": "agent"} | INJECTED) if ("TCP", 443) in ports
    ]
    assert within(blocks, "104.18.32.7")
    assert within(blocks, "2606:4700::1")
    for address in ("10.96.0.1", "169.254.169.254", "192.168.1.1", "172.20.0.1", "fd00:ec2::254", "fe80::1"):
        assert not within(blocks, address), address


Block = Mapping[str, Any]


def egress(manifests: Manifests, labels: dict[str, str]) -> Iterator[tuple[Block, set[tuple[str, int]]]]:
    """Where the policies of the agents' namespace let a pod with these labels go."""
    policies = [it["spec"] for it in of(manifests, "NetworkPolicy") if key(it)[1] == "agents"]
    mine = [
        spec for spec in policies if selected(spec["podSelector"], labels) and "Egress" in spec["policyTypes"]
    ]
    assert mine, "a pod that no policy is about may go anywhere"
    for spec in mine:
        for rule in spec["egress"]:
            for peer in rule["to"]:
                yield peer.get("ipBlock", {}), {(port["protocol"], port["port"]) for port in rule["ports"]}


def within(blocks: list[Block], address: str) -> bool:
    here = ipaddress.ip_address(address)
    return any(
        here in ipaddress.ip_network(block["cidr"])
        and not any(here in ipaddress.ip_network(part) for part in block.get("except", ()))
        for block in blocks
        if block
    )


def test_rules_speak_of_metrics_and_labels_that_exist() -> None:
    (rules,) = of(kustomized("production"), "PrometheusRule")
    known = {name: labels | {"namespace"} for name, labels in metrics().items()}
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    ours = [rule for rule in alerts if "sidecar_" in rule["expr"]]
    assert len(ours) >= 10
    for rule in ours:
        (metric,) = re.findall(r"\bsidecar_\w+", rule["expr"])
        matched = re.findall(r"(\w+)!?=~?\"", rule["expr"])
        (grouped,) = re.findall(r"by \((.*?)\)", rule["expr"])
        assert {*matched, *grouped.split(", ")} <= known[metric]
        spoken = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert spoken <= set(grouped.split(", ")), "a label that the alert has lost"


def metrics() -> dict[str, set[str]]:
    """Every metric of a sidecar and of the webhook, with its labels."""
    families = (*Meters().families, *Reviews(float).families)
    return {f"sidecar_{family.name}": set(family.labels) for family in families}


def test_whatever_the_metrics_page_calls_worth_an_alert_is_one() -> None:
    (rules,) = of(kustomized("production"), "PrometheusRule")
    page = (REPO / "docs" / "metrics.md").read_text().partition("## Worth an alert")[2].partition("\n## ")[0]
    wanted = set(re.findall(r"\bsidecar_\w+", page)) - {"sidecar_unknown"}
    assert wanted
    assert wanted <= set(re.findall(r"\bsidecar_\w+", str(rules)))


def test_the_chart_is_clean() -> None:
    run("helm", "lint", "--strict", "--quiet", "k8s/chart", *handed_over("production"))


@pytest.mark.parametrize(
    ("mistake", "word"),
    [
        ("--set=store.ulr=redis://x", "ulr"),
        ("--set=certificate=none", "certificate"),
        ("--set-file=config.sidecar=/dev/null", "sidecar"),
        ("--set=agents.namespaces={}", "namespaces"),
        ("--set=webhook.replicas=0", "replicas"),
        ("--set=store.url=http://x", "url"),
    ],
)
def test_the_chart_refuses_a_value_that_means_nothing(mistake: str, word: str) -> None:
    with pytest.raises(AssertionError, match=word):
        charted("production", mistake)


def test_the_chart_goes_into_any_namespace_and_gates_as_many_as_are_named() -> None:
    made = charted("production", "--set=agents.namespaces={sales,support}", namespace="platform")
    for manifest in made.values():
        check(manifest, NEWEST)
    assert {namespace for _, namespace, _ in made} == {"", "platform", "sales", "support"}
    assert ("Secret", "sales", "sidecar-env") in made
    assert SYSTEM not in {it["metadata"]["name"] for it in of(made, "Namespace")}
    (certificate,) = (it for it in of(made, "Certificate") if "dnsNames" in it["spec"])
    for kind in ("Mutating", "Validating"):
        (configuration,) = of(made, f"{kind}WebhookConfiguration")
        (webhook,) = configuration["webhooks"]
        service = webhook["clientConfig"]["service"]
        assert f"{service['name']}.{service['namespace']}.svc" in certificate["spec"]["dnsNames"]
        assert "platform" in webhook["namespaceSelector"]["matchExpressions"][0]["values"]
        injected = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
        assert injected == f"platform/{certificate['metadata']['name']}"


def test_a_secret_in_the_tree_is_a_placeholder() -> None:
    (secret,) = of(kustomized("production"), "Secret")
    for value in secret["data"].values():
        assert b":change-me@" in base64.b64decode(value)
