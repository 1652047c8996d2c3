"""What people write in YAML, read into numbers: durations, sizes, rates, addresses, networks.

Each reader raises ``ValueError`` with a *predicate* (``is not a duration; ...``) and never with the text it was given:
the report puts the subject in front, and leaves it out where the text came from the environment and may be secret.
"""

import ipaddress
import re
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,3})?) ?(ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d{1,12}) ?(B|KiB|MiB|GiB)", re.ASCII)
_RATE = re.compile(r"(\d{1,9}) ?(?:per|/) ?(.+)", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

LONGEST_MS = 365 * _MS["d"]
LARGEST_BYTES = 64 << 30
LARGEST_RATE = 10_000
"""The store keeps every token for its period."""


def duration_ms(text: str) -> int:
    """``500ms``, ``30s``, ``10m``, ``1.5h``, ``7d`` in milliseconds.  ``0`` needs no unit."""
    if text == "0":
        return 0
    found = _DURATION.fullmatch(text)
    if found is None:
        needs = "has no unit" if text.isdecimal() else "is not a duration"
        raise ValueError(f"{needs}; write a number and ms, s, m, h or d, like 500ms, 30s or 10m")
    ms = round(float(found[1]) * _MS[found[2]])
    if ms > LONGEST_MS:
        raise ValueError("is longer than 365d")
    return ms


def size_bytes(text: str) -> int:
    """``512B``, ``256KiB``, ``1MiB`` in bytes."""
    found = _SIZE.fullmatch(text)
    if found is None:
        needs = "has no unit" if text.isdecimal() else "is not a size"
        raise ValueError(f"{needs}; write a number and B, KiB, MiB or GiB, like 256KiB or 1MiB")
    size = int(found[1]) * _BYTES[found[2]]
    if size > LARGEST_BYTES:
        raise ValueError("is larger than 64GiB")
    return size


def rate(text: str) -> tuple[int, int]:
    """``100 per 10s`` as a count and a period in milliseconds."""
    found = _RATE.fullmatch(text)
    if found is None or not int(found[1]):
        raise ValueError("is not a rate; write a count and a duration, like 100 per 10s")
    try:
        period_ms = duration_ms(found[2])
    except ValueError:
        period_ms = 0
    if not period_ms:
        raise ValueError("is not a rate; write a count and a duration, like 100 per 10s")
    if int(found[1]) > LARGEST_RATE:
        raise ValueError(f"counts more than {LARGEST_RATE}; write a shorter period, like 600 per 1m")
    return int(found[1]), period_ms


def address(text: str) -> tuple[str, int]:
    """``host:port``, with IPv6 in brackets; a host alone or a port alone is refused, so that nothing is guessed."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not port.isascii() or int(port) > 65_535:
        raise ValueError("is not an address; write HOST:PORT, like 127.0.0.1:8080")
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1])), int(port)
        except ValueError:
            raise ValueError("is not an address; what is in the brackets is not IPv6") from None
    if not host or ":" in host:
        raise ValueError("is not an address; write HOST:PORT, IPv6 in brackets, like [::1]:8080")
    if not host_name(host):
        raise ValueError("is not an address; the host has characters that no host name has")
    return host.lower(), int(port)


def host_name(text: str) -> bool:
    """Whether ``text`` could be a DNS name or a dotted IPv4 address."""
    labels = text.removesuffix(".").replace("_", "-").split(".")
    return len(text) <= 253 and all(_NAME.fullmatch(label) for label in labels)


def network(text: str) -> Network:
    """``10.1.0.0/16``, ``fd00::/8``, or one address."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        near = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("is not a network; write CIDR, like 10.1.0.0/16 or fd00::/8") from None
    raise ValueError(
        f"has bits set behind its prefix length; write the first address of the /{near.prefixlen}"
    )


def base_url(text: str) -> str:
    """``http(s)://host[:port][/prefix]`` without a trailing slash: no credentials, no query, no fragment."""
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError(
            "is not a URL; write http://HOST or https://HOST, like https://api.example.com"
        ) from None
    if (
        parts.scheme not in ("http", "https")
        or not host
        or not text.isascii()
        or not text.isprintable()
        or " " in text
    ):
        raise ValueError("is not a URL; write http://HOST or https://HOST, like https://api.example.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials; the agent sends its own")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("has a query or a fragment; write scheme, host and path only")
    if not (":" in host or host_name(host)) or port == 0:
        raise ValueError("is not a URL; its host or port cannot be")
    return text.rstrip("/")
