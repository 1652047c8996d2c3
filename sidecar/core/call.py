"""The values that travel: a call's head, and who makes it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Self
from urllib.parse import urlsplit

RawHeaders = Sequence[tuple[bytes, bytes]]
Intake = Literal["forward", "reverse", "connect", "intercept"]


class Headers:
    """Header fields: look-up by lower-case name, and ``raw``, the fields as they came."""

    __slots__ = ("first", "raw")

    def __init__(self, raw: RawHeaders, first: dict[bytes, bytes] | None = None) -> None:
        """``first``: the first value of each lower-case name, where somebody knows it already."""
        if first is None:
            first = {name.lower(): value for name, value in reversed(raw)}
        self.raw = raw
        """In the order and spelling they came in."""
        self.first = first

    def __contains__(self, name: bytes) -> bool:
        return name in self.first

    def get(self, name: bytes) -> bytes | None:
        """The first value of ``name`` (given in lower case, as everywhere here)."""
        return self.first.get(name)

    def all(self, name: bytes) -> list[bytes]:
        """Every value of ``name``, in order."""
        if name not in self.first:
            return []
        if not self.repeats:
            return [self.first[name]]
        return [value for key, value in self.raw if key.lower() == name]

    def text(self, name: bytes) -> str | None:
        """The first value of ``name`` as text; bytes outside ASCII survive as Latin-1."""
        value = self.first.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def repeats(self) -> bool:
        """Some name occurs more than once."""
        return len(self.first) != len(self.raw)

    def __repr__(self) -> str:
        return f"<Headers {[name.decode('latin-1') for name, _ in self.raw]}>"  # names only: values may be secret


class Call(NamedTuple):
    """One request's head: where it goes and what it says.  The body travels beside it, since it may be a stream."""

    id: str
    """Unique across the fleet, the same in the verdict header, the log and the store."""
    method: str
    scheme: Literal["http", "https"]
    """How the upstream is to be reached, not how the agent reached us."""
    host: str
    """Lower case, IPv6 without brackets, no trailing dot."""
    port: int
    path: str
    """As sent, percent-encoding untouched; begins with a slash (``*`` for OPTIONS)."""
    query: str
    """As sent, without the question mark."""
    headers: Headers
    intake: Intake
    tool: str | None = None
    """The tool that the reverse form names; None where the host decides."""
    peer_user: str | None = None
    """User name of the proxy credentials, once they were verified (or when no users are configured)."""
    address: str = ""
    """Where a redirected connection was bound for, of which this is the CONNECT that nobody said; else empty."""

    @classmethod
    def of_url(cls, call_id: str, method: str, url: str, headers: Headers) -> Self:
        """A call as ``explain`` takes it: ``http(s)://HOST/PATH``, ``/_tool/NAME/PATH``, ``CONNECT HOST:PORT``.

        Raises ValueError that says what to write.
        """
        connect = method == "CONNECT"
        parts = urlsplit(f"https://{url}" if connect and "//" not in url else url)
        scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
        path, tool, host = parts.path or "/", None, (parts.hostname or "").rstrip(".")
        port = parts.port or (443 if scheme == "https" else 80)
        if path.startswith("/_tool/") and not connect:
            tool, slash, rest = path.removeprefix("/_tool/").partition("/")
            path, host = f"{slash}{rest}" or "/", ""
        elif parts.scheme not in ("http", "https") or not host:
            raise ValueError("write http://HOST/PATH, https://HOST/PATH or /_tool/NAME/PATH")
        intake: Intake = "connect" if connect else "forward" if tool is None else "reverse"
        return cls(call_id, method, scheme, host, port, path, parts.query, headers, intake, tool)


class Identity(NamedTuple):
    """Who makes a call.  An empty run means that nobody said which execution this is."""

    tenant: str
    workflow: str
    run: str
    priority: str


class Answer(NamedTuple):
    """A whole answer, as it is stored and replayed: byte-identical in status, body and stored headers."""

    status: int
    headers: RawHeaders
    body: bytes


class AgentGone(Exception):
    """The agent hung up before its answer was complete, and nothing needs the rest of it."""
