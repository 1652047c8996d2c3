"""The webhook as an API server meets it: over TLS, and while its files change."""

import asyncio
import base64
import shutil
import signal
import ssl
import stat
from pathlib import Path

import aiohttp
import jsonpatch
import orjson
import pytest

from tests.cli.test_cli import Ran
from tests.cli.webhooks import HOST, prepared, running
from tests.inject.corpus import REVIEWS, review

DEPLOYMENT = (REVIEWS / "deployment.json").read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepared(tmp_path)
    return tmp_path


async def test_a_pod_is_reviewed_over_tls(folder: Path) -> None:
    async with running(folder, "--image", "registry.example/sidecar:1") as webhook:
        assert (await webhook.ask("/healthz"))[0] == 200
        status, said = await webhook.ask("/mutate", DEPLOYMENT)
        assert (status, said["response"]["allowed"]) == (200, True)
        assert said["response"]["uid"] == review("deployment")["request"]["uid"]
        pod = jsonpatch.apply_patch(
            review("deployment")["request"]["object"],
            orjson.loads(base64.b64decode(said["response"]["patch"])),
        )
        assert pod["spec"]["initContainers"][0]["image"] == "registry.example/sidecar:1"
        await webhook.says(r"/mutate agents/crm-agent-6c9f7d8b5d-: injected")
        assert not (await webhook.ask("/validate", DEPLOYMENT))[1]["response"]["allowed"]
        await webhook.says(
            r"WARNING /validate agents/\S+: refused: nothing has put the sidecar into this pod"
        )
        made = review("deployment")
        made["request"]["object"] = pod
        assert (await webhook.ask("/validate", orjson.dumps(made)))[1]["response"]["allowed"]
        _, metrics = await webhook.ask("/metrics")
        assert 'sidecar_webhook_reviews_total{decision="injected",path="mutate"} 1.0' in metrics
        assert 'sidecar_webhook_reviews_total{decision="refused",path="validate"} 1.0' in metrics
        assert "sidecar_webhook_certificate_expires_seconds 1" in metrics


async def test_a_dry_run_is_answered_and_not_counted(folder: Path) -> None:
    async with running(folder) as webhook:
        _, said = await webhook.ask("/mutate", (REVIEWS / "dry-run.json").read_bytes())
        assert said["response"]["patchType"] == "JSONPatch"
        await webhook.says(r"/mutate agents/trial: injected \(dry run\)")
        assert "decision=" not in (await webhook.ask("/metrics"))[1]


async def test_what_is_no_review_is_refused_in_words(folder: Path) -> None:
    async with running(folder) as webhook:
        status, said = await webhook.ask("/mutate", b"{}")
        assert (status, said["code"]) == (400, "bad-request")
        assert "must be an AdmissionReview" in said["detail"]
        status, said = await webhook.ask(
            "/mutate", DEPLOYMENT.replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1")
        )
        assert (status, "admissionReviewVersions: [v1]" in said["detail"]) == (400, True)
        assert (await webhook.ask("/mutate", b"x", kind="text/plain"))[0] == 415
        assert (await webhook.ask("/mutate"))[0] == 405
        status, said = await webhook.ask("/mutation", b"{}")
        assert (status, "docs/webhook.md" in said["detail"]) == (404, True)
        assert (await webhook.ask("/mutate", b" " * (9 << 20)))[0] == 413
        assert (await webhook.ask("/mutate", DEPLOYMENT))[0] == 200


async def test_a_new_certificate_is_served_without_a_restart(folder: Path) -> None:
    old = folder / "old.crt"
    shutil.copy(folder / "tls/ca.crt", old)
    async with running(folder) as webhook, aiohttp.ClientSession() as client:
        kept = {
            "url": f"https://127.0.0.1:{webhook.port}/healthz",
            "ssl": webhook.context(),
            "server_hostname": HOST,
        }
        async with client.get(**kept) as response:
            assert response.status == 200
        assert Ran("ca", "webhook", "--out", str(folder / "tls"), "--force").status == 0
        await webhook.says("certificate reloaded")
        assert (await webhook.ask("/mutate", DEPLOYMENT))[0] == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await webhook.ask("/healthz", ca=old)
        async with client.get(**kept) as response:  # by the connection that stands
            assert response.status == 200


async def test_a_certificate_that_is_no_good_leaves_the_last_good_one(folder: Path) -> None:
    async with running(folder) as webhook:
        (folder / "tls/tls.key").write_text("half of a k")
        await webhook.says("certificate refused, the last good one stays")
        assert (await webhook.ask("/healthz"))[0] == 200


async def test_a_new_configuration_counts_without_a_restart_and_a_bad_one_does_not(folder: Path) -> None:
    async with running(folder) as webhook:
        (folder / "config/sidecar.yaml").write_text('version: 1\nlisten: {proxy: "127.0.0.1:18080"}\n')
        await webhook.says("config reloaded")
        _, said = await webhook.ask("/mutate", DEPLOYMENT)
        assert b"http://127.0.0.1:18080" in base64.b64decode(said["response"]["patch"])
        (folder / "config/sidecar.yaml").write_text('version: 1\nlisten: {proxy: "127.0.0.1:0"}\n')
        await webhook.says("config refused, the last good one stays")
        _, again = await webhook.ask("/mutate", DEPLOYMENT)
        assert again == said
        webhook.process.send_signal(signal.SIGHUP)
        await webhook.says("certificate reloaded")


async def test_it_stops_when_told(folder: Path) -> None:
    async with running(folder) as webhook:
        webhook.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await webhook.process.wait() == 0


async def test_an_old_protocol_is_not_spoken(folder: Path) -> None:
    async with running(folder) as webhook:
        context = webhook.context()
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", webhook.port, ssl=context, server_hostname=HOST
        )
        writer.close()
        del reader
        status, _ = await webhook.ask("/healthz")
        assert status == 200


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--listen", "8443"], 2, "not an address"),
        (["--kubernetes-version", "new"], 2, "is not a version"),
        (["--exclude", "10.0.0.1/8"], 2, "write a network"),
        (["--cert", "nowhere.crt"], 1, "cannot serve with nowhere.crt"),
        (["--config", "nowhere"], 1, "no such folder"),
    ],
)
def test_what_it_cannot_start_with_is_told(folder: Path, words: list[str], status: int, told: str) -> None:
    usual = ["--listen", "127.0.0.1:0", "--cert", f"{folder}/tls/tls.crt", "--key", f"{folder}/tls/tls.key"]
    ran = Ran("webhook", *usual, "--config", f"{folder}/config", *words)
    assert ran.status == status
    assert told in ran.err


def test_a_configuration_of_one_pod_does_not_do_for_many(folder: Path) -> None:
    (folder / "config/sidecar.yaml").write_text('version: 1\nlisten: {admin: "127.0.0.1:0"}\n')
    ran = Ran(
        *(
            "webhook",
            "--listen",
            "127.0.0.1:0",
            "--cert",
            f"{folder}/tls/tls.crt",
            "--key",
            f"{folder}/tls/tls.key",
        ),
        *("--config", f"{folder}/config"),
    )
    assert (ran.status, "listen.admin has port 0" in ran.err) == (1, True)


def test_the_key_of_a_new_certificate_is_its_owners_alone(folder: Path) -> None:
    assert stat.S_IMODE((folder / "tls/tls.key").stat().st_mode) == 0o600
    ran = Ran("ca", "webhook", "--out", str(folder / "tls"))
    assert (ran.status, "already there" in ran.err) == (1, True)
    assert Ran("ca", "webhook", "--out", str(folder / "new"), "--host", "a b").status == 1
