"""What the doctor makes of what a client met, and which mending it names.  The probes themselves: tests/e2e."""

import sys
from pathlib import Path
from typing import Any

import pytest

from sidecar.agentenv.clients import SDKS, TRANSPORTS, Transport
from sidecar.agentenv.doctor import Verdict, change, judged, judged_open
from sidecar.agentenv.runtimes import ProbeError, Runtime, probe, runtimes


def met(status: int = 0, error: str = "", sidecar: bool = False) -> dict[str, Any]:
    return {"status": status, "sidecar": sidecar, "error": error}


SIGNED = met(502, sidecar=True)
LOST = met(error="NameResolutionError: Failed to resolve 'sidecar-doctor.invalid'")
TUNNEL = met(error="OSError: Tunnel connection failed: 502 Bad Gateway")


@pytest.mark.parametrize(
    ("plain", "secure", "verdict"),
    [
        (SIGNED, TUNNEL, "through"),
        (LOST, LOST, "bypasses"),
        (SIGNED, LOST, "bypasses"),  # HTTP_PROXY alone is set
        (met(200), TUNNEL, "bypasses"),  # somebody else's proxy
        (TUNNEL, TUNNEL, "through"),  # http:// in a tunnel, as undici and httplib2 have it
        (met(407, sidecar=True), TUNNEL, "refused"),
        (met(error="OSError: Tunnel connection failed: 407"), TUNNEL, "refused"),
        (met(error="ConnectionRefusedError: [Errno 111]"), TUNNEL, "fails"),
        (met(error="Error: getaddrinfo ENOTFOUND sidecar-doctor.invalid"), LOST, "bypasses"),
        (met(error="ServerNotFoundError: Unable to find the server at x"), LOST, "bypasses"),
    ],
)
def test_only_who_gets_more_than_no_such_host_has_asked_a_proxy(
    plain: dict[str, Any], secure: dict[str, Any], verdict: str
) -> None:
    assert judged([plain, secure])[0] == verdict


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (met(400, sidecar=True), "through"),
        (met(error="SSLError: CERTIFICATE_VERIFY_FAILED"), "fails-tls"),
        (met(error="UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unable to get it"), "fails-tls"),
        (met(error="Error: socket hang up"), "fails"),
        (met(404), "bypasses"),
    ],
)
def test_a_tools_own_host_shows_whether_the_authority_is_trusted(found: dict[str, Any], verdict: str) -> None:
    assert judged_open(found)[0] == verdict


REQUESTS, STRIPE, URLLIB3, HTTPLIB2 = (
    next(each for each in TRANSPORTS if each.name == name)
    for name in ("requests", "stripe", "urllib3", "httplib2")
)


@pytest.mark.parametrize(
    ("transport", "verdict", "environ", "mend"),
    [
        (REQUESTS, "bypasses", {}, "set HTTPS_PROXY: run it with 'sidecar exec'"),
        (
            REQUESTS,
            "bypasses",
            {"https_proxy": "http://other"},
            "HTTPS_PROXY is not what 'sidecar env' prints",
        ),
        (REQUESTS, "fails-tls", {"HTTPS_PROXY": "x"}, "set REQUESTS_CA_BUNDLE"),
        (
            STRIPE,
            "fails-tls",
            {"HTTPS_PROXY": "x"},
            "load the shim: 'sidecar exec --shim'; or in code: stripe.ca_bundle",
        ),
        (URLLIB3, "bypasses", {"HTTPS_PROXY": "x"}, "load the shim"),
        (HTTPLIB2, "bypasses", {"HTTPS_PROXY": "x"}, "install PySocks"),
        (REQUESTS, "refused", {}, "put NAME:TOKEN into"),
    ],
)
def test_one_change_mends_each(
    transport: Transport, verdict: Verdict, environ: dict[str, str], mend: str
) -> None:
    assert change(transport, transport.by_hand, verdict, environ).startswith(mend)


def test_a_shim_that_is_there_is_not_advised_again(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").touch()
    said = change(URLLIB3, URLLIB3.by_hand, "bypasses", {"PYTHONPATH": f"/a:{tmp_path}"})
    assert said == "in code: urllib3.ProxyManager(URL)"


def test_every_sdk_stands_on_a_transport_that_can_be_tried() -> None:
    known = {(each.language, each.name) for each in TRANSPORTS}
    assert all((sdk.language, sdk.rides) in known for sdk in SDKS)


def test_the_agents_own_interpreter_is_looked_into(tmp_path: Path) -> None:
    script = tmp_path / "agent"
    script.write_text(f"#!{sys.executable} -u\n")
    script.chmod(0o755)
    environ = {"PATH": str(tmp_path)}
    assert runtimes([sys.executable, "agent.py"], environ) == [Runtime("python", sys.executable)]
    assert runtimes(["agent"], environ) == [Runtime("python", sys.executable)]
    assert runtimes(["npx", "agent"], environ) == []
    assert runtimes([], environ) == []
    (tmp_path / "python3").symlink_to(sys.executable)
    assert (
        runtimes([], environ)
        == runtimes(["unknown"], environ)
        == [Runtime("python", str(tmp_path / "python3"))]
    )


def test_an_interpreter_that_does_not_answer_is_told(tmp_path: Path) -> None:
    program = tmp_path / "python3"
    program.write_text("#!/bin/sh\necho no module >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(ProbeError, match="the probe failed: no module"):
        probe(Runtime("python", str(program)), TRANSPORTS, [], {}, {})
    with pytest.raises(ProbeError, match="No such file"):
        probe(Runtime("python", str(tmp_path / "none")), TRANSPORTS, [], {}, {})
