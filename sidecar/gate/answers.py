"""Stored answers: the head in lines, an empty line, the body; readable in any client of the store."""

from sidecar.core.call import Answer


def pack(answer: Answer) -> bytes:
    """An answer as it is stored.  Raises ValueError for a field that would change its meaning in between."""
    lines = [b"%d" % answer.status]
    for name, value in answer.headers:
        if b"\n" in name or b"\n" in value or b":" in name:
            raise ValueError("a header field holds a line break or a colon in its name")
        lines.append(b"%b:%b" % (name, value))
    return b"\n".join(lines) + b"\n\n" + answer.body


def unpack(stored: bytes) -> Answer:
    """The answer again, byte for byte."""
    head, _, body = stored.partition(b"\n\n")
    status, *lines = head.split(b"\n")
    fields = [line.partition(b":") for line in lines]
    return Answer(int(status), [(name, value) for name, _, value in fields], body)
