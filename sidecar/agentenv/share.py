"""The files that the variables point at: certificates, and the shims.

In one file system with the sidecar nothing is copied but the bundle, which is made.  In a pod the agent sees a volume
only, so everything is put there.
"""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile

from sidecar.agentenv.variables import Authority

SHIMS = Path(__file__).parent / "shim"
BUNDLE = "ca-bundle.pem"
JOINT = "ca-added.pem"
OURS = b"# The sidecar's own:\n"

USUAL = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


class ShareError(Exception):
    """A file that the agent needs cannot be made; the text says why, and what to do."""


def authority(ca_cert: Path, share: Path | None, environ: Mapping[str, str]) -> Authority:
    """Certificates in place: the bundle written, and all of it in ``share`` where one is given.  Raises ShareError."""
    ca = _read(ca_cert)
    own = ca_cert if share is None else share / "ca.pem"
    bundle, joint = own.with_name(BUNDLE), own.with_name(JOINT)
    _write(bundle, _system(bundle, environ) + ca)
    if share is not None:
        _write(own, ca)
    added = _added(Path(environ.get("NODE_EXTRA_CA_CERTS", "")), own, joint)
    if added:
        _write(joint, added + OURS + ca)
    return Authority((joint if added else own).absolute(), bundle.absolute())


def put(ca: bytes, share: Path, environ: Mapping[str, str]) -> Authority:
    """The certificate ``ca`` and the bundle, in ``share``, by who knows no agent's environment.  Raises ShareError."""
    made = there(share)
    _write(made.bundle, _system(made.bundle, environ) + ca)
    _write(made.ca, ca)
    return made


def there(share: Path) -> Authority:
    """What a sidecar puts in ``share`` at its start."""
    return Authority((share / "ca.pem").absolute(), (share / BUNDLE).absolute())


def _added(path: Path, own: Path, joint: Path) -> bytes:
    """What somebody adds to Node's authorities already, in the one file that its variable takes."""
    if not path.is_file() or path.resolve() == own.resolve():
        return b""
    content = _read(path)
    return content.partition(OURS)[0] if path.resolve() == joint.resolve() else content


def shims(share: Path | None) -> Path:
    """The folder of the shims.  Raises ShareError."""
    if share is None:
        return SHIMS
    for file in ("python/sitecustomize.py", "node/preload.js"):
        _write(share / file, (SHIMS / file).read_bytes())
    return share.absolute()


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ShareError(
            f"{path}: cannot be read: {error.strerror}; 'sidecar ca init' makes an authority"
        ) from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise ShareError(f"{path}: holds no PEM certificate")
    return content.rstrip() + b"\n"


def _system(bundle: Path, environ: Mapping[str, str]) -> bytes:
    """The authorities that are known here, without those that an earlier bundle of ours added."""
    for path in _candidates(environ):
        with suppress(OSError):
            if path.resolve() != bundle.resolve() and path.stat().st_size:
                return path.read_bytes().rstrip() + b"\n"
    raise ShareError(
        "the system's certificate authorities were not found; install ca-certificates, or set SSL_CERT_FILE"
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    """A company's own bundle first, since whoever set it wants it trusted."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if environ.get(name):
            yield Path(environ[name])
    yield Path(ssl.get_default_verify_paths().openssl_cafile)
    yield from map(Path, USUAL)
    found = find_spec("certifi")
    if found is not None and found.origin is not None:
        yield Path(found.origin).with_name("cacert.pem")


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, since agents may be reading; readable by them, whoever they run as."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_bytes() == content:
            return
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            try:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ShareError(
            f"{path}: cannot be written: {error.strerror}; name a folder with --share DIR, or in tls.share"
        ) from None
