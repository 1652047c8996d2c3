from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.pattern import HostPattern, PathPattern, canonical_path
from sidecar.core.refusal import Refusal

SPELLINGS = [
    "/v1/refunds",
    "/v1/refunds/",
    "/v1//refunds",
    "//v1/refunds",
    "/v1/./refunds",
    "/v1/x/../refunds",
    "/x/../v1/refunds",
    "/v1/%72efunds",
    "/v1/%72%65%66unds",
    "/v1/x/%2e%2e/refunds",
    "/v1/x/.%2E/refunds",
    "/v1/%2e/refunds",
]


@pytest.mark.parametrize("path", SPELLINGS)
def test_every_spelling_of_a_path_is_one_path(path: str) -> None:
    assert canonical_path(path) == "/v1/refunds"


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/", "/"),
        ("//", "/"),
        ("*", "*"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%2fb", "/a%2Fb"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%3Ab%40c", "/a:b@c"),
        ("/a%20b", "/a%20b"),
        ("/%25zz", "/%25zz"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a;v=1", "/a;v=1"),
    ],
)
def test_what_cannot_be_respelled_stays(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical


@pytest.mark.parametrize(
    "path",
    [
        "",
        "v1",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%+1",
        "/a% 1",
        "/a%00",
        "/a%0d%0a",
        "/a%7f",
        "/a\\b",
        "/a%5cb",
        "/..",
        "/a/../../b",
        "/%2e%2e/b",
        "/a/..%2fb",
        "/a/%2e%2e%2Fb",
        "/a/b%2f..",
        "/%ff",
        "/a b",
        "/ä",
        '/a"b',
        "/a\nb",
    ],
)
def test_a_path_that_servers_read_differently_is_refused(path: str) -> None:
    with pytest.raises(Refusal) as no:
        canonical_path(path)
    assert no.value.code == "bad-request"
    assert path not in no.value.detail or not path


segments = st.lists(
    st.text(st.characters(exclude_categories=["C"]), min_size=1), min_size=1, max_size=5
).filter(
    lambda parts: (
        not any(
            "\\" in p or p in (".", "..") or ("/" in p and {".", ".."} & set(p.split("/"))) for p in parts
        )
    )
)


@given(segments)
def test_a_canonical_path_is_its_own_canonical_path(parts: list[str]) -> None:
    path = canonical_path("/" + "/".join(quote(part, safe="") for part in parts))
    assert canonical_path(path) == path


@given(segments, st.data())
def test_paths_that_name_different_segments_never_meet(parts: list[str], data: st.DataObject) -> None:
    others = data.draw(segments)
    one, two = (canonical_path("/" + "/".join(quote(p, safe="") for p in them)) for them in (parts, others))
    assert (one == two) == (parts == others)


@given(st.text(max_size=30))
def test_any_text_has_a_canonical_form_or_is_refused(text: str) -> None:
    try:
        path = canonical_path("/" + text)
    except Refusal:
        return
    assert path.startswith("/")
    assert "//" not in path
    assert not {"..", "."} & set(path.split("/"))


def segments_of(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("/deals/{id}", "/deals/42", {"id": "42"}),
        ("/deals/{id}", "/deals/a%2Fb", {"id": "a/b"}),
        ("/deals/{id}", "/deals/caf%C3%A9", {"id": "café"}),
        ("/deals/{id}", "/deals", None),
        ("/deals/{id}", "/deals/42/notes", None),
        ("/deals/{id}/notes/{note}", "/deals/1/notes/2", {"id": "1", "note": "2"}),
        ("/deals/{id}", "/Deals/42", None),
        ("/files/{rest...}", "/files/a/b", {"rest": "a/b"}),
        ("/files/{rest...}", "/files/a%2Fb", {"rest": "a%2Fb"}),
        ("/files/{rest...}", "/files", {"rest": ""}),
        ("/files/{rest...}", "/other", None),
        ("/{rest...}", "/", {"rest": ""}),
        ("/%64eals/", "/deals", {}),
    ],
)
def test_a_pattern_takes_its_paths_and_names_their_parts(
    pattern: str, path: str, values: dict[str, str] | None
) -> None:
    parsed = PathPattern.parse(pattern)
    found = segments_of(canonical_path(path))
    assert parsed.match(found) == (values is not None)
    if values is not None:
        assert parsed.values(found) == values


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("deals", "must begin with a slash"),
        ("/deals/{id", "must be a whole segment"),
        ("/deals/x{id}", "must be a whole segment"),
        ("/deals/{}", "write {name} or {name...}"),
        ("/deals/{1d}", "write {name} or {name...}"),
        ("/{id}/{id}", "uses the parameter 'id' twice"),
        ("/{rest...}/x", "must be the last segment"),
        ("/a/../b", "has a dot segment"),
        ("/a%zz", "cannot be matched"),
        ("/{a...}/{a...}", "must be the last segment"),
    ],
)
def test_a_bad_pattern_says_what_is_wrong(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("{", r"\{").replace("}", r"\}")):
        PathPattern.parse(pattern)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("/deals/{id}", "/deals/batch", True),
        ("/deals/batch", "/deals/{id}", False),
        ("/deals/{id}", "/deals/{other}", True),
        ("/deals/{id}", "/notes/{id}", False),
        ("/{all...}", "/deals/{id}", True),
        ("/{all...}", "/deals/{rest...}", True),
        ("/deals/{rest...}", "/{all...}", False),
        ("/deals/{id}", "/deals/{rest...}", False),
        ("/{kind}/{id}", "/deals/{id}", True),
    ],
)
def test_a_pattern_knows_what_it_covers(wide: str, narrow: str, covers: bool) -> None:
    assert PathPattern.parse(wide).covers(PathPattern.parse(narrow)) == covers


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("API.HubAPI.com", "api.hubapi.com"),
        ("api.hubapi.com.", "api.hubapi.com"),
        ("*.Example.com", "*.example.com"),
        ("api.example.com:8443", "api.example.com:8443"),
        ("localhost", "localhost"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_host_pattern_has_one_spelling(text: str, shown: str) -> None:
    assert str(HostPattern.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "https://api.test", "api.test/v1", "a..b", "-a.test", "a b", "api.test:0", "api.test:x"],
)
def test_a_bad_host_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        HostPattern.parse(text)
