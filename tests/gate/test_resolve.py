"""Who may ask about an unknown outcome, and what becomes of it when it is known."""

from typing import Any

import pytest
import redis

from sidecar.core.claim import Claim
from tests.gate.scripts import Scripts, claim

TIMEOUT_MS = 30_500
DAY_MS = 86_400_000


def lost(scripts: Scripts, name: str = "c1", *, over: bool = False, **terms: Any) -> tuple[Claim, int]:
    """An attempt whose outcome is unknown; its claim and fence."""
    asked = claim(name, "x", terms.pop("locks", ("deal:1",)), **terms)
    return asked, scripts.do(asked, "unknown", over=over, note="reset")


def twin(asked: Claim, name: str) -> Claim:
    return asked._replace(call=name)


def probe(scripts: Scripts, call: str, hold_ms: int = 11_000, lag_ms: int = 10_000) -> tuple[str, int]:
    word, _, ms = scripts.run("probe", call, "x", hold_ms, lag_ms, "here")
    return word, ms


def resolve(scripts: Scripts, ending: str, fence: int | str = "", answer: str = "200\n\nfound") -> str:
    word, more, _ = scripts.run("resolve", "x", fence, ending, "", answer if ending == "answer" else "")
    if more:
        scripts.sweep()
    return str(word)


def test_what_was_applied_is_replayed_and_not_run_again(scripts: Scripts) -> None:
    asked, fence = lost(scripts)
    assert resolve(scripts, "answer", fence) == "resolved"
    assert scripts.admit(twin(asked, "c2")) == ["completed", "200\n\nfound"]
    assert scripts.run("peek", "unknown", 10) == ["unknown"]


def test_what_was_applied_without_an_answer_is_done(scripts: Scripts) -> None:
    asked, fence = lost(scripts)
    assert resolve(scripts, "done", fence) == "resolved"
    assert scripts.admit(twin(asked, "c2"))[0] == "done"


def test_what_was_not_applied_runs_afresh(scripts: Scripts) -> None:
    asked, fence = lost(scripts, over=True)
    assert resolve(scripts, "free", fence) == "resolved"
    word, later, origin = scripts.admit(twin(asked, "c2"))
    assert (word, origin) == ("granted", "c2"), "no key of the attempt before is used again"
    assert later > fence


@pytest.mark.parametrize("ending", ["answer", "done"])
def test_applied_lifts_the_quarantine_and_hands_its_locks_on(scripts: Scripts, ending: str) -> None:
    asked, _ = lost(scripts, quarantine="resolved")
    other = claim("o1", "y", asked.locks)
    assert scripts.admit(other)[0] == "waiting"
    resolve(scripts, ending)
    assert scripts.states() == {"o1": "offered"}


def test_not_applied_keeps_the_locks_while_the_request_may_be_running(scripts: Scripts) -> None:
    asked, _ = lost(scripts, quarantine="resolved")
    scripts.advance(10_000)
    resolve(scripts, "free")
    assert scripts.admit(twin(asked, "c2"), "now")[0] == "blocked", "a person may be wrong about that"
    scripts.advance(TIMEOUT_MS - 10_000 - 1)
    assert scripts.admit(twin(asked, "c2"), "now")[0] == "blocked"
    scripts.advance(1)
    assert scripts.admit(twin(asked, "c2"), "now")[0] == "granted"


def test_not_applied_frees_the_locks_of_an_attempt_that_was_answered(scripts: Scripts) -> None:
    asked, _ = lost(scripts, quarantine="resolved", over=True)
    assert scripts.holders("lock:deal:1") == {"c1"}
    resolve(scripts, "free")
    assert scripts.admit(claim("o1", "y", asked.locks))[0] == "granted"


def test_a_resolution_of_another_attempt_changes_nothing(scripts: Scripts) -> None:
    asked, fence = lost(scripts, over=True)
    resolve(scripts, "free", fence)
    later = scripts.do(twin(asked, "c2"), "unknown", over=True)
    assert resolve(scripts, "free", fence) == "gone"
    assert scripts.admit(twin(asked, "c3"))[0] == "unknown"
    assert resolve(scripts, "answer", later) == "resolved"


@pytest.mark.parametrize("ending", ["answer", "free"])
def test_what_is_known_cannot_be_resolved(scripts: Scripts, ending: str) -> None:
    asked = claim("c1", "x")
    assert resolve(scripts, ending) == "gone"
    fence = scripts.grant(asked)
    assert resolve(scripts, ending) == "gone", "it runs"
    scripts.settle("c1", fence, answer=b"200\n\nmine")
    assert resolve(scripts, ending) == "gone"
    assert scripts.admit(twin(asked, "c2")) == ["completed", "200\n\nmine"]


@pytest.mark.parametrize("ending", ["answer", "free"])
@pytest.mark.parametrize("truth", ["answer", "not_sent", "unknown"])
def test_a_late_settle_changes_nothing_that_was_resolved(scripts: Scripts, ending: str, truth: str) -> None:
    asked = claim("c1", "x", ("deal:1",))
    fence = scripts.grant(asked)
    scripts.advance(15_001)  # nobody renewed it
    assert resolve(scripts, ending, fence) == "resolved"
    assert scripts.settle("c1", fence, truth, answer=b"200\n\nlate") in ("gone", "lost")
    reply = scripts.admit(twin(asked, "c2"))
    assert reply == ["completed", "200\n\nfound"] if ending == "answer" else reply[0] == "waiting"
    scripts.advance(TIMEOUT_MS)
    assert "c1" not in scripts.states()


