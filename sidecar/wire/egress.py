"""Where the sidecar refuses to connect, decided on addresses and never on what a name looks like.

Theory.  An agent may name any host, and whoever owns a name decides what it resolves to, so a check of the
name alone protects nothing.  Every address a name resolves to is classed here, and the connection is made to
an address that passed, not to the name again.  An IPv6 address that carries an IPv4 one (mapped, compatible,
NAT64, 6to4, Teredo) belongs to the class of what it carries, since that is where its packets end up.

The ranges are IANA's special-purpose registries (RFC 6890) and live here, since the standard library's own
list changes between patch releases.  IPv6 outside 2000::/3 is not assigned for global use and counts as
reserved.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from sidecar.core.refusal import Refusal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA = "a cloud metadata address"

_METADATA_NETWORKS: Sequence[Network] = [
    ip_network(text)
    for text in (
        "169.254.169.254/32",  # AWS, GCP, Azure, OpenStack, Oracle, DigitalOcean
        "169.254.170.2/32",  # AWS ECS task credentials
        "169.254.170.23/32",  # AWS EKS pod identity
        "169.254.0.23/32",  # Tencent
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure wire server
        "192.0.0.192/32",  # Oracle classic
        "fd00:ec2::/32",  # AWS over IPv6
        "fd20:ce::254/128",  # GCP over IPv6
    )
]
_METADATA_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.tencentyun.com",
    }
)
_SPECIAL: Sequence[tuple[Network, str]] = [
    (ip_network(text), kind)
    for text, kind in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier-grade NAT address"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a reserved address"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a reserved address"),
        ("198.51.100.0/24", "a reserved address"),
        ("203.0.113.0/24", "a reserved address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "a reserved address"),
        ("3fff::/20", "a reserved address"),
    )
]
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.IGNORECASE)
_PART = re.compile(r"0x(?P<hex>[0-9a-f]*)|0(?P<oct>[0-7]*)|(?P<dec>[1-9][0-9]*)", re.IGNORECASE)


class Egress:
    """What the config allows and denies.

    ``deny`` holds ``metadata`` and ``private`` (whatever is not a public address); ``allow`` holds networks,
    which win. A network never opens a metadata address that it merely contains: that takes an entry of one
    address. Raises ValueError for a word or network it does not know.
    """

    def __init__(self, deny: Iterable[str] = ("metadata", "private"), allow: Iterable[str] = ()) -> None:
        denied = set(deny)
        if unknown := denied - {"metadata", "private"}:
            raise ValueError(f"egress.deny knows 'metadata' and 'private', not {min(unknown)!r}")
        self._deny_metadata = "metadata" in denied
        self._deny_private = "private" in denied
        self._allow = [ip_network(text) for text in allow]

    def objection(self, address: Address) -> str | None:
        """The class that makes ``address`` forbidden (``a loopback address``), or None where it may be
        used."""
        kind = classify(address)
        if kind is None or not (self._deny_metadata if kind == METADATA else self._deny_private):
            return None
        faces = [address, *carried(address)]
        entries = [entry for entry in self._allow if any(face in entry for face in faces)]
        if kind == METADATA:
            entries = [entry for entry in entries if entry.num_addresses == 1]
        return None if entries else kind

    def check_name(self, host: str, port: int) -> None:
        """Refuse a host that is forbidden or malformed as a name, before any resolver hears of it."""
        if self._deny_metadata and host.lower().rstrip(".") in _METADATA_NAMES:
            raise Refusal(
                "egress-denied",
                f"{host} is a cloud metadata service, which hands out credentials, and this sidecar does not"
                " connect to it. Sending the call again will not help. An operator who wants it must take"
                " `metadata` out of `egress: {deny: [...]}` in sidecar.yaml.",
                outcome="not_sent",
            )
        if not _NAME.fullmatch(host.rstrip(".")) or _numeric(host.rstrip(".")):
            raise Refusal(
                "upstream-unreachable",
                f"Nothing was sent: {host[:80]!r} is neither a host name nor an address (port {port})."
                " Check the URL; a zone id, a stray character or a number out of range is not accepted.",
                outcome="not_sent",
                retryable=False,
            )

    def admit(self, host: str, addresses: Sequence[Address]) -> list[Address]:
        """The addresses of ``host`` that may be used, in order.  Raises Refusal where none of them may."""
        objections = [(address, self.objection(address)) for address in addresses]
        allowed = [address for address, kind in objections if kind is None]
        if allowed:
            return allowed
        address, kind = objections[0]
        line = f'egress: {{allow: ["{address}/{address.max_prefixlen}"]}}'
        where = f"{host} is {kind}" if host == str(address) else f"{host} leads to {address}, {kind}"
        raise Refusal(
            "egress-denied",
            f"{where}, and this sidecar does not connect there. Nothing was sent, and sending the call again"
            f" will not help. If the tool really lives there, an operator can add `{line}` to sidecar.yaml.",
            outcome="not_sent",
        )


def classify(address: Address) -> str | None:
    """Why ``address`` is no public destination, in words; None where it is one."""
    faces = [address, *carried(address)]
    if any(face in network for face in faces for network in _METADATA_NETWORKS):
        return METADATA
    if len(faces) > 1:
        return next((kind for kind in map(classify, faces[1:]) if kind is not None), None)
    for network, kind in _SPECIAL:
        if address in network:
            return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "a reserved address"
    return None


def carried(address: Address) -> list[IPv4Address]:
    """The IPv4 addresses inside an IPv6 one: where a translator or a tunnel would send its packets."""
    if isinstance(address, IPv4Address):
        return []
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return list(address.teredo)
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return [IPv4Address(int(address) & 0xFFFF_FFFF)]
    return []


def literal(host: str) -> Address | None:
    """The address that ``host`` spells, in any form a C library would take; None where it is a name.

    ``2130706433``, ``0177.0.0.1``, ``0x7f.1`` and ``127.1`` all spell 127.0.0.1 (inet_aton).  Resolvers
    differ on these, so they are read here and connected to as what they were checked as.
    """
    host = host.rstrip(".").removeprefix("[").removesuffix("]")
    if ":" in host:
        try:
            return ip_address(host) if "%" not in host else None
        except ValueError:
            return None
    *leading, last = [_number(part) for part in host.split(".")]
    if last is None or len(leading) > 3:
        return None
    value = 0
    for octet in leading:
        if octet is None or octet > 255:
            return None
        value = value << 8 | octet
    free_bits = 8 * (4 - len(leading))
    return IPv4Address(value << free_bits | last) if last < 1 << free_bits else None


def _number(part: str) -> int | None:
    if len(part) > 40 or not (match := _PART.fullmatch(part)):
        return None
    if match["hex"] is not None:
        return int(match["hex"] or "0", 16)
    return int(match["oct"] or "0", 8) if match["dec"] is None else int(match["dec"])


def _numeric(host: str) -> bool:
    """Ends in a number, as no top-level domain does: a malformed address, which some resolver may still
    accept."""
    last = host.rpartition(".")[2]
    return last.isdigit() or (last.lower().startswith("0x") and _number(last) is not None)
