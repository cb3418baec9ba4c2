"""Running plans: order, failures, stops, what goes on and what is done anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from toy_works import RAN, Count, Length, Note, PatientCount, Sum, Value, failing, planned

from evofool.errors import DataError, Interrupted, ScoringError, StoreError, UsageError
from evofool.experiments.engine import Plan, Planned, Results, Work, WorksFailedError
from evofool.experiments.engine import run as runner
from evofool.experiments.engine.verifying import check_works
from evofool.store.experiment import ExperimentFolder

CarryOut = Callable[..., Results]


def values(results: Results, work: Work) -> list[int]:
    return [row.value for row in results.rows(work, Value)]


def test_a_work_comes_after_those_it_stands_on(carry_out: CarryOut) -> None:
    total = Sum((Count(3), Count(4)))
    results = carry_out(planned(total, Count(4), Count(3)))
    assert values(results, total) == [3 + 6]
    assert RAN == ["count 4", "count 3", "sum"]


def test_what_is_not_named_is_found_out_too(carry_out: CarryOut) -> None:
    assert values(carry_out(planned(Sum((Count(3),)))), Count(3)) == [0, 1, 2]


def test_nothing_is_done_twice(carry_out: CarryOut) -> None:
    plan = planned(Count(3), Count(3), Sum((Count(3),)))
    assert len(plan) == 2
    carry_out(plan)
    carry_out(plan)
    assert RAN == ["count 3", "sum"]


def test_circles_are_refused() -> None:
    one, other = Sum((Count(1),)), Sum((Count(2),))
    # no field of a frozen dataclass can make one: the addresses are forged
    one.__dict__["needs"], other.__dict__["needs"] = (other,), (one,)
    _ = one.address, other.address
    with pytest.raises(UsageError, match="in a circle: sum"):
        planned(one, other)


def test_two_works_with_one_place_are_refused() -> None:
    with pytest.raises(UsageError, match=r"one and two both write notes/same\.txt"):
        Plan([Planned("one", Note("a"), "same"), Planned("two", Note("b"), "same")])


def test_others_go_on_when_one_fails(carry_out: CarryOut, folder: ExperimentFolder) -> None:
    broken = Count(5, fails=failing(2))
    above, apart = Sum((broken,)), Count(3)
    with pytest.raises(WorksFailedError, match="count 0 failed; 1 that depend on them were not"):
        carry_out(planned(broken, above, apart))
    assert RAN == ["count 5", "count 3"]
    assert folder.works()[apart.address].finished
    assert not folder.works()[broken.address].finished
    # mended, it is done anew, and so is what stands on it
    results = carry_out(planned(Count(5), Sum((Count(5),)), apart))
    assert RAN == ["count 5", "count 3", "count 5", "sum"]
    assert values(results, above) == [10]


def test_a_single_failure_is_told_as_it_is(carry_out: CarryOut) -> None:
    with pytest.raises(DataError, match="it broke"):
        carry_out(planned(Count(5, fails=failing(2, DataError)), Count(1)))


@pytest.mark.parametrize("error", [Interrupted, StoreError, ZeroDivisionError])
def test_some_errors_end_everything(carry_out: CarryOut, error: type[Exception]) -> None:
    with pytest.raises(error):
        carry_out(planned(Count(5, fails=failing(2, error)), Count(1)))
    assert RAN == ["count 5"]


def test_rows_of_a_broken_work_are_done_anew(
    carry_out: CarryOut, folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "COMMIT_SECONDS", 0.0)
    with pytest.raises(Interrupted):
        carry_out(planned(Count(5, fails=failing(3, Interrupted))))
    assert len(folder.rows(Count(5).address, "value")) == 3  # they are stored,
    assert values(carry_out(planned(Count(5))), Count(5)) == list(range(5))
    assert RAN == ["count 5", "count 5"]  # but the work begins anew


def test_a_work_that_goes_on_is_not_asked_for_what_it_has(
    carry_out: CarryOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "COMMIT_SECONDS", 0.0)
    with pytest.raises(Interrupted):
        carry_out(planned(PatientCount(5, fails=failing(3, Interrupted))))
    assert values(carry_out(planned(PatientCount(5))), PatientCount(5)) == list(range(5))
    assert RAN == ["patient 5 from 0", "patient 5 from 3"]


def test_threads_come_to_the_same_rows(carry_out: CarryOut) -> None:
    works = [Count(n) for n in range(1, 9)]
    plan = planned(Sum(tuple(works)), *works)

    def slow(n: int) -> None:
        time.sleep(0.001)

    plan = planned(*(Count(n, fails=slow) for n in range(1, 9)), Sum(tuple(works)))
    with ThreadPoolExecutor(4) as executor:
        results = carry_out(plan, executor=executor, at_once=4)
    assert values(results, Sum(tuple(works))) == [sum(sum(range(n)) for n in range(1, 9))]
    assert all(values(results, work) == list(range(work.upto)) for work in works)


def test_a_failure_in_a_thread_ends_nothing_else(carry_out: CarryOut) -> None:
    plan = planned(*(Count(n, fails=failing(2) if n == 4 else None) for n in range(1, 9)))
    with ThreadPoolExecutor(3) as executor, pytest.raises(ScoringError):
        carry_out(plan, executor=executor, at_once=3)
    assert sorted(RAN) == sorted(f"count {n}" for n in range(1, 9))


def test_an_artifact_that_is_gone_is_made_again(
    carry_out: CarryOut, folder: ExperimentFolder
) -> None:
    plan = planned(Note("abc"), Length(Note("abc")))
    carry_out(plan)
    (folder.path / "notes" / "0.txt").unlink()
    carry_out(plan)
    # the same bytes: what was found with them stays
    assert RAN == ["note abc", "length", "note abc"]


def test_what_was_found_with_other_bytes_is_found_anew(
    carry_out: CarryOut, folder: ExperimentFolder
) -> None:
    carry_out(planned(Note("abc"), Length(Note("abc"))))
    (folder.path / "notes" / "0.txt").unlink()
    longer = Note("abc", "another text")  # as a training on another machine comes out otherwise
    results = carry_out(planned(longer, Length(longer)))
    assert RAN == ["note abc", "length", "note abc", "length"]
    assert values(results, Length(longer)) == [12]


def test_a_foreign_artifact_is_refused_and_named(
    carry_out: CarryOut, folder: ExperimentFolder
) -> None:
    plan = planned(Note("abc"), Length(Note("abc")))
    carry_out(plan)
    (folder.path / "notes" / "0.txt").write_text("other")
    with pytest.raises(StoreError) as caught:
        carry_out(plan)
    message = str(caught.value)
    assert str(folder.path) in message
    assert "note 0: notes/0.txt is not what was made; restore the original" in message


def test_what_gives_way_is_kept_aside(carry_out: CarryOut, folder: ExperimentFolder) -> None:
    carry_out(planned(Note("abc"), Length(Note("abc"))))
    carry_out(planned(Note("other"), Length(Note("other"))))
    assert (folder.path / "notes" / "0.txt").read_text() == "other"
    RAN.clear()
    results = carry_out(planned(Note("abc"), Length(Note("abc"))))
    # the old artifact has been moved, not lost: nothing is done again
    assert RAN == []
    assert values(results, Length(Note("abc"))) == [3]


def test_what_was_sent_counts_however_a_work_ends(
    carry_out: CarryOut, folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evofool.store.records.works import Cost

    class Booking(Count):
        def run(self, context: Any) -> Any:
            context.book(Cost(queries=7))
            yield from super().run(context)

    with pytest.raises(Interrupted):
        carry_out(planned(Booking(5, fails=failing(3, Interrupted))))
    assert folder.works()[Count(5).address].cost.queries == 7
    # what is done anew costs again: a row says what it took, the run what all took
    carry_out(planned(Booking(5)))
    assert folder.works()[Count(5).address].cost.queries == 7
    assert folder.repeated().queries == 7


def test_what_an_edit_displaced_comes_back_when_the_edit_is_undone(
    folder: ExperimentFolder, carry_out: Callable[..., Results]
) -> None:
    first, second = Note("first"), Note("second")
    place = folder.path / "notes" / "0.txt"
    carry_out(planned(first))
    carry_out(planned(second))
    assert place.read_text() == "second"
    (displaced,) = folder.artifacts(first.address)
    assert displaced.path == f"unused/{first.address[:16]}/0.txt"
    results = carry_out(planned(first))  # undone: nothing runs again
    assert RAN == ["note first", "note second"]
    assert place.read_text() == "first"
    assert results.artifact(first, "text").path == "notes/0.txt"
    (other,) = folder.artifacts(second.address)
    assert (folder.path / other.path).read_text() == "second"
    assert not (folder.path / displaced.path).exists()
    # both at once, each at the other's former place
    carry_out(planned(second, first))
    assert (place.read_text(), (folder.path / "notes" / "1.txt").read_text()) == ("second", "first")
    assert check_works(folder).ok
    assert len(RAN) == 2
