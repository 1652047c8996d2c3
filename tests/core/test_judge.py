from email.utils import formatdate

import pytest

from sidecar.core.call import Headers
from sidecar.core.condition import Condition
from sidecar.core.judge import judge, retry_after_ms
from sidecar.core.outcome import Outcome
from sidecar.core.probe import PROBE_NAMES
from sidecar.core.route import DEFAULT_STATUSES, NEVER_STORED, IntentSpec, StoreSpec
from sidecar.core.table import Matched
from tests.core.calls import call, route, tool, view

CRM = tool()
PLAIN = Headers([(b"Content-Type", b"application/json")])


def judged(
    status: int, body: bytes | None = b"{}", headers: Headers = PLAIN, method: str = "POST", **fields: object
) -> Outcome:
    taken = route(CRM, "x", **{"intent": IntentSpec()} | fields)
    return judge(Matched(taken, view(call(method))), status, headers, body)


@pytest.mark.parametrize(
    ("status", "kind", "record", "changed"),
    [
        (200, "completed", "answer", True),
        (201, "completed", "answer", True),
        (204, "completed", "answer", True),
        (101, "completed", "done", True),
        (301, "completed", "done", True),
        (303, "completed", "done", True),
        (304, "completed", "free", False),
        (307, "completed", "free", False),
        (308, "completed", "free", False),
        (400, "completed", "answer", False),
        (404, "completed", "answer", False),
        (422, "completed", "answer", False),
        (401, "completed", "free", False),
        (407, "completed", "free", False),
        (408, "completed", "free", False),
        (409, "completed", "free", False),
        (423, "completed", "free", False),
        (425, "completed", "free", False),
        (429, "completed", "free", False),
        (500, "unknown", "free", True),
        (501, "unknown", "free", True),
        (502, "unknown", "free", True),
        (503, "unknown", "free", True),
        (504, "unknown", "free", True),
        (599, "unknown", "free", True),
    ],
)
def test_what_a_status_means(status: int, kind: str, record: str, changed: bool) -> None:
    outcome = judged(status)
    assert (outcome.kind, outcome.record, outcome.changed) == (kind, record, changed)
    assert (outcome.answer is not None) == (record == "answer")
    assert outcome.status == status
    assert outcome.over
    assert outcome.why == (f"status {status}" if kind == "unknown" else "")


def test_a_busy_upstream_that_says_when_to_come_back_did_nothing() -> None:
    later = Headers([(b"Retry-After", b"5")])
    assert judged(503, headers=later) == Outcome("completed", status=503, away_ms=5_000)
    assert judged(500, headers=later).kind == "unknown"


def test_a_server_error_that_the_route_stores_is_an_answer() -> None:
    assert judged(500, store=StoreSpec(statuses=frozenset({500}))).record == "answer"


def test_an_error_answered_to_a_read_leaves_nothing_unknown() -> None:
    assert judged(500, method="GET") == Outcome("completed", status=500)


def test_an_unknown_answer_ends_the_quarantine_unless_only_a_person_may() -> None:
    assert judged(500).over
    assert judged(500, quarantine="resolved").over, (
        "the claim keeps its locks, and the request is over all the same"
    )


def test_an_answer_that_was_not_kept_is_done() -> None:
    outcome = judged(200, None)
    assert (outcome.record, outcome.answer, outcome.changed) == ("done", None, True)


def test_a_read_changes_nothing_and_a_call_without_intent_leaves_no_record() -> None:
    assert not judged(200, method="GET").changed
    assert judged(200, intent=None) == Outcome("completed", status=200, changed=True)


def test_how_long_an_outcome_is_remembered_is_the_routes_to_say() -> None:
    kept = StoreSpec(retention_ms=7)
    assert (
        judged(200, store=kept).retain_ms
        == judged(500, store=kept).retain_ms
        == judged(200, None, store=kept).retain_ms
        == 7
    )


def test_answers_about_the_attempt_are_never_stored_by_default() -> None:
    assert not DEFAULT_STATUSES & NEVER_STORED
    assert not DEFAULT_STATUSES & set(range(500, 600))


