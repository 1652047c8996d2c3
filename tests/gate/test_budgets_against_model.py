"""The scripts beside a model of one budget that keeps every amount with its instant, through random histories.

The model is exact and the scripts cut time into buckets, so they are held to it from both sides: never more granted
than the exact sum allows, and never less than a sum that forgets a bucket later allows.
"""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gate.scripts import Scripts
from tests.gate.test_budgets import BUCKET_MS, HOUR_MS, spending, sums

LIMIT = 100
TIMEOUT_MS = 10_000
LATE_MS = BUCKET_MS + TIMEOUT_MS + 500


@dataclass
class Spent:
    """One amount: counts until ``ends``; no end while its call is in flight."""

    amount: int
    at: int


@dataclass
class Model:
    """Each amount that may have taken effect, and when at the latest."""

    now: int = 0
    spent: dict[str, Spent] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    """Intent to the call whose outcome is unknown."""

    def total(self, longer_ms: int, but: str = "") -> int:
        return sum(
            it.amount
            for call, it in self.spent.items()
            if call != but and self.now < it.at + HOUR_MS + longer_ms
        )


ASK = st.tuples(st.just("ask"), st.integers(1, 60), st.integers(0, 5))
SETTLE = st.tuples(
    st.just("settle"), st.integers(0, 10), st.sampled_from(["answer", "done", "free", "not_sent", "unknown"])
)
WAIT = st.tuples(
    st.just("wait"), st.sampled_from([1, 500, BUCKET_MS, 10 * BUCKET_MS, HOUR_MS // 2, HOUR_MS]), st.just(0)
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(ASK, ASK, SETTLE, WAIT), max_size=40))
def test_no_history_of_calls_spends_more_than_the_limit_or_loses_room(
    scripts: Scripts, steps: list[tuple[str, int, int | str]]
) -> None:
    scripts.client.flushall()
    model, flying = Model(scripts.now), {}
    for n, (what, amount, more) in enumerate(steps):
        if what == "ask":
            intent = f"i{more}"
            if any(held == intent for _, held in flying.values()):
                continue
            call, doubted = f"c{n}", model.doubts.get(intent, "")
            word, *rest = scripts.admit(
                spending(call, amount, intent, timeout_ms=TIMEOUT_MS, resend=True, resend_ms=9 * HOUR_MS),
                "now",
            )
            exact = model.total(0, doubted) + amount <= LIMIT
            sure = model.total(LATE_MS, doubted) + amount <= LIMIT
            if word == "granted":
                assert exact
                model.spent.pop(doubted, None)
                model.spent[call] = Spent(amount, model.now)
                flying[call] = rest[0], intent
            elif word == "guarded":
                assert not sure
        elif what == "settle" and flying:
            call = sorted(flying)[amount % len(flying)]
            fence, intent = flying.pop(call)
            settled(scripts, model, call, fence, intent, str(more))
        elif what == "wait":
            while flying:  # a call is never in flight for longer than it may be
                call = min(flying)
                fence, intent = flying.pop(call)
                settled(scripts, model, call, fence, intent, "answer")
            scripts.now += amount
            model.now = scripts.now
        used, reserved = sums(scripts)
        assert model.total(0) <= used + reserved <= model.total(LATE_MS)
        assert used + reserved <= LIMIT


def settled(scripts: Scripts, model: Model, call: str, fence: int, intent: str, ending: str) -> None:
    resent = model.doubts.pop(intent, "") and ending in ("free", "not_sent")
    scripts.settle(call, fence, ending, changed=ending in ("answer", "done", "unknown"))
    if ending == "unknown" or resent:
        model.doubts[intent] = call
    elif ending in ("free", "not_sent"):
        del model.spent[call]
