"""The champion archive against a plain loop, and its bookkeeping."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evofool.evolution.archive import ChampionArchive
from evofool.evolution.individual import Individual
from evofool.scoring import Scores
from evofool.store import IndividualId


def _children(n: int, generation: int = 1, cells: tuple[int, ...] = ()) -> list[Individual]:
    return [
        Individual(f"{generation}:{i}", IndividualId(generation, i), (), cells) for i in range(n)
    ]


def _naive(batches: list[np.ndarray]) -> list[tuple[int, int]]:
    """Nguyen's rule one child and one cell at a time: (batch, child) of each cell's champion."""
    best = [-np.inf] * batches[0].shape[1]
    holder = [(-1, -1)] * batches[0].shape[1]
    for b, batch in enumerate(batches):
        for i, row in enumerate(batch):
            for c, value in enumerate(row):
                if holder[c] == (-1, -1) or value > best[c]:
                    best[c], holder[c] = value, (b, i)
    return holder


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_batches_end_as_one_child_at_a_time_would(data: st.DataObject) -> None:
    classes = data.draw(st.integers(1, 6))
    # few distinct values, so that ties are common
    value = st.sampled_from([-np.inf, -2.0, -1.0, 0.0, 1.0, 2.0, np.inf])
    batches = [
        np.array(data.draw(st.lists(st.lists(value, min_size=classes, max_size=classes),
                                    min_size=1, max_size=5)))
        for _ in range(data.draw(st.integers(1, 4)))
    ]  # fmt: skip
    archive = ChampionArchive(range(classes), "log_odds")
    for b, batch in enumerate(batches):
        archive.add(_children(len(batch), b), Scores(batch))
    held = [(h.id.generation, h.id.child) for h in archive.holders if h is not None]
    assert held == _naive(batches)


def test_a_child_may_win_several_cells_and_is_shared() -> None:
    archive = ChampionArchive(range(3), "log_odds")
    wins, _ = archive.add(_children(2), Scores(np.array([[3.0, 2.0, -5.0], [1.0, 1.0, -4.0]])))
    assert [win.class_index for win in wins] == [0, 1, 2]
    assert archive.holders[0] is archive.holders[1]
    assert archive.won.tolist() == [True, False, False]


def test_wins_say_what_changed() -> None:
    archive = ChampionArchive([2, 5], "log_odds")
    first = np.zeros((1, 6))
    archive.add(_children(1, 0), Scores(first))
    second = np.array([[0, 0, 1.5, 0, 0, -1.0]])
    (win,), _ = archive.add(_children(1, 1, cells=(5,)), Scores(second))
    assert (win.class_index, win.gain, win.new, win.switched) == (2, 1.5, False, True)
    assert win.replaced is not None
    assert win.replaced.id == IndividualId(0, 0)
    (again, _), _ = archive.add(_children(1, 2, cells=(2, 5)), Scores(second + 2))
    assert not again.switched  # one of its parents came from that very cell


def test_a_tie_keeps_the_elite() -> None:
    archive = ChampionArchive([0], "log_odds")
    archive.add(_children(1, 0), Scores(np.array([[1.0, 0.0]])))
    assert archive.add(_children(3, 1), Scores(np.array([[1.0, 0.0]] * 3)))[0] == []


def test_probability_saturates_where_log_odds_do_not() -> None:
    better, best = np.array([[20.0, -20.0]]), np.array([[30.0, -30.0]])
    for fitness, changes in (("log_odds", 1), ("probability", 0), ("log_probability", 1)):
        archive = ChampionArchive([0], fitness)  # type: ignore[arg-type]
        archive.add(_children(1, 0), Scores(better))
        assert len(archive.add(_children(1, 1), Scores(best))[0]) == changes, fitness


def test_parents_are_drawn_uniformly_over_filled_cells() -> None:
    archive = ChampionArchive(range(4), "log_odds")
    archive.add(_children(1, 0), Scores(np.array([[1.0, 1.0, 1.0, -9.0]])))
    archive.add(_children(1, 1), Scores(np.array([[0.0, 0.0, 0.0, 5.0]])))
    rng = np.random.default_rng(1)
    parents = archive.parents()
    drawn = [parents.pick(rng)[1] for _ in range(4000)]
    counts = np.bincount(drawn, minlength=4)
    assert counts.min() > 880  # 1000 each, standard deviation 27
    share = np.mean([parents.pick(rng)[0].id == IndividualId(0, 0) for _ in range(4000)])
    assert share == pytest.approx(0.75, abs=0.03)  # it holds three of the four cells


def test_recent_parents_are_the_youngest_of_three() -> None:
    """Three cells of generation 0, one of 1: the last is drawn unless all draws miss it."""
    archive = ChampionArchive(range(4), "log_odds")
    archive.add(_children(1, 0), Scores(np.array([[1.0, 1.0, 1.0, -9.0]])))
    archive.add(_children(1, 1), Scores(np.array([[0.0, 0.0, 0.0, 5.0]])))
    rng = np.random.default_rng(1)
    drawn = [archive.parents().pick_recent(rng) for _ in range(4000)]
    share = np.mean([holder.id == IndividualId(1, 0) for holder, _ in drawn])
    assert share == pytest.approx(1 - 0.75**3, abs=0.03)
    counts = np.bincount([cell for _, cell in drawn], minlength=4)[:3]
    np.testing.assert_allclose(counts / 4000, 0.75**3 / 3, atol=0.03)


def test_putting_back_a_cell_that_does_not_exist() -> None:
    archive = ChampionArchive([1, 3], "log_odds")
    for wrong in (0, 2, 4):
        with pytest.raises(KeyError):
            archive.put(wrong, _children(1)[0], 0.0, 0.0, False)
