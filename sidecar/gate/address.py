"""Where the store is: a URL in, a redis-py connection out."""

from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, parse_url

_LATER = ("redis+sentinel", "redis+cluster")


def check(url: str) -> None:
    """Raise ValueError, saying what to write instead, for a URL that no connection can be made from."""
    scheme, separator, rest = url.partition("://")
    if url == "embedded":
        return
    if scheme in _LATER:
        raise ValueError(
            f"store.url {scheme}:// comes in a later version; give the address of the primary for now"
        )
    if not separator or scheme not in ("redis", "rediss", "unix"):
        raise ValueError(
            "store.url: write embedded, redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH"
        )
    if not rest:
        raise ValueError(f"store.url {scheme}:// names no server")


def connection(url: str, name: str, timeout_s: float) -> AbstractConnection:
    """A connection that is not connected yet; ``name`` is what the server lists it as."""
    check(url)
    options: dict[str, Any] = dict(parse_url(url))
    kind: type[AbstractConnection] = options.pop("connection_class", Connection)
    options |= {
        "protocol": 3,
        "client_name": name,
        "socket_connect_timeout": timeout_s,
        "socket_timeout": timeout_s,
    }
    return kind(**options)


def shown(url: str) -> str:
    """The URL without its credentials and options, for messages."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2].partition("?")[0]
