"""What the webhook makes of a pod, and what the manifests have for it: they meet by name."""

from pathlib import Path, PurePosixPath

import pytest
import yaml

from sidecar.inject.pod import inject
from sidecar.settings import load
from sidecar.webhook import standard
from tests.k8s.manifests import (
    OVERLAYS,
    REPO,
    Manifest,
    Manifests,
    check,
    kustomized,
    of,
    selected,
    unrestricted,
)

URL = {"SIDECAR_STORE_URL": "redis://redis.test:6379"}


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return kustomized(request.param)


@pytest.fixture
def pod(manifests: Manifests, tmp_path: Path) -> Manifest:
    """The first call's, after the webhook of this overlay has seen it."""
    for manifest in of(manifests, "ConfigMap"):
        if manifest["metadata"]["namespace"] == "agent-sidecar":
            folder = tmp_path / manifest["metadata"]["name"].removeprefix("sidecar-").replace("config", ".")
            folder.mkdir(exist_ok=True)
            for name, text in manifest["data"].items():
                (folder / name).write_text(text)
    job = yaml.safe_load((REPO / "k8s/examples/first-call.yaml").read_text())
    return inject(job["spec"]["template"], standard(load(tmp_path, URL), {"image": "ours:1"})).pod


def test_a_pod_finds_what_it_mounts_and_reads(pod: Manifest, manifests: Manifests) -> None:
    there = {(kind, name) for kind, namespace, name in manifests if namespace == "agents"}
    for volume in pod["spec"]["volumes"]:
        assert "configMap" not in volume or ("ConfigMap", volume["configMap"]["name"]) in there
    sidecar = pod["spec"]["initContainers"][0]
    (secret,) = (source["secretRef"] for source in sidecar["envFrom"])
    assert secret["optional"]
    assert secret["name"] == "sidecar-env"
    assert not of(manifests, "Secret") or ("Secret", secret["name"]) in there


def test_a_pod_is_let_out_and_scraped(pod: Manifest, manifests: Manifests) -> None:
    labels = pod["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in pod["spec"]["initContainers"][0]["ports"]}
    (policy,) = (it for it in of(manifests, "NetworkPolicy") if it["metadata"]["name"] == "sidecar")
    assert selected(policy["spec"]["podSelector"], labels)
    (opened,) = policy["spec"]["ingress"][0]["ports"]
    assert opened["port"] == ports["sidecar-admin"]
    for monitor in of(manifests, "PodMonitor"):
        assert selected(monitor["spec"]["selector"], labels)
        assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports.keys()


def test_a_pod_may_run_in_its_namespace(pod: Manifest) -> None:
    assert not list(unrestricted(pod["spec"]))
    check(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"} | pod["metadata"], "spec": pod["spec"]},
        "1.37",
    )


def test_the_embedded_store_has_a_folder_of_its_own_in_the_volume(pod: Manifest) -> None:
    """A volume's root belongs to root, and the store makes its folder private."""
    sidecar = pod["spec"]["initContainers"][0]
    environment = {variable["name"]: variable.get("value", "") for variable in sidecar["env"]}
    state = PurePosixPath(environment["SIDECAR_STORE_STATE"])
    mounts = [
        PurePosixPath(mount["mountPath"]) for mount in sidecar["volumeMounts"] if not mount.get("readOnly")
    ]
    assert any(mount in state.parents for mount in mounts)
