"""What docs/kubernetes.md tells a reader to do, done."""

import json
import os
import re
import ssl
import subprocess
from pathlib import Path

import yaml

from tests.k8s.manifests import OVERLAYS, REPO, ROUTES, STATES, check, unrestricted

PAGE = (REPO / "docs" / "kubernetes.md").read_text()
RECORDER = """#!/bin/sh
for word in "$@"; do printf '%s\\0' "$word" >> "$CALLS"; done
printf '\\n' >> "$CALLS"
"""


def block(heading: str) -> str:
    return PAGE.partition(f"{heading}\n")[2].partition("```sh\n")[2].partition("```")[0]


def test_the_certificate_by_hand_is_one_that_an_api_server_trusts(tmp_path: Path) -> None:
    recorder = tmp_path / "bin" / "kubectl"
    recorder.parent.mkdir()
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    calls = tmp_path / "calls"
    path = f"{recorder.parent}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-euc", block("### A certificate by hand")],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "CALLS": str(calls)},
    )

    told = [line.split("\0")[:-1] for line in calls.read_text().splitlines()]
    assert told[0][2:5] == ["create", "secret", "generic"]
    files = [word.removeprefix("--from-file=") for word in told[0] if word.startswith("--from-file=")]
    assert files == ["tls.crt", "tls.key", "ca.crt"]
    assert [words[1] for words in told[1:]] == [
        "mutatingwebhookconfiguration",
        "validatingwebhookconfiguration",
    ]
    for words in told[1:]:
        (change,) = json.loads(words[-1])
        assert change["path"] == "/webhooks/0/clientConfig/caBundle"

    trusting = ssl.create_default_context(cadata=(tmp_path / "ca.crt").read_text())
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    shake_hands(served, trusting, "sidecar-webhook.agent-sidecar.svc")


def shake_hands(served: ssl.SSLContext, trusting: ssl.SSLContext, host: str) -> None:
    """Raises ssl.SSLError where the one would not trust the other."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = served.wrap_bio(there, back, server_side=True)
    client = trusting.wrap_bio(back, there, server_hostname=host)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == "TLSv1.3"


def test_the_first_call_may_run_in_a_restricted_namespace() -> None:
    job = yaml.safe_load((REPO / "k8s" / "examples" / "first-call.yaml").read_text())
    check(job, "1.37")
    assert not list(unrestricted(job["spec"]["template"]["spec"]))
    assert job["metadata"]["namespace"] == "agents"


def test_every_file_that_the_page_names_is_there() -> None:
    for link in re.findall(r"\]\((?!#|http)([^)#]+)", PAGE):
        assert (REPO / "docs" / link).exists(), link
    for path in re.findall(r"(?<![\w./])(?:k8s|config)/[\w./-]*\w", PAGE):
        assert (REPO / path).exists(), path
    for overlay in OVERLAYS:
        assert f"overlays/{overlay}" in PAGE
    assert all(f"config.routes.{path.stem}=config/routes/{path.name}" in PAGE for path in ROUTES)
    assert all(f"config.states.{path.stem}=config/states/{path.name}" in PAGE for path in STATES)


def test_every_heading_that_the_page_points_to_is_there() -> None:
    headings = {
        re.sub(r"[^\w -]", "", it).lower().replace(" ", "-")
        for it in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
