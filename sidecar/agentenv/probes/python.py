"""Runs in the agent's own interpreter, 3.8 or newer: which clients are there, and where their calls end up.

Reads ``{"clients": {name: distribution}, "urls": [...], "headers": {...}}`` from stdin and writes one JSON object:
``{"versions": {distribution: version}, "probes": {name: [finding per url]}}``.  A finding is ``{"status", "sidecar",
"error"}``.
"""

import asyncio
import json
import ssl
import sys
import urllib.error
import urllib.request
from importlib import import_module
from typing import Any, Callable, Dict, List, Tuple

TIMEOUT_S = 10
Reply = Tuple[int, Any]


def _urllib(url: str, headers: Any) -> Reply:
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)  # noqa: S310 - urls are our own probes
    except urllib.error.HTTPError as error:
        return error.code, error.headers
    return answer.status, answer.headers


def _requests(url: str, headers: Any) -> Reply:
    answer = import_module("requests").get(url, headers=headers, timeout=TIMEOUT_S)
    return answer.status_code, answer.headers


def _httpx(url: str, headers: Any) -> Reply:
    answer = import_module("httpx").get(url, headers=headers, timeout=TIMEOUT_S)
    return answer.status_code, answer.headers


def _urllib3(url: str, headers: Any) -> Reply:
    pool = import_module("urllib3").PoolManager()
    answer = pool.request("GET", url, headers=headers, timeout=TIMEOUT_S, retries=False)
    return answer.status, answer.headers


def _aiohttp(url: str, headers: Any) -> Reply:
    aiohttp = import_module("aiohttp")

    async def get() -> Reply:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:  # noqa: SIM117 - parentheses came with 3.10
            async with session.get(url, headers=headers) as answer:
                return answer.status, answer.headers

    return asyncio.run(get())


def _httplib2(url: str, headers: Any) -> Reply:
    answer, _ = import_module("httplib2").Http(timeout=TIMEOUT_S).request(url, headers=headers)
    return answer.status, answer


def _stripe(url: str, headers: Any) -> Reply:
    """Its own client, since it brings its own bundle."""
    stripe = import_module("stripe")
    make = getattr(stripe, "new_default_http_client", None) or stripe.http_client.new_default_http_client
    _, status, answered = make(verify_ssl_certs=True, timeout=TIMEOUT_S).request("get", url, headers)
    return status, answered


PROBES: Dict[str, Callable[[str, Any], Reply]] = {
    "urllib": _urllib,
    "requests": _requests,
    "httpx": _httpx,
    "urllib3": _urllib3,
    "aiohttp": _aiohttp,
    "httplib2": _httplib2,
    "stripe": _stripe,
}


def _finding(name: str, url: str, headers: Any) -> Dict[str, Any]:
    try:
        status, answered = PROBES[name](url, headers)
    except Exception as error:
        return {"status": 0, "sidecar": False, "error": _chain(error)}
    fields = {key.lower(): value for key, value in answered.items()}
    return {"status": status, "sidecar": "agent-sidecar" in fields.get("proxy-status", ""), "error": ""}


def _chain(error: Any) -> str:
    """The error and those below it, which are often the ones that say something."""
    said: List[str] = []
    while error is not None and len(said) < 6:
        said.append("%s: %s" % (type(error).__name__, error))
        error = error.__cause__ or error.__context__
    return " <- ".join(said)


def main() -> None:
    from importlib.metadata import distributions

    asked = json.load(sys.stdin)
    versions: Dict[str, str] = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:
            versions.setdefault(name.lower().replace("_", "-"), distribution.version)
    probes = {
        name: [_finding(name, url, asked["headers"]) for url in asked["urls"]]
        for name, needs in asked["clients"].items()
        if name in PROBES and (not needs or needs in versions)
    }
    json.dump(
        {"versions": versions, "probes": probes, "runtime": "Python " + sys.version.split()[0]},
        sys.stdout,
    )


if __name__ == "__main__":
    ssl.OPENSSL_VERSION  # noqa: B018 - an interpreter without TLS ends here, with words that say so
    main()
