"""The oracle's own test: shares worked out by hand, and what makes a share max-min."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gate.oracle import Demand, shares

CAPACITY = {"a": 10.0, "b": 4.0}
DEMANDS = st.dictionaries(
    st.sampled_from("pqrstu"),
    st.builds(
        Demand,
        st.sampled_from([("a",), ("b",), ("a", "b")]),
        st.sampled_from([1.0, 2.0, 8.0]),
        st.sampled_from([0.5, 3.0, 100.0]),
    ),
    min_size=1,
)


def test_who_asks_for_little_gets_it_and_the_rest_is_shared_evenly() -> None:
    demands = {"quiet": Demand(("a",), most=1), "loud": Demand(("a",)), "louder": Demand(("a",))}
    assert shares({"a": 9}, demands) == {"quiet": 1, "loud": 4, "louder": 4}


def test_shares_follow_weights() -> None:
    assert shares({"a": 8}, {"p": Demand(("a",), 3), "q": Demand(("a",))}) == {"p": 6, "q": 2}


def test_who_is_held_up_at_one_resource_leaves_the_other_to_the_rest() -> None:
    demands = {"both": Demand(("a", "b")), "a": Demand(("a",)), "b": Demand(("b",))}
    assert shares({"a": 10, "b": 4}, demands) == pytest.approx({"both": 2, "a": 8, "b": 2})


@given(DEMANDS)
@settings(deadline=None)
def test_nobody_could_have_more_but_from_somebody_who_has_no_more_for_his_weight(
    demands: dict[str, Demand],
) -> None:
    rates = shares(CAPACITY, demands)
    used = {name: sum(rates[f] for f in demands if name in demands[f].resources) for name in CAPACITY}
    assert all(used[name] <= CAPACITY[name] + 1e-6 for name in CAPACITY)
    for flow, demand in demands.items():
        full = [name for name in demand.resources if used[name] > CAPACITY[name] - 1e-6]
        level = rates[flow] / demand.weight
        assert rates[flow] >= demand.most - 1e-6 or any(
            level >= rates[other] / demands[other].weight - 1e-6
            for name in full
            for other in [
                max(
                    (f for f in demands if name in demands[f].resources),
                    key=lambda f: rates[f] / demands[f].weight,
                )
            ]
        )
