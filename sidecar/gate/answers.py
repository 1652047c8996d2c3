"""Stored answers: the head in lines, an empty line, the body; readable in any client of the store."""

from sidecar.core.call import Answer


def pack(answer: Answer) -> bytes:
    """An answer as it is stored.  Raises ValueError for a field that would change its meaning in between."""
    head = b"%d" % answer.status
    for name, value in answer.headers:
        if b":" in name:
            raise ValueError("the name of a header field holds a colon")
        head += b"\n%b:%b" % (name, value)
    if head.count(b"\n") != len(answer.headers):
        raise ValueError("a header field holds a line break")
    return b"%b\n\n%b" % (head, answer.body)


def unpack(stored: bytes) -> Answer:
    """The answer again, byte for byte."""
    head, _, body = stored.partition(b"\n\n")
    status, *lines = head.split(b"\n")
    fields = [line.partition(b":") for line in lines]
    return Answer(int(status), [(name, value) for name, _, value in fields], body)
