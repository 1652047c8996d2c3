import gzip
import json
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.call import Headers
from sidecar.core.content import INFLATED_LIMIT_BYTES, Content, Unreadable


def content(
    body: bytes | str, media_type: str = "application/json", apart: str = "", **headers: str
) -> Content:
    raw = [(b"Content-Type", media_type.encode())] if media_type else []
    raw += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Content(body.encode() if isinstance(body, str) else body, Headers(raw), apart)


FORM = "application/x-www-form-urlencoded"

SAME = [
    ("application/json", '{"a":1,"b":[1,2]}', '{ "b": [1, 2],\n "a": 1 }'),
    ("application/json", '{"a":{"x":1,"y":2}}', '{"a":{"y":2,"x":1}}'),
    ("application/json", '{"a":"caf\\u00e9"}', '{"a":"café"}'),
    ("application/json", '{"a":"x\\u003ay"}', '{"a":"x:y"}'),
    ("application/json", '{"a":1.10}', '{"a":1.1}'),
    ("application/json", '{"id":99999999999999999999,"b":1}', '{"b":1,"id":99999999999999999999}'),
    (FORM, "a=1&b=2", "b=2&a=1"),
    (FORM, "a=x%20y", "a=x+y"),
    (FORM, "%61=1", "a=1"),
]
OTHER = [
    ("application/json", '{"a":1}', '{"a":"1"}'),
    ("application/json", '{"a":1}', '{"a":1.0}'),
    ("application/json", '{"a":[1,2]}', '{"a":[2,1]}'),
    ("application/json", '{"a":1}', '{"a":true}'),
    ("application/json", '{"a":null}', "{}"),
    ("application/json", '{"a":1,"a":2}', '{"a":2}'),
    ("application/json", '{"id":99999999999999999999}', '{"id":99999999999999999998}'),
    ("application/json", '{"id":18446744073709551616}', '{"id":18446744073709551617}'),
    ("application/json", '{"id":-9223372036854775809}', '{"id":-9223372036854775810}'),
    (FORM, "a=1&a=2", "a=2&a=1"),
    (FORM, "a=", "b="),
    (FORM, "a=1&b=2", "a=1%26b=2"),
    (FORM, "i[][a]=1&i[][b]=2&i[][a]=3", "i[][a]=1&i[][a]=3&i[][b]=2"),
    ("text/plain", "a", "a "),
]


@pytest.mark.parametrize(("media_type", "one", "two"), SAME)
def test_bodies_that_say_the_same_are_the_same(media_type: str, one: str, two: str) -> None:
    assert content(one, media_type).canonical == content(two, media_type).canonical


@pytest.mark.parametrize(("media_type", "one", "two"), OTHER)
def test_bodies_that_say_something_else_differ(media_type: str, one: str, two: str) -> None:
    assert content(one, media_type).canonical != content(two, media_type).canonical


def test_kinds_of_body_never_meet() -> None:
    form = content("a=1", FORM)
    assert content('[["a","1"]]').canonical != form.canonical
    assert content(form.canonical, "text/plain").canonical != form.canonical
    assert content("x", "text/plain").canonical == content("x", "").canonical


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(json_values)
def test_member_order_and_layout_never_matter(value: Any) -> None:
    one = content(json.dumps(value))
    two = content(json.dumps(shuffled(value), indent=2, ensure_ascii=False))
    assert one.canonical == two.canonical
    assert one.canonical.startswith(b"json ")


