from sidecar.telemetry.instruments import Histogram, Names


def test_a_name_keeps_its_label_and_falls_to_zero() -> None:
    names = Names(2)
    assert names.tally({"a": 1, "b": 5, "c": 9}) == {("b",): 5, ("c",): 9, ("other",): 1}
    assert names.tally({"d": 7, "c": 1}) == {("b",): 0, ("c",): 1, ("other",): 7}


def test_a_tenant_called_other_is_among_the_others() -> None:
    assert Names(1, ["other"]).tally({"other": 2, "x": 3, "y": 1}) == {("other",): 3, ("x",): 3}


def test_an_endless_name_gets_no_label_of_its_own() -> None:
    assert Names(5).tally({"x" * 10_000: 2}) == {("other",): 2}


def test_an_observation_on_a_bound_counts_within_it() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.1, 0.5, 2.0):
        histogram.observe(seconds)
    assert histogram.counts == [1, 1, 1]