def test_what_is_stored_describes_the_answer_and_not_the_session() -> None:
    headers = Headers(
        [
            (b"Content-Type", b"application/json"),
            (b"content-encoding", b"gzip"),
            (b"Set-Cookie", b"a=1"),
            (b"set-cookie", b"b=1"),
            (b"WWW-Authenticate", b"Basic"),
            (b"Content-Length", b"2"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Trailer", b"X-T"),
            (b"Connection", b"close, X-Hop"),
            (b"X-Hop", b"1"),
            (b"Keep-Alive", b"timeout=5"),
            (b"Via", b"1.1 cdn"),
            (b"Sidecar-Verdict", b"forged"),
            (b"Proxy-Status", b"x"),
            (b"ETag", b'"1"'),
            (b"Date", b"Tue"),
            (b"Link", b"<a>"),
            (b"Link", b"<b>"),
        ]
    )
    answer = judged(200, b"{}", headers).answer
    assert answer is not None
    assert [name for name, _ in answer.headers] == [
        b"Content-Type",
        b"content-encoding",
        b"ETag",
        b"Date",
        b"Link",
        b"Link",
    ]
    assert (answer.status, answer.body) == (200, b"{}")


NOW_S = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "wait_ms"),
    [
        ("5", 5_000),
        (" 0 ", 0),
        ("999999999999999999999", 3_600_000),
        (formatdate(NOW_S + 10, usegmt=True), 10_000),
        (formatdate(NOW_S - 10, usegmt=True), 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("٣", None),
        ("Tue, 99 Foo 2020 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, wait_ms: int | None) -> None:
    assert retry_after_ms(Headers([(b"Retry-After", text.encode())]), NOW_S) == wait_ms


def test_no_retry_after_asks_for_nothing() -> None:
    assert retry_after_ms(PLAIN, NOW_S) is None


@pytest.mark.parametrize(
    ("status", "fields", "away_ms"),
    [
        (429, {}, 0),
        (429, {"Retry-After": "7"}, 7_000),
        (429, {"Retry-After": "soon"}, 0),
        (429, {"Retry-After": formatdate(NOW_S + 9, usegmt=True)}, 0),
        (
            429,
            {"Retry-After": formatdate(NOW_S + 9, usegmt=True), "Date": formatdate(NOW_S, usegmt=True)},
            9_000,
        ),
        (429, {"Retry-After": formatdate(NOW_S + 9, usegmt=True), "Date": "today"}, 0),
        (503, {"Retry-After": "7"}, 7_000),
        (503, {}, None),
        (500, {"Retry-After": "7"}, None),
        (200, {"Retry-After": "7"}, None),
    ],
)
def test_who_turns_a_call_away_may_say_for_how_long_by_its_own_clock(
    status: int, fields: dict[str, str], away_ms: int | None
) -> None:
    headers = Headers([(name.encode(), value.encode()) for name, value in fields.items()])
    assert judged(status, headers=headers).away_ms == away_ms


RULE = Condition.parse("size(answer.body.errors) > 0", PROBE_NAMES)


@pytest.mark.parametrize(
    ("status", "body", "rule", "partial"),
    [
        (207, b'{"errors": []}', None, True),
        (207, None, None, True),
        (200, b'{"errors": [1]}', None, False),
        (200, b'{"errors": [1]}', RULE, True),
        (200, b'{"errors": []}', RULE, False),
        (200, b"{}", RULE, False),
        (207, b"{}", RULE, False),
        (400, b'{"errors": [1]}', RULE, True),
        (503, b'{"errors": [1]}', RULE, True),
        (429, b'{"errors": [1]}', RULE, True),
    ],
)
def test_what_was_done_in_part_is_kept_and_never_sent_again(
    status: int, body: bytes | None, rule: Condition | None, partial: bool
) -> None:
    outcome = judged(status, body, partial=rule)
    assert outcome.partial is partial
    if partial:
        assert (outcome.kind, outcome.changed) == ("completed", True)
        assert outcome.record == ("done" if body is None else "answer")


def test_a_read_of_several_states_is_no_batch() -> None:
    assert not judged(207, method="GET").partial


def test_a_rule_that_cannot_read_the_call_does_not_undo_what_the_call_did() -> None:
    rule = Condition.parse("answer.body.failed == body.n", PROBE_NAMES)
    taken = route(CRM, "x", intent=IntentSpec(), partial=rule)
    odd = view(call("POST", headers={"Content-Type": "application/json"}), b"{broken")
    outcome = judge(Matched(taken, odd), 200, PLAIN, b'{"failed": 1}')
    assert (outcome.partial, outcome.record) == (False, "answer")
