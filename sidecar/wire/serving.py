"""A certificate to serve with, that may be replaced while connections stand.

A pair of files is written by somebody else, and may be met half written.  So a new pair is taken whole, in a context of
its own, or the last good one stays; each handshake asks which context that is.
"""

import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509

from sidecar.wire.trust import TrustError, no_passphrase, why


class ServerCertificate:
    """What is in two files, PEM: the server's certificate with what stands between it and a root, and its key."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises TrustError."""
        self._cert = cert
        self._key = key
        self.context = self._current = self._read()
        self.context.sni_callback = self._choose

    def reload(self) -> None:
        """Serve what is in the files now, from the next handshake on.  Raises TrustError; then nothing changed."""
        self._current = self._read()

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._cert, self._key, password=no_passphrase)
            self.expires: datetime = x509.load_pem_x509_certificate(
                self._cert.read_bytes()
            ).not_valid_after_utc
        except (OSError, ValueError) as error:
            raise TrustError(f"cannot serve with {self._cert} and {self._key}: {why(error)}") from None
        return context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current
