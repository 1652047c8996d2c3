"""The webhook registered with a real API server, and pods made through it.  `make test-apiserver` runs this file.

It is Kubernetes 1.20, which knows no native sidecars: what is shown is the fallback, the refusal of pods that would
never end, and what becomes of a webhook that was told nothing of the version.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.apiserver.server import ApiServer
from tests.cli.test_cli import Ran
from tests.cli.webhooks import TOOL, Process, running
from tests.inject.corpus import PREFIX, env, named, review

GATED, FREE = "agents", "elsewhere"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("api"))
    try:
        server.launch()
        asyncio.run(furnished(server))
        yield server
    finally:
        server.stop()


async def furnished(server: ApiServer) -> None:
    await server.answers()
    for name, labels in ((GATED, {f"{PREFIX}inject": "enabled"}), (FREE, {})):
        status, _, _ = await server.ask(
            "POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}}
        )
        assert status == 201


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config/routes").mkdir(parents=True)
    (tmp_path / "config/sidecar.yaml").write_text('version: 1\nlisten: {admin: "0.0.0.0:9901"}\n')
    (tmp_path / "config/routes/hubspot.yaml").write_text(TOOL)
    assert Ran("ca", "webhook", "--out", str(tmp_path / "tls"), "--host", "127.0.0.1").status == 0
    return tmp_path


def hook(name: str, port: int, path: str, ca: Path, operations: list[str], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "url": f"https://127.0.0.1:{port}{path}",
            "caBundle": base64.b64encode(ca.read_bytes()).decode(),
        },
        "rules": [
            {"operations": operations, "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
        ],
        "namespaceSelector": {"matchLabels": {f"{PREFIX}inject": "enabled"}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": 5,
        **more,
    }


@asynccontextmanager
async def registered(api: ApiServer, kind: str, name: str, *hooks: dict[str, Any]) -> AsyncIterator[None]:
    path = f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}s"
    body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
    status, said, _ = await api.ask("POST", path, body | {"webhooks": list(hooks)})
    assert status == 201, said
    try:
        yield
    finally:
        await api.ask("DELETE", f"{path}/{name}")


@asynccontextmanager
async def gated(api: ApiServer, folder: Path, *options: str) -> AsyncIterator[Process]:
    """The webhook and its twin in force, which an API server takes a moment to notice."""
    async with running(folder, *options) as webhook:
        ca = folder / "tls/ca.crt"
        mutate = hook(
            "mutate.test.dev", webhook.port, "/mutate", ca, ["CREATE"], reinvocationPolicy="IfNeeded"
        )
        validate = hook("validate.test.dev", webhook.port, "/validate", ca, ["CREATE", "UPDATE"])
        async with (
            registered(api, "MutatingWebhookConfiguration", "agent-sidecar", mutate),
            registered(api, "ValidatingWebhookConfiguration", "agent-sidecar", validate),
        ):
            async with asyncio.timeout(30):
                while not await noticed(api):
                    await asyncio.sleep(0.1)
            yield webhook


async def noticed(api: ApiServer) -> bool:
    """A pod that the twin refuses, tried without effect."""
    status, _, _ = await api.ask(
        "POST", f"/api/v1/namespaces/{GATED}/pods?dryRun=All", pod("probe", tennant="x")
    )
    return status == 403


def pod(name: str, source: str = "deployment", **words: str) -> dict[str, Any]:
    """One of the corpus, as somebody would send it."""
    sent: dict[str, Any] = review(source)["request"]["object"]
    annotations = {f"{PREFIX}{word.replace('_', '-')}": text for word, text in words.items()}
    spec = sent["spec"]
    spec.pop("priority", None)
    spec.pop("volumes", None)
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        container.pop("volumeMounts", None)
        container.pop("restartPolicy", None)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": spec,
    }


async def create(
    api: ApiServer, sent: dict[str, Any], query: str = ""
) -> tuple[int, dict[str, Any], list[str]]:
    return await api.ask("POST", f"/api/v1/namespaces/{GATED}/pods{query}", sent)


async def test_a_pod_is_stored_with_its_sidecar(api: ApiServer, folder: Path) -> None:
    async with gated(api, folder, "--kubernetes-version", "v1.20.2") as webhook:
        status, stored, _ = await create(api, pod("crm", tenant="acme", drain_seconds="10"))
        assert status == 201, stored
        own, agent = stored["spec"]["containers"]
        assert (own["name"], agent["name"]) == ("agent-sidecar", "agent")
        assert env(own)["SIDECAR_TENANT"] == "acme"
        assert env(agent)["HTTPS_PROXY"] == "http://127.0.0.1:8080"
        assert (
            own["livenessProbe"]["httpGet"]["scheme"] == "HTTP"
        )  # the API server's own addition, and no reason to refuse
        assert stored["spec"]["terminationGracePeriodSeconds"] == 30 + 10 + 5
        assert named(stored["spec"]["volumes"], "agent-sidecar-config")["configMap"]["defaultMode"] == 420
        await webhook.says(r"/mutate agents/crm: injected")
        await webhook.says(r"/validate agents/crm: gated")


@pytest.mark.parametrize(
    "source", ["several-containers", "init-containers", "existing-proxy", "enforced", "own-words"]
)
async def test_what_the_corpus_has_can_be_stored(api: ApiServer, folder: Path, source: str) -> None:
    async with gated(api, folder, "--kubernetes-version", "1.20") as webhook:
        mode = {"mode": "enforced"} if source == "enforced" else {}
        status, stored, warnings = await create(api, pod(source, source, **mode))
        assert status == 201, stored
        await webhook.says(rf"/validate agents/{source}: gated")
        if source == "existing-proxy":
            assert any("HTTPS_PROXY was set to something else" in warning for warning in warnings)


async def test_a_cluster_that_is_older_than_it_was_said_to_be_takes_no_pod(
    api: ApiServer, folder: Path
) -> None:
    """It drops restartPolicy without a word, but then the probes make no sense to it."""
    async with gated(api, folder):
        status, said, _ = await create(api, pod("native"))
        assert status == 422
        assert "must not be set for init containers" in said["message"]


async def test_a_job_that_would_never_end_is_not_started(api: ApiServer, folder: Path) -> None:
    async with gated(api, folder, "--kubernetes-version", "1.20"):
        status, said, _ = await create(api, pod("nightly", "job"))
        assert (status, "never would" in said["message"]) == (403, True)


async def test_a_mistake_is_told_to_whoever_made_it(api: ApiServer, folder: Path) -> None:
    async with gated(api, folder, "--kubernetes-version", "1.20"):
        status, said, _ = await create(api, pod("typo", tennant="acme"))
        assert (status, "did you mean 'tenant'?" in said["message"]) == (403, True)


async def test_a_dry_run_shows_the_pod_and_keeps_nothing(api: ApiServer, folder: Path) -> None:
    async with gated(api, folder, "--kubernetes-version", "1.20") as webhook:
        status, shown, _ = await create(api, pod("trial"), "?dryRun=All")
        assert (status, shown["spec"]["containers"][0]["name"]) == (201, "agent-sidecar")
        assert (await api.ask("GET", f"/api/v1/namespaces/{GATED}/pods/trial"))[0] == 404
        await webhook.says(r"/mutate agents/trial: injected \(dry run\)")


async def test_other_namespaces_and_pods_that_opted_out_are_left_alone(api: ApiServer, folder: Path) -> None:
    async with gated(api, folder, "--kubernetes-version", "1.20"):
        status, stored, _ = await api.ask("POST", f"/api/v1/namespaces/{FREE}/pods", pod("free"))
        assert (status, len(stored["spec"]["containers"])) == (201, 1)
        status, stored, _ = await create(api, pod("out", inject="disabled"))
        assert (status, len(stored["spec"]["containers"])) == (201, 1)


async def test_a_stored_pod_does_not_put_on_the_label_of_a_gated_one(api: ApiServer, folder: Path) -> None:
    async with gated(api, folder, "--kubernetes-version", "1.20"):
        status, stored, _ = await create(api, pod("disguised", inject="disabled"))
        assert status == 201
        path = f"/api/v1/namespaces/{GATED}/pods/disguised"
        stored["metadata"]["labels"] = {"app": "x"}
        status, stored, _ = await api.ask("PUT", path, stored)
        assert status == 200
        stored["metadata"]["labels"] = {f"{PREFIX}injected": "true"}
        status, said, _ = await api.ask("PUT", path, stored)
        assert (status, "never changed" in said["message"]) == (403, True)


async def test_no_pod_starts_while_the_webhook_is_away(api: ApiServer, folder: Path) -> None:
    async with gated(api, folder, "--kubernetes-version", "1.20") as webhook:
        webhook.process.terminate()
        await webhook.process.wait()
        status, said, _ = await create(api, pod("orphan"))
        assert (status, "failed calling webhook" in said["message"]) == (500, True)


async def test_a_container_that_another_webhook_adds_is_gated_too(api: ApiServer, folder: Path) -> None:
    async def add(request: web.Request) -> web.Response:
        asked = (await request.json())["request"]
        extra = {"name": "extra", "image": "registry.example/extra:1"}
        there = [each["name"] for each in asked["object"]["spec"]["containers"]]
        patch = [] if "extra" in there else [{"op": "add", "path": "/spec/containers/-", "value": extra}]
        coded = base64.b64encode(json.dumps(patch).encode()).decode()
        response = {"uid": asked["uid"], "allowed": True, "patchType": "JSONPatch", "patch": coded}
        return web.json_response(
            {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        )

    app = web.Application()
    app.router.add_post("/add", add)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls/tls.crt", folder / "tls/tls.key")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    other = hook("add.test.dev", runner.addresses[0][1], "/add", folder / "tls/ca.crt", ["CREATE"])
    try:
        async with (
            registered(api, "MutatingWebhookConfiguration", "zz-after-ours", other),
            gated(api, folder, "--kubernetes-version", "1.20"),
        ):
            status, stored, _ = await create(api, pod("mixed"))
            assert status == 201, stored
            assert [each["name"] for each in stored["spec"]["containers"]] == [
                "agent-sidecar",
                "agent",
                "extra",
            ]
            assert env(stored["spec"]["containers"][2])["HTTPS_PROXY"] == "http://127.0.0.1:8080"
    finally:
        await runner.cleanup()
