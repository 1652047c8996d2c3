"""Does every client of the agent's come to the sidecar?

It is tried, by each client itself, with calls that can have no effect:

- to a host under ``.invalid``, which no name server knows (RFC 6761): whoever gets more than "no such host" has asked
  a proxy, and the sidecar signs its answers;
- where HTTPS is opened, to a tool's host, with a method override that the sidecar refuses before anything is sent.
  Only a client that took the way of the sidecar until then is asked to.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from sidecar.agentenv.clients import SDKS, TRANSPORTS, Transport
from sidecar.agentenv.runtimes import ProbeError, Runtime, probe, runtimes
from sidecar.core.config import Config

NOWHERE: Final = "sidecar-doctor.invalid"
NOWHERE_URLS: Final = (f"http://{NOWHERE}/", f"https://{NOWHERE}/")
HEADERS: Final = {"X-HTTP-Method-Override": "DOCTOR", "User-Agent": "sidecar-doctor"}

Verdict = Literal["through", "bypasses", "fails-tls", "refused", "fails"]

_NO_SUCH_HOST: Final = re.compile(
    r"name or service not known|getaddrinfo|nodename nor servname|name does not resolve|name resolution|ENOTFOUND"
    r"|EAI_AGAIN|no address associated|NameResolutionError|DNSError|unable to find the server",
    re.IGNORECASE,
).search
_TUNNEL_REFUSED: Final = re.compile(r"\b(403|502)\b").search  # some put http:// into a tunnel as well
_UNTRUSTED: Final = re.compile(r"certificate|CERT_|self.signed|unknown ca|UNABLE_TO_", re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Finding:
    """One client, and where its calls go."""

    client: str
    version: str
    runtime: str
    verdict: Verdict
    why: str
    change: str
    """The one change that mends it; empty where nothing is to mend."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was found."""

    proxy: str
    answers: bool
    """A sidecar answers there."""
    opened: str
    """The tool's host that HTTPS was tried with; empty: HTTPS is not opened here."""
    findings: tuple[Finding, ...]
    unseen: tuple[str, ...]
    """Interpreters that could not be looked into, and why."""

    @property
    def good(self) -> bool:
        """Every client that was found comes through."""
        return self.answers and not self.unseen and all(each.verdict == "through" for each in self.findings)

    def as_json(self) -> dict[str, object]:
        """As a program reads it."""
        return {"good": self.good} | asdict(self)


def examine(config: Config, proxy: str, command: Sequence[str], environ: Mapping[str, str]) -> Diagnosis:
    """Try every client that ``command`` may use, in ``environ``, through the sidecar at ``proxy``."""
    opened = _opened(config)
    if not _answers(proxy):
        return Diagnosis(_bare(proxy), False, opened, (), ())
    environ = {name: value for name, value in environ.items() if name != "SIDECAR_ADMIN_TOKEN"}
    findings: list[Finding] = []
    unseen: list[str] = []
    for runtime in runtimes(command, environ):
        try:
            findings += _findings(runtime, opened, environ)
        except ProbeError as error:
            unseen.append(str(error))
    return Diagnosis(_bare(proxy), True, opened, tuple(findings), tuple(unseen))


def _bare(proxy: str) -> str:
    """Without the token."""
    scheme, _, rest = proxy.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _opened(config: Config) -> str:
    if not config.process.tls.intercepts:
        return ""
    patterns = (pattern for site in config.sites for pattern in site.tool.hosts)
    return next((each.name for each in patterns if not each.wildcard and each.port in (None, 443)), "")


