"""AdmissionReviews as an API server sends them, and what our answers make of them."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import jsonpatch

from sidecar.agentenv.variables import Authority, variables
from sidecar.core.config import Config
from sidecar.inject.review import Request, Verdict, answer, mutate, request
from sidecar.inject.standard import SHARE, Standard
from tests.core.test_compile import compiled

REVIEWS = Path(__file__).parent / "reviews"
NAMES = sorted(path.stem for path in REVIEWS.glob("*.json"))
REFUSED = {"host-network", "windows", "mistyped", "privileged", "port-taken"}
INJECTED = [name for name in NAMES if name not in REFUSED | {"opted-out"}]
PREFIX = "sidecar.agents.dev/"

TOOL = "version: 1\ntool: hubspot\nhosts: [api.hubapi.com]\nupstream: https://api.hubapi.com\n"


def standard(**changed: Any) -> Standard:
    """What a webhook with one tool and its default flags would have."""
    share = Path(SHARE)
    config: Config = compiled(TOOL)
    said = variables(
        "http://127.0.0.1:8080", config.sites, Authority(share / "ca.pem", share / "ca-bundle.pem"), None
    )
    usual = {
        "image": "agent-sidecar:0.1.0",
        "proxy": ("127.0.0.1", 8080),
        "admin": ("127.0.0.1", 9901),
        "drain_s": 25,
        "variables": tuple(said),
        "hosts": ("api.hubapi.com",),
        "intercepts": True,
    }
    return Standard(**{**usual, **changed})


def review(name: str) -> dict[str, Any]:
    return json.loads((REVIEWS / f"{name}.json").read_text())


def asked(name: str) -> Request:
    return request((REVIEWS / f"{name}.json").read_bytes())


def asking(pod: Any, **changed: Any) -> Request:
    """A request to create ``pod``."""
    document = review("deployment")
    document["request"] |= {"object": pod, **changed}
    return request(json.dumps(document).encode())


def patched(request: Request, verdict: Verdict) -> dict[str, Any]:
    """The pod that a real JSON Patch library makes of what was answered."""
    response = answer(request, verdict)["response"]
    assert response["allowed"], response
    operations = json.loads(b64decode(response["patch"])) if "patch" in response else []
    made: dict[str, Any] = jsonpatch.apply_patch(request.pod, operations)
    return made


def injected(name: str, **changed: Any) -> dict[str, Any]:
    """A pod of the corpus as it would be stored."""
    request = asked(name)
    return patched(request, mutate(request, standard(**changed)))


def named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [item for item in items if item["name"] == name]
    return found


def env(container: dict[str, Any]) -> dict[str, Any]:
    names = [item["name"] for item in container["env"]]
    assert len(names) == len(set(names))
    return {item["name"]: item.get("value") for item in container["env"]}
