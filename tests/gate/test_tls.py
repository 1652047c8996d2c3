"""``rediss://``: the link takes over an encrypted connection like a plain one, and trusts nobody by default."""

import asyncio
import datetime
import socket
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sidecar.core.claim import Replay
from sidecar.gate.gate import Gate
from sidecar.gate.store import StoreError
from tests.conftest import Serve
from tests.gate.scripts import claim
from tests.gate.test_gate import DONE, held
from tests.servers import Server, engines


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_file, key_file


async def encrypted(serve: Serve, folder: Path) -> tuple[str, Path]:
    """A server that speaks TLS on a loopback port; its address and the certificate to trust.

    Debian's redis-server is built with TLS, the wheel's is not; ``tests/tools.sh`` installs it.
    """
    engine = engines()["redis"]
    cert, key = certificate(folder)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    files = ("--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-auth-clients", "no")
    server: Server = serve(engine, "--bind", "127.0.0.1", "--tls-port", str(port), *files)
    server.launch()
    assert server.process is not None
    async with asyncio.timeout(20):
        while server.process.poll() is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return f"rediss://localhost:{port}/0", cert
    raise AssertionError("redis-server ended; was it built without TLS?")


async def test_a_gate_works_over_tls(serve: Serve, folder: Path) -> None:
    url, cert = await encrypted(serve, folder)
    gate = Gate(f"{url}?ssl_ca_certs={cert}")
    await gate.start()
    await (await held(gate, claim("c1", "x"))).settle(DONE)
    assert isinstance(await gate.admit(claim("c2", "x")), Replay)
    await gate.stop()


async def test_a_server_that_nobody_vouches_for_is_not_trusted(serve: Serve, folder: Path) -> None:
    url, _ = await encrypted(serve, folder)
    with pytest.raises(StoreError, match="certificate"):
        await Gate(url).start()
