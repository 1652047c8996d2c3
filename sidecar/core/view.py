"""One call as templates and conditions see it, each part worked out at most once."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, urlencode

from sidecar.core.call import Call, Headers, Identity
from sidecar.core.content import Content, Unreadable
from sidecar.core.refusal import Refusal

Texts: TypeAlias = list[tuple[str, str]]

NO_PARAMS: Final[Mapping[str, str]] = {}
NO_CONTENT: Final = Content(b"", Headers(()))


class View:
    """A call with its identity, body and path parameters."""

    __slots__ = ("_query", "call", "content", "host", "params", "path", "who")

    def __init__(
        self, call: Call, who: Identity, host: str, path: str, content: Content, params: Mapping[str, str]
    ) -> None:
        self.call = call
        self.who = who
        self.host = host
        """Where the call is meant to go, whichever door it came by."""
        self.path = path
        """In canonical form."""
        self.content = content
        self.params = params
        self._query: Texts | None = None

    def query(self) -> Texts:
        """The query's names and values, decoded; what is no UTF-8 survives as surrogates."""
        if self._query is None:
            text = self.call.query
            self._query = parse_qsl(text, keep_blank_values=True, errors="surrogateescape") if text else []
        return self._query

    def canonical_query(self, apart: str = "") -> str:
        """The query by name, repeats in their order; ``apart`` names a parameter that is no part of what it
        says."""
        said = [pair for pair in self.query() if pair[0] != apart]
        said.sort(key=itemgetter(0))
        return urlencode(said, errors="surrogateescape") if said else ""

    def read(self, name: str) -> object:
        """A variable of a condition; no body is an empty map, so that ``has`` can ask.

        Raises Refusal ``key-underivable`` for a body that cannot be read: it may say to the upstream what it does
        not say to us.
        """
        match name:
            case "method":
                return self.call.method
            case "host":
                return self.host
            case "path":
                return self.path
            case "query":
                return dict(reversed(self.query()))
            case "header":
                headers = self.call.headers.first.items()
                return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
            case "body":
                return self._fields()
        return getattr(self.who, name)

    def _fields(self) -> object:
        if not self.content.raw:
            return {}
        try:
            return self.content.fields
        except Unreadable as error:
            raise Refusal(
                "key-underivable",
                "The route for this call is chosen by fields of its body, and they cannot be read without doubt: "
                f"{error}. Nothing was sent. Send the body in the form that the API documents.",
            ) from None
