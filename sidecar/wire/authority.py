"""The authority that signs for the tools' hosts: read once, and a TLS context for each host that is asked for.

A context costs 0.7 ms, so it is kept until a third of its leaf's life is left; then the next handshake gets a new one.
Connections that stand are not touched: a certificate is looked at in the handshake only.  At most ``MOST`` are kept,
since who asks for a host chooses its name.
"""

import os
import ssl
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from sidecar.wire.certificates import SKEW, Key, Signer, new_authority, new_leaf, permits
from sidecar.wire.trust import TrustError

LIFE = timedelta(hours=24)
"""Of a leaf."""
EPHEMERAL = timedelta(days=1825)
"""Of an authority made at start.  Longer than any process is left to run."""
RENEWED = LIFE / 3
"""What must be left of it at a handshake."""
SOON = timedelta(days=30)
MOST = 256
"""Hosts whose contexts are kept, 100 KB each."""


class _Kept(NamedTuple):
    context: ssl.SSLContext
    from_s: float
    """Earlier than this the clock was wrong when the leaf was made, or is wrong now."""
    until_s: float


class Authority:
    """Signs for whatever host it is asked for; which ones those are is for others to say."""

    def __init__(self, signer: Signer, chain: bytes, clock: Callable[[], float] = time.time) -> None:
        self.ephemeral = False
        """Its key is nowhere but here."""
        self.pem = signer.certificate.public_bytes(Encoding.PEM)
        """What clients are to trust."""
        self._signer = signer
        self._chain = chain
        """What stands between a leaf and the root that clients know."""
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    @classmethod
    def load(cls, ca_cert: str, ca_key: str, clock: Callable[[], float] = time.time) -> Self:
        """Raises TrustError."""
        certificates = _certificates(ca_cert)
        signer = Signer(certificates[0], _key(ca_key))
        _check(signer, ca_cert, ca_key, datetime.fromtimestamp(clock(), UTC))
        between = [one for one in certificates if one.subject != one.issuer]
        it = cls(signer, _pem(between), clock)
        it.pem = _pem(certificates)
        return it

    @classmethod
    def made(cls, hosts: Sequence[str], clock: Callable[[], float] = time.time) -> Self:
        """An authority for ``hosts``, at least one, and for as long as this process lives."""
        certificate, key = new_authority(hosts, datetime.fromtimestamp(clock(), UTC), EPHEMERAL)
        signer = Signer(
            x509.load_pem_x509_certificate(certificate), _signing(load_pem_private_key(key, None))
        )
        it = cls(signer, b"", clock)
        it.ephemeral = True
        return it

    @property
    def certificate(self) -> x509.Certificate:
        return self._signer.certificate

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its certificate, as other tools print it."""
        return self.certificate.fingerprint(SHA256()).hex(":").upper()

    def doubts(self, hosts: Iterable[str]) -> Iterator[str]:
        """What clients that are to call ``hosts`` will not like, or not for much longer."""
        barred = [host for host in hosts if not permits(self.certificate, host)]
        if barred:
            subject, mended = ("the authority in tls.ca_cert", "make a new one with 'sidecar ca init'")
            if self.ephemeral:
                subject, mended = ("the authority made at start", "restart the sidecar and its agents")
            yield (
                f"{subject} may not sign for {', '.join(barred)}, so clients will reject what it signs; {mended}"
            )
        end = self.certificate.not_valid_after_utc
        if end - datetime.fromtimestamp(self._clock(), UTC) < SOON:
            yield f"the authority in tls.ca_cert expires on {end:%Y-%m-%d}; make a new one and give it to the agents"

    def context(self, host: str) -> ssl.SSLContext:
        """The server's side of TLS for ``host``.

        A client that asks for another name by SNI is served that one's context, and is found out by it.
        """
        now_s = self._clock()
        kept = self._kept.get(host)
        if kept is None or not kept.from_s <= now_s < kept.until_s:
            kept = self._kept[host] = self._made(host, datetime.fromtimestamp(now_s, UTC))
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(host)
        return kept.context

    def _made(self, host: str, now: datetime) -> _Kept:
        end = min(now + LIFE, self.certificate.not_valid_after_utc)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.num_tickets = 1  # a second would only help a client that opens several connections at once
        with _file(new_leaf(host, self._signer, now, end) + self._chain) as path:
            context.load_cert_chain(path)
        context.sni_callback = self._asked(host)
        until = end - RENEWED if end - RENEWED > now else end
        return _Kept(context, (now - SKEW).timestamp(), until.timestamp())

    def _asked(self, host: str) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], None]:
        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            asked = (name or host).lower().rstrip(".")
            if asked != host:
                connection.context = self.context(asked)

        return choose


def _pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def _certificates(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path, "ca_cert"))
    except ValueError:
        raise TrustError(f"tls.ca_cert: {path} holds no PEM certificate") from None


def _key(path: str) -> Key:
    try:
        key = load_pem_private_key(_read(path, "ca_key"), password=None)
    except TypeError:
        raise TrustError(
            f"tls.ca_key: {path} is locked by a passphrase, and nobody is there to type it; store it without one"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise TrustError(f"tls.ca_key: {path} holds no PEM private key") from None
    return _signing(key, path)


def _signing(key: object, path: str = "") -> Key:
    if not isinstance(key, Key):
        raise TrustError(f"tls.ca_key: {path} is a key that signs no certificates; use EC P-256")
    return key


def _read(path: str, field: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TrustError(
            f"tls.{field}: {path} cannot be read: {error.strerror}; 'sidecar ca init' makes an authority"
        ) from None


def _check(signer: Signer, ca_cert: str, ca_key: str, now: datetime) -> None:
    certificate = signer.certificate
    if certificate.public_key() != signer.key.public_key():
        raise TrustError(f"tls: {ca_key} is not the key of {ca_cert} (of the first certificate in it)")
    try:
        signs = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        signs = False
    if not signs:
        raise TrustError(
            f"tls.ca_cert: {ca_cert} is not an authority's certificate (CA:TRUE), so it cannot sign"
        )
    if certificate.not_valid_after_utc <= now:
        raise TrustError(
            f"tls.ca_cert: {ca_cert} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; "
            "make a new authority and give it to the agents"
        )


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """``content`` under a path, for OpenSSL reads keys from files only; in memory where the system can."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("leaf")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
