"""Making certificates: an authority, and leaves that it signs.  EC P-256: an RSA key would cost 40 ms to make.

The authority's names are constrained to the tools' hosts, so whoever steals its key can play no other server.  A
constraint speaks of one kind of name and leaves the other kinds free; so where no tool is an address all addresses are
excluded, and where all are, all names.

A leaf names its server as a subject alternative and nowhere else.  Its common name holds a blank, lest verifiers that
still look there take it for a host and hold the constraints against it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key: TypeAlias = (
    ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
)
"""What an authority may sign with."""

SKEW = timedelta(hours=1)
"""Certificates begin this long ago, for clients whose clocks are slow."""
EVERY_ADDRESS = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


class Signer(NamedTuple):
    """An authority: its certificate and its key."""

    certificate: x509.Certificate
    key: Key


def new_authority(hosts: Iterable[str], now: datetime, life: timedelta) -> tuple[bytes, bytes]:
    """Certificate and key, PEM.  ``hosts``: names with all that is below them, and addresses; none: any server."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("agent sidecar authority")
    builder = (
        _builder(name, name, key.public_key(), now, now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
    )
    constraints = _constraints(sorted(set(hosts)))
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return _pem(builder.sign(key, hashes.SHA256())), _key_pem(key)


def new_leaf(host: str, signer: Signer, now: datetime, end: datetime) -> bytes:
    """Key and certificate of a server named ``host``, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = signer.certificate
    certificate = (
        _builder(_named("agent sidecar leaf"), issuer.subject, key.public_key(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        .add_extension(_issuer_id(issuer), critical=False)
        .sign(signer.key, _digest(signer.key))
    )
    return _key_pem(key) + _pem(certificate)


def new_server(host: str, now: datetime, life: timedelta) -> tuple[bytes, bytes, bytes]:
    """An authority that nobody can sign with again, and the key and certificate of ``host`` that it signed; PEM."""
    authority, authority_key = new_authority([host], now, life)
    key = serialization.load_pem_private_key(authority_key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signer = Signer(x509.load_pem_x509_certificate(authority), key)
    both = new_leaf(host, signer, now, now + life)
    certificate = both.index(b"-----BEGIN CERTIFICATE")
    return authority, both[:certificate], both[certificate:]


def permits(authority: x509.Certificate, host: str) -> bool:
    """Whether its constraints let it sign for ``host``."""
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return True
    kind = type(_alternative(host))
    allowed = [base for base in constraints.permitted_subtrees or () if isinstance(base, kind)]
    denied = [base for base in constraints.excluded_subtrees or () if isinstance(base, kind)]
    return not any(_below(host, base) for base in denied) and (
        not allowed or any(_below(host, base) for base in allowed)
    )


def permitted(authority: x509.Certificate) -> list[str]:
    """What its constraints let it sign for; nothing: there are none."""
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return []
    return [str(base.value) for base in constraints.permitted_subtrees or ()]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _constraints(hosts: Sequence[str]) -> x509.NameConstraints | None:
    if not hosts:
        return None
    permitted: list[x509.GeneralName] = []
    for host in hosts:
        alternative = _alternative(host)
        permitted.append(
            x509.IPAddress(ip_network(host)) if isinstance(alternative, x509.IPAddress) else alternative
        )
    excluded: list[x509.GeneralName] = []
    if not any(isinstance(name, x509.IPAddress) for name in permitted):
        excluded += [x509.IPAddress(network) for network in EVERY_ADDRESS]
    if not any(isinstance(name, x509.DNSName) for name in permitted):
        excluded.append(x509.DNSName(""))
    return x509.NameConstraints(permitted, excluded or None)


def _below(host: str, base: x509.GeneralName) -> bool:
    if isinstance(base, x509.IPAddress):
        return isinstance(base.value, IPv4Network | IPv6Network) and ip_address(host) in base.value
    return not base.value or f".{host}".endswith(f".{base.value.removeprefix('.')}")


def _alternative(host: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _issuer_id(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        own = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _digest(key: Key) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