def test_a_late_truth_comes_before_a_probe_that_began_earlier(scripts: Scripts) -> None:
    asked = claim("c1", "x", ("deal:1",))
    fence = scripts.grant(asked)
    scripts.advance(15_001)
    assert probe(scripts, "c2")[0] == "mine"
    assert scripts.settle("c1", fence, answer=b"200\n\nlate") == "late"
    assert resolve(scripts, "free", fence) == "gone"
    assert scripts.admit(twin(asked, "c2")) == ["completed", "200\n\nlate"]


def test_versions_tell_later_writes_from_what_was_applied(scripts: Scripts) -> None:
    asked, _ = lost(scripts, until="change", window_ms=DAY_MS, over=True)
    resolve(scripts, "answer")
    assert scripts.admit(twin(asked, "c2"))[0] == "completed"
    scripts.advance(DAY_MS - 1000)  # a version lives as long as the record that it is compared with
    scripts.do(claim("o1", "y", asked.locks), "answer")
    assert scripts.admit(twin(asked, "c3"))[0] == "granted"


def test_a_later_write_counts_though_the_resolution_came_after_it(scripts: Scripts) -> None:
    asked, _ = lost(scripts, until="change", over=True)
    scripts.do(claim("o1", "y", asked.locks), "answer")
    resolve(scripts, "answer")
    assert scripts.admit(twin(asked, "c2"))[0] == "granted"


def test_one_asks_at_a_time_and_the_others_are_told(scripts: Scripts) -> None:
    lost(scripts)
    with scripts.client.pubsub() as hears:
        hears.subscribe("sc1:{default}:wake:here")
        hears.get_message(timeout=1)
        assert probe(scripts, "c2") == ("mine", TIMEOUT_MS + 10_000)
        assert probe(scripts, "c3")[0] == "theirs"
        assert probe(scripts, "c2")[0] == "mine", "asked again"
        resolve(scripts, "answer")
        assert heard(hears) == b"c3"
    assert probe(scripts, "c3")[0] == "known"


def heard(hears: redis.client.PubSub) -> bytes:
    message = hears.get_message(timeout=5)
    assert message is not None
    return bytes(message["data"])


def test_who_cannot_tell_lets_nobody_ask_for_a_while(scripts: Scripts) -> None:
    lost(scripts)
    assert probe(scripts, "c2")[0] == "mine"
    assert probe(scripts, "c3")[0] == "theirs"
    assert scripts.run("unprobe", "c3", "x", 1000) == ["gone"]
    assert scripts.run("unprobe", "c2", "x", 60_000) == ["left"]
    assert probe(scripts, "c3")[0] == "lately"


def test_who_hung_up_lets_another_ask_at_once(scripts: Scripts) -> None:
    lost(scripts)
    probe(scripts, "c2")
    scripts.run("unprobe", "c2", "x", 0)
    assert probe(scripts, "c3")[0] == "mine"


def test_not_applied_comes_too_early_until_the_attempt_is_over_and_the_lag_behind_it(
    scripts: Scripts,
) -> None:
    lost(scripts)
    assert probe(scripts, "c2", lag_ms=2000) == ("mine", TIMEOUT_MS + 2000)
    scripts.advance(TIMEOUT_MS)
    assert probe(scripts, "c2", lag_ms=2000) == ("mine", 2000)
    scripts.advance(2000)
    assert probe(scripts, "c2", lag_ms=2000) == ("mine", 0)


def test_an_answered_attempt_is_over_at_once(scripts: Scripts) -> None:
    lost(scripts, over=True, quarantine="resolved")
    assert probe(scripts, "c2", lag_ms=2000) == ("mine", 2000)


def test_a_person_sees_what_he_is_asked_about(scripts: Scripts) -> None:
    lost(scripts, locks=("deal:1", "deal:2"))
    item = scripts.run("peek", "unknown", 1, "x")[1]
    assert item[6:] == [1, TIMEOUT_MS, b"lock:deal:1", b"lock:deal:2"]
    assert scripts.run("peek", "unknown", 1, "y") == ["unknown"]


def test_resends_do_not_pile_up_in_the_record(scripts: Scripts) -> None:
    asked, _ = lost(scripts, resend=True, over=True)
    sizes = set()
    for number in range(5):
        scripts.do(twin(asked, f"r{number}"), "unknown", over=True)
        sizes.add(scripts.client.strlen(scripts.prefix + b"i:x"))
    assert len(sizes) == 1


def test_nothing_is_left_of_what_was_resolved(scripts: Scripts) -> None:
    lost(scripts, window_ms=1000)
    probe(scripts, "c2")
    probe(scripts, "c3")
    resolve(scripts, "answer")
    left = {key.split(b":", 2)[2] for key in scripts.client.scan_iter()}
    assert left == {b"fence", b"i:x", b"v:lock:deal:1"}
    assert scripts.client.pttl(scripts.prefix + b"i:x") > 0
