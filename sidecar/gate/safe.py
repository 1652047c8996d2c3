"""User text as part of a key.  It enters keys only through here."""

import hashlib
import re
from urllib.parse import quote

_LONGEST = 128
"""Longer names are hashed: a key is stored once per holder set, line and version."""
_PLAIN = re.compile(rf"[A-Za-z0-9:/@+=,.~_-]{{0,{_LONGEST}}}").fullmatch


def safe(name: str) -> str:
    """``name`` as part of a key: as it is where it is plain, escaped, or hashed where it is long."""
    if _PLAIN(name):
        return name
    escaped = quote(name, safe=":/@+=,.~-_", errors="surrogatepass")
    if len(escaped) > _LONGEST:
        return "%" + hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return escaped
