"""The demo is only as honest as its tools' counting."""

from sidecar.demo.ledger import Finding, Ledger


def ledger() -> tuple[Ledger, list[Finding]]:
    found: list[Finding] = []
    return Ledger(found.append), found


def test_writes_overlap_only_where_they_are_in_flight_together_on_one_record() -> None:
    book, found = ledger()
    with book.writing("lead-1"), book.writing("lead-2"):
        assert not found
    with book.writing("lead-1"):
        assert not found
        with book.writing("lead-1"):
            assert [it.kind for it in found] == ["overlap"]
    assert book.counts["overlap"] == 1


def test_a_write_that_failed_is_not_in_flight_any_more() -> None:
    book, found = ledger()
    try:
        with book.writing("lead-1"):
            raise RuntimeError
    except RuntimeError:
        pass
    with book.writing("lead-1"):
        assert not found


def test_an_edit_of_the_current_version_loses_nothing() -> None:
    book, found = ledger()
    for change in ("a", "b", "c"):
        book.update("lead-1", book.version("lead-1"), change)
    assert not found
    assert book.version("lead-1") == 4


def test_an_edit_of_an_older_version_is_a_lost_update() -> None:
    book, found = ledger()
    read = book.version("lead-1")
    book.update("lead-1", read, "mine")
    book.update("lead-1", read, "yours")
    assert found == [Finding("lost-update", "lead-1 v2 overwritten by an edit of v1")]
    assert book.counts == {"lost-update": 1}


def test_the_second_and_every_further_time_is_a_duplicate() -> None:
    book, found = ledger()
    for _ in range(3):
        book.once("inv-1", "duplicate-charge", "inv-1 charged again")
    assert book.counts == {"duplicate-charge": 2}
    assert found[0].text == "inv-1 charged again"


def test_work_is_what_got_done_however_often() -> None:
    book, _ = ledger()
    book.once("inv-1")
    book.once("inv-1")
    book.once("inv-2")
    book.update("lead-1", 1, "a")
    book.update("lead-1", 1, "a")
    book.update("lead-1", 2, "b")
    assert book.work == 4