def _answers(proxy: str) -> bool:
    parts = urlsplit(proxy)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=5)
    try:
        connection.request("GET", f"http://{NOWHERE}/", headers=HEADERS)
        return "agent-sidecar" in (connection.getresponse().headers["Proxy-Status"] or "")
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _findings(runtime: Runtime, opened: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    transports = {each.name: each for each in TRANSPORTS if each.language == runtime.language}
    probed = probe(runtime, transports.values(), NOWHERE_URLS, HEADERS, environ)
    verdicts = {name: judged(found) for name, found in probed.findings.items()}
    if opened:
        trusted = [
            transports[name] for name, (verdict, _) in verdicts.items() if verdict in ("through", "fails")
        ]
        seen = probe(runtime, trusted, [f"https://{opened}/"], HEADERS, environ).findings
        verdicts |= {name: judged_open(found[0]) for name, found in seen.items()}
    for name, (verdict, why) in verdicts.items():
        transport = transports[name]
        mend = _mend(transport, transport.by_hand, verdict, environ)
        version = probed.versions.get(transport.needs, "")
        yield Finding(name, version, probed.runtime, verdict, why, mend)
    for sdk in SDKS:
        if sdk.language == runtime.language and sdk.package in probed.versions and sdk.rides in verdicts:
            transport, (verdict, why) = transports[sdk.rides], verdicts[sdk.rides]
            mend = _mend(transport, sdk.by_hand or transport.by_hand, verdict, environ)
            version = probed.versions[sdk.package]
            yield Finding(sdk.package, version, probed.runtime, verdict, f"{why} (by {sdk.rides})", mend)


Judged = tuple[Verdict, str]


def judged(found: Sequence[Mapping[str, Any]]) -> Judged:
    """What the calls to nowhere come to, by http:// and by https://."""
    plain, secure = found
    error = plain["error"]
    if _NO_SUCH_HOST(error):
        return "bypasses", "it asked a name server, and no proxy"
    if plain["status"] == 407 or "407" in error:
        return "refused", "the sidecar wants credentials"
    if not error and not plain["sidecar"]:
        return "bypasses", "something else than the sidecar answered it"
    if _NO_SUCH_HOST(secure["error"]):
        return "bypasses", "http:// comes through; for https:// it asked a name server, and no proxy"
    if error and not _TUNNEL_REFUSED(error):
        return "fails", error
    return "through", "the sidecar answered" if plain["sidecar"] else "its proxy refused a tunnel to nowhere"


def judged_open(found: Mapping[str, Any]) -> Judged:
    """What a call to a tool's host comes to."""
    if found["sidecar"]:
        return "through", "the sidecar answered, HTTPS included"
    if _UNTRUSTED(found["error"]):
        return "fails-tls", "it does not trust the sidecar's authority"
    if found["error"]:
        return "fails", found["error"]
    return "bypasses", "for https:// something else than the sidecar answered it"


def _mend(transport: Transport, by_hand: str, verdict: Verdict, environ: Mapping[str, str]) -> str:
    return "" if verdict == "through" else change(transport, by_hand, verdict, environ)


def change(transport: Transport, by_hand: str, verdict: Verdict, environ: Mapping[str, str]) -> str:
    """The one change that mends it."""
    if verdict == "refused":
        return "put NAME:TOKEN into the proxy's URL: sidecar env --proxy http://NAME:TOKEN@HOST:PORT"
    if verdict == "fails":
        return "see that HTTP_PROXY and HTTPS_PROXY are what 'sidecar env' prints"
    variable = transport.proxy if verdict == "bypasses" else transport.authorities
    if variable and not (environ.get(variable) or environ.get(variable.lower())):
        return f"set {variable}: run it with 'sidecar exec'"
    if variable and (verdict == "fails-tls" or transport.proxy):
        return f"{variable} is not what 'sidecar env' prints: run it with 'sidecar exec'"
    if not transport.shim:
        return by_hand
    if shimmed(transport.language, environ):
        return by_hand
    return "load the shim: 'sidecar exec --shim'" + (f"; or {by_hand}" if by_hand else "")


def shimmed(language: str, environ: Mapping[str, str]) -> bool:
    """The shim is in place already."""
    if language == "node":
        return "preload.js" in environ.get("NODE_OPTIONS", "")
    places = filter(None, environ.get("PYTHONPATH", "").split(":"))
    return any((Path(place) / "sitecustomize.py").is_file() for place in places)
