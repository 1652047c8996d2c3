"""What is known of HTTP clients: what each is told its proxy and its authorities by, and which SDK stands on which.

Only the mending goes by this table.  Whether a client comes through is never looked up but tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Language = Literal["python", "node"]


@dataclass(frozen=True, slots=True)
class Transport:
    """One way of making calls, which can be tried."""

    name: str
    language: Language
    needs: str = ""
    """The distribution that brings it; empty: the runtime."""
    proxy: str = "HTTPS_PROXY"
    """The variable that it obeys; empty: none, so only the shim or the code helps."""
    authorities: str = ""
    """The variable that it takes its authorities from; empty: none."""
    by_hand: str = ""
    """What does instead of the shim."""
    shim: bool = True
    """The shim mends it."""


@dataclass(frozen=True, slots=True)
class Sdk:
    """A vendor's client, and what it makes its calls with."""

    package: str
    language: Language
    rides: str
    by_hand: str = ""


NEWER: Final = "Node 22.21 or 24.5, which obey NODE_USE_ENV_PROXY"

TRANSPORTS: Final[Sequence[Transport]] = (
    Transport("urllib", "python", authorities="SSL_CERT_FILE"),
    Transport("requests", "python", "requests", authorities="REQUESTS_CA_BUNDLE"),
    Transport("httpx", "python", "httpx", authorities="SSL_CERT_FILE"),
    Transport("httplib2", "python", "httplib2", "", "HTTPLIB2_CA_CERTS", "install PySocks", shim=False),
    Transport("urllib3", "python", "urllib3", "", "SSL_CERT_FILE", "in code: urllib3.ProxyManager(URL)"),
    Transport("aiohttp", "python", "aiohttp", "", "SSL_CERT_FILE", "in code: ClientSession(trust_env=True)"),
    Transport(
        "stripe", "python", "stripe", by_hand="in code: stripe.ca_bundle_path = os.environ['SSL_CERT_FILE']"
    ),
    Transport("fetch", "node", "", "", "NODE_EXTRA_CA_CERTS", NEWER),
    Transport("https", "node", "", "", "NODE_EXTRA_CA_CERTS", NEWER),
    Transport("https.Agent", "node", "", "", "NODE_EXTRA_CA_CERTS", "in code: an agent of https-proxy-agent"),
    Transport("axios", "node", "axios", authorities="NODE_EXTRA_CA_CERTS"),
)

SDKS: Final[Sequence[Sdk]] = (
    Sdk("hubspot-api-client", "python", "urllib3", "in code: Client.create(proxy=URL, ssl_ca_cert=FILE)"),
    Sdk("xero-python", "python", "urllib3", "in code: configuration.proxy = URL"),
    Sdk("simple-salesforce", "python", "requests"),
    Sdk("twilio", "python", "requests"),
    Sdk("resend", "python", "requests"),
    Sdk("zenpy", "python", "requests"),
    Sdk("mailchimp-marketing", "python", "requests"),
    Sdk("sendgrid", "python", "urllib"),
    Sdk("slack-sdk", "python", "urllib"),
    Sdk("python-intercom", "python", "httpx"),
    Sdk("google-api-python-client", "python", "httplib2"),
    Sdk("stripe", "node", "https.Agent", "in code: new Stripe(key, {httpAgent})"),
    Sdk("@hubspot/api-client", "node", "https", "in code: new Client({httpAgent})"),
    Sdk("@slack/web-api", "node", "axios"),
    Sdk("@sendgrid/client", "node", "axios"),
    Sdk("resend", "node", "fetch"),
    Sdk("undici", "node", "fetch"),
)
