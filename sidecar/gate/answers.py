"""Stored answers: the head in lines, an empty line, the body; readable in any client of the store."""

from functools import lru_cache

from sidecar.core.call import Answer


def pack(answer: Answer) -> bytes:
    """An answer as it is stored.  Raises ValueError for a field that would change its meaning in between."""
    return b"%d%b\n\n%b" % (answer.status, b"".join([_line(field) for field in answer.headers]), answer.body)


@lru_cache(1024)
def _line(field: tuple[bytes, bytes]) -> bytes:
    line = b"\n%b:%b" % field
    if field[0].find(b":") >= 0:
        raise ValueError("the name of a header field holds a colon")
    if line.count(b"\n") > 1:
        raise ValueError("a header field holds a line break")
    return line


def unpack(stored: bytes) -> Answer:
    """The answer again, byte for byte."""
    head, _, body = stored.partition(b"\n\n")
    status, *lines = head.split(b"\n")
    fields = [line.partition(b":") for line in lines]
    return Answer(int(status), [(name, value) for name, _, value in fields], body)
