"""Durations, sizes, rates, addresses, networks and URLs, as people write them."""

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.core import units

GOOD: list[tuple[Callable[[str], Any], str, Any]] = [
    (units.duration_ms, "500ms", 500),
    (units.duration_ms, "30s", 30_000),
    (units.duration_ms, "10m", 600_000),
    (units.duration_ms, "1.5h", 5_400_000),
    (units.duration_ms, "24h", 86_400_000),
    (units.duration_ms, "7 d", 604_800_000),
    (units.duration_ms, "0", 0),
    (units.duration_ms, "365d", units.LONGEST_MS),
    (units.size_bytes, "0B", 0),
    (units.size_bytes, "256KiB", 262_144),
    (units.size_bytes, "1MiB", 1 << 20),
    (units.size_bytes, "2 GiB", 2 << 30),
    (units.rate, "100 per 10s", (100, 10_000)),
    (units.rate, "5/1m", (5, 60_000)),
    (units.address, "127.0.0.1:8080", ("127.0.0.1", 8080)),
    (units.address, "LocalHost:0", ("localhost", 0)),
    (units.address, "[::1]:9901", ("::1", 9901)),
    (units.network, "10.1.0.0/16", ipaddress.ip_network("10.1.0.0/16")),
    (units.network, "10.1.2.3", ipaddress.ip_network("10.1.2.3/32")),
    (units.network, "fd00::/8", ipaddress.ip_network("fd00::/8")),
    (units.base_url, "https://api.example.com/", "https://api.example.com"),
    (units.base_url, "http://[::1]:8080/v1", "http://[::1]:8080/v1"),
]


@pytest.mark.parametrize(("read", "text", "value"), GOOD)
def test_what_is_written_well_is_read(read: Callable[[str], Any], text: str, value: Any) -> None:
    assert read(text) == value


BAD: list[tuple[Callable[[str], Any], str, str]] = [
    (units.duration_ms, "30", "has no unit; write a number and ms, s, m, h or d, like 500ms, 30s or 10m"),
    (
        units.duration_ms,
        "1h30m",
        "is not a duration; write a number and ms, s, m, h or d, like 500ms, 30s or 10m",
    ),
    (
        units.duration_ms,
        "-1s",
        "is not a duration; write a number and ms, s, m, h or d, like 500ms, 30s or 10m",
    ),
    (
        units.duration_ms,
        "\u0661s",
        "is not a duration; write a number and ms, s, m, h or d, like 500ms, 30s or 10m",
    ),
    (
        units.duration_ms,
        "1:30",
        "is not a duration; write a number and ms, s, m, h or d, like 500ms, 30s or 10m",
    ),
    (units.duration_ms, "366d", "is longer than 365d"),
    (units.size_bytes, "1024", "has no unit; write a number and B, KiB, MiB or GiB, like 256KiB or 1MiB"),
    (units.size_bytes, "1MB", "is not a size; write a number and B, KiB, MiB or GiB, like 256KiB or 1MiB"),
    (units.size_bytes, "65GiB", "is larger than 64GiB"),
    (units.rate, "100", "is not a rate; write a count and a duration, like 100 per 10s"),
    (units.rate, "0 per 1s", "is not a rate; write a count and a duration, like 100 per 10s"),
    (units.rate, "5 per 0", "is not a rate; write a count and a duration, like 100 per 10s"),
    (units.rate, "5 per day", "is not a rate; write a count and a duration, like 100 per 10s"),
    (units.address, "8080", "is not an address; write HOST:PORT, like 127.0.0.1:8080"),
    (units.address, "localhost:http", "is not an address; write HOST:PORT, like 127.0.0.1:8080"),
    (units.address, "localhost:65536", "is not an address; write HOST:PORT, like 127.0.0.1:8080"),
    (units.address, ":8080", "is not an address; write HOST:PORT, IPv6 in brackets, like [::1]:8080"),
    (units.address, "::1:8080", "is not an address; write HOST:PORT, IPv6 in brackets, like [::1]:8080"),
    (units.address, "[::g]:80", "is not an address; what is in the brackets is not IPv6"),
    (units.address, "a b:80", "is not an address; the host has characters that no host name has"),
    (
        units.network,
        "10.1.2.3/16",
        "has bits set behind its prefix length; write the first address of the /16",
    ),
    (units.network, "office", "is not a network; write CIDR, like 10.1.0.0/16 or fd00::/8"),
    (
        units.base_url,
        "api.example.com",
        "is not a URL; write http://HOST or https://HOST, like https://api.example.com",
    ),
    (
        units.base_url,
        "ftp://a.b",
        "is not a URL; write http://HOST or https://HOST, like https://api.example.com",
    ),
    (
        units.base_url,
        "http://a:x",
        "is not a URL; write http://HOST or https://HOST, like https://api.example.com",
    ),
    (
        units.base_url,
        "http://[::1",
        "is not a URL; write http://HOST or https://HOST, like https://api.example.com",
    ),
    (units.base_url, "https://u:p@a.b", "holds credentials; the agent sends its own"),
    (units.base_url, "https://a.b/?x=1", "has a query or a fragment; write scheme, host and path only"),
    (units.base_url, "https://-a-", "is not a URL; its host or port cannot be"),
]


@pytest.mark.parametrize(("read", "text", "predicate"), BAD)
def test_what_is_not_gets_a_predicate_that_says_what_to_write(
    read: Callable[[str], Any], text: str, predicate: str
) -> None:
    with pytest.raises(ValueError, match=r"^") as caught:
        read(text)
    assert str(caught.value) == predicate