def typed(value: Any) -> Any:
    """``value`` so that Python's ``==`` tells 1, 1.0 and True apart."""
    if isinstance(value, dict):
        return {name: typed(member) for name, member in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else (type(value).__name__, repr(value))


@given(json_values, json_values)
def test_only_equal_values_have_equal_canonical_forms(one: Any, two: Any) -> None:
    same = content(json.dumps(one)).canonical == content(json.dumps(two)).canonical
    assert same == (typed(one) == typed(two))


@given(
    st.binary(max_size=200),
    st.sampled_from(["application/json", FORM, "multipart/form-data; boundary=x", ""]),
)
def test_any_bytes_have_fields_or_a_reason(body: bytes, media_type: str) -> None:
    it = content(body, media_type)
    assert isinstance(it.canonical, bytes)
    with suppress(Unreadable):
        assert it.fields is not Ellipsis


@pytest.mark.parametrize(
    ("body", "headers", "why"),
    [
        ("", {}, "no body"),
        ('{"a":1', {}, "not valid JSON"),
        ('{"a":1,"a":2}', {}, "member 'a' twice"),
        ('{"a":{"b":1,"\\u0062":2}}', {}, "member 'b' twice"),
        ('{"a":"\\u003a","b":1,"b":2}', {}, "member 'b' twice"),
        ("[" * 2000 + "]" * 2000, {}, "not valid JSON, or too deep"),
        ("[" * 500 + "]" * 500, {}, "not valid JSON, or too deep"),
        ("NaN", {}, "not valid JSON"),
        ('{"a":1}', {"media_type": ""}, "no Content-Type"),
        ('{"a":1}', {"media_type": "text/plain"}, "'text/plain' has no fields"),
        ('{"a":1}', {"content_type": "text/plain"}, "two Content-Types"),
        ("a=%ff", {"media_type": FORM}, "not properly encoded"),
        ("&".join(["a=1"] * 10_001), {"media_type": FORM}, "too many fields"),
        ("a=1&a[b]=2", {"media_type": FORM}, "both as a value and as a group"),
        ('{"a":1}', {"content_encoding": "br"}, "Content-Encoding cannot be looked into"),
        ('{"a":1}', {"content_encoding": "gzip, gzip"}, "Content-Encoding cannot be looked into"),
        ('{"a":1}', {"content_encoding": "gzip"}, "not in the Content-Encoding"),
    ],
)
def test_what_cannot_be_read_without_doubt_has_no_fields(
    body: str, headers: dict[str, str], why: str
) -> None:
    it = content(body, **headers)
    with pytest.raises(Unreadable, match=why):
        _ = it.fields
    assert it.canonical == b"bytes " + body.encode()


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"]
)
def test_parameters_and_case_of_the_media_type_do_not_matter(media_type: str) -> None:
    assert content('{"a":1}', media_type).fields == {"a": 1}


def test_a_compressed_body_reads_as_what_it_holds() -> None:
    plain = content('{"a":1}')
    packed = content(gzip.compress(b'{"a": 1}'), content_encoding="gzip")
    assert packed.fields == {"a": 1}
    assert packed.canonical == plain.canonical
    assert packed.packed
    assert content(zlib.compress(b'{"a": 1}'), content_encoding="deflate").fields == {"a": 1}


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b"[" + b"1," * INFLATED_LIMIT_BYTES + b"1]"),
        gzip.compress(b"{}")[:-4],
        gzip.compress(b"{}") + gzip.compress(b"{}"),
    ],
    ids=["bomb", "cut off", "two"],
)
def test_a_compressed_body_that_lies_or_explodes_has_no_fields(packed: bytes) -> None:
    with pytest.raises(Unreadable, match="unpacks to too much"):
        _ = content(packed, content_encoding="gzip").fields


def multipart(boundary: str, *parts: tuple[str, str]) -> Content:
    body = "".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{data}\r\n" for head, data in parts
    )
    return content(f"{body}--{boundary}--\r\n", f"multipart/form-data; boundary={boundary}")


def test_multipart_fields_are_read_and_the_boundary_does_not_matter() -> None:
    one = multipart(
        "aaa", ('name="charge"', "ch_1"), ('name="meta[order]"', "7"), ('name="f"; filename="x"', "\0")
    )
    two = multipart(
        "bbbbb", ('name="charge"', "ch_1"), ('name="meta[order]"', "7"), ('name="f"; filename="x"', "\0")
    )
    assert one.fields == {"charge": "ch_1", "meta": {"order": "7"}}
    assert one.canonical == two.canonical
    assert one.canonical != multipart("aaa", ('name="charge"', "ch_2")).canonical


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ("--x\r\n\r\n1\r\n--x--", "multipart/form-data; boundary=x"),
        ("--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1", "multipart/form-data; boundary=x"),
        ("junk--x\r\n", "multipart/form-data; boundary=x"),
        ("--x--", "multipart/form-data"),
        ("", "multipart/form-data; boundary=x"),
    ],
)
def test_a_broken_multipart_body_has_no_fields(body: str, media_type: str) -> None:
    with pytest.raises(Unreadable):
        _ = content(body, media_type).fields


def test_a_member_set_apart_is_read_and_does_not_count() -> None:
    one, two = (content(f'{{"amount":5,"idempotency_key":"{key}"}}', apart="idempotency_key") for key in "ab")
    assert one.canonical == two.canonical == content('{"amount":5}').canonical
    assert one.fields["idempotency_key"] == "a"
    form = content("amount=5&key=a", FORM, apart="key")
    assert form.canonical == content("amount=5", FORM).canonical
