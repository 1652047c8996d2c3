"""A stored answer comes back byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.call import Answer
from sidecar.gate.answers import pack, unpack

names = st.binary(min_size=1).filter(lambda text: not set(text) & set(b"\n:"))
values = st.binary().filter(lambda text: b"\n" not in text)


@given(st.integers(100, 599), st.lists(st.tuples(names, values)), st.binary())
def test_an_answer_comes_back_byte_for_byte(
    status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    assert unpack(pack(Answer(status, headers, body))) == Answer(status, headers, body)


@pytest.mark.parametrize("field", [(b"A:b", b"c"), (b"A", b"b\n\nc"), (b"A\n", b"b")])
def test_a_field_that_would_come_back_as_another_is_not_stored(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="header"):
        pack(Answer(200, [field], b""))
