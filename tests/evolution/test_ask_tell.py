"""`MapElites.ask` and `tell`: a search without a scorer of ours, and the one inside a campaign."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evofool import encodings
from evofool.classifiers import Classifier
from evofool.encodings import Encoding
from evofool.errors import UsageError
from evofool.evolution import MapElites
from evofool.evolution import map_elites as module
from evofool.evolution.archive import ChampionArchive
from evofool.evolution.campaign import evolve
from evofool.evolution.outputs import archive_digest
from evofool.scoring import Scorer
from evofool.store import CampaignFolder

Make = Callable[..., dict[str, Any]]
TOYS = Path(__file__).parents[1] / "toys" / "exact.py"
DOCS = Path(__file__).parents[2] / "docs" / "library.md"
SIZE = (6, 6)
NAN = float("nan")


def toy(swap: bool = False) -> Encoding[bytes]:
    return encodings.load(f"{TOYS}:Bytes", (1, *SIZE), {"swap": swap})


def digest(search: MapElites, encoding: Encoding[Any]) -> str:
    def render(individuals: Sequence[Any]) -> Any:
        return encoding.render([each.genome for each in individuals], SIZE)

    return archive_digest(search.archive, render, encoding)


# the search of a campaign


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize(("swap", "parents"), [(False, "uniform"), (True, "recent")])
def test_a_campaign_is_the_same_search(
    toy_campaign: Make, toy_victim: Classifier, tmp_path: Path, lag: int, swap: bool, parents: str
) -> None:
    """With the campaign's own scores: the same champions, of the same parents, by the same bytes.

    Lag is to ask for a generation before the last one is told.
    """
    evolution = {"initial": 20, "children": 21, "lag": lag, "parents": parents}
    sections = toy_campaign(evolution=evolution)
    sections["encoding"]["swap"] = swap
    run = evolve(sections, tmp_path / "run")
    encoding = toy(swap)
    search = MapElites(encoding, toy_victim.n_classes, seed=3, parents=parents)
    with Scorer(toy_victim) as scorer:

        def tell(genomes: list[bytes]) -> None:
            search.tell(genomes, scorer.score(encoding.render(genomes, SIZE)).log_odds)

        tell(search.ask(20))
        waiting = [search.ask(21)] if lag else []
        for generation in range(1, 13):
            if generation < 12 or not lag:
                waiting.append(search.ask(21))
            tell(waiting.pop(0))
    assert digest(search, encoding) == run.summary["archive_digest"]
    with CampaignFolder.open(tmp_path / "run") as folder:
        for elite, holder in zip(folder.elites(), search.archive.holders, strict=True):
            row = folder.individual(elite.id)
            assert holder is not None
            assert row is not None
            assert (holder.id, holder.parents, holder.parent_cells) == (
                row.id, row.parents, row.parent_cells,
            )  # fmt: skip


@pytest.mark.parametrize("lag", [0, 1])
def test_a_campaign_drives_this_class(
    toy_campaign: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag: int
) -> None:
    asked: list[int] = []
    individuals = MapElites.individuals

    def spied(self: MapElites, n: int, **options: Any) -> Any:
        asked.append(n)
        return individuals(self, n, **options)

    monkeypatch.setattr(MapElites, "individuals", spied)
    evolve(toy_campaign(evolution={"initial": 20, "children": 9, "lag": lag}), tmp_path / "run")
    assert asked == [20] + 12 * [9]


# what may be told

VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf, NAN])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_subset_in_any_order_with_foreign_genomes(data: st.DataObject) -> None:
    """Cell by cell the highest score that was told, the first of equals; NaN never."""
    encoding, classes = toy(), data.draw(st.integers(1, 4))
    search = MapElites(encoding, classes, seed=data.draw(st.integers(0, 5)))
    best: list[tuple[float, bytes] | None] = [None] * classes
    asked: list[bytes] = []
    for _ in range(data.draw(st.integers(1, 5))):
        asked += search.ask(data.draw(st.integers(1, 4)))
        foreign = [
            encoding.sample(np.random.default_rng(data.draw(st.integers(0, 9)))) for _ in range(2)
        ]
        told = data.draw(st.lists(st.sampled_from(asked + foreign), max_size=6))
        rows = data.draw(
            st.lists(
                st.lists(VALUES, min_size=classes, max_size=classes),
                min_size=len(told), max_size=len(told),
            )
        )  # fmt: skip
        before = [None if held is None else held[1] for held in best]
        wins = search.tell(told, np.array(rows).reshape(len(told), classes))
        for genome, row in zip(told, rows, strict=True):
            for c, value in enumerate(row):
                held = best[c]
                if not np.isnan(value) and (held is None or value > held[0]):
                    best[c] = (value, genome)
        assert {win.class_index for win in wins} >= {
            c for c, held in enumerate(best) if held is not None and held[1] != before[c]
        }
    found = {elite.class_index: (elite.score, elite.genome) for elite in search.elites()}
    assert found == {c: held for c, held in enumerate(best) if held is not None}


def test_nan_wins_not_even_an_empty_cell_and_leaves_the_others_alone() -> None:
    search = MapElites(toy(), 3)
    genomes = search.ask(3)
    wins = search.tell(genomes, [[NAN, NAN, 1.0], [NAN, -np.inf, NAN], [NAN, NAN, NAN]])
    assert [(win.class_index, win.individual.id.child, win.fitness) for win in wins] == [
        (1, 1, -np.inf),
        (2, 0, 1.0),
    ]
    assert [elite.class_index for elite in search.elites()] == [1, 2]
    assert search.tell(genomes[2:], [[NAN, NAN, NAN]]) == []
    assert search.tell(genomes[:1], [[NAN, NAN, NAN]]) == []
    assert len(search.elites()) == 2


def test_as_long_as_nobody_has_won_genomes_are_random() -> None:
    search, other = MapElites(toy(), 2, seed=5), MapElites(toy(), 2, seed=5)
    first, second = search.ask(4), search.ask(4)
    assert not {*first} & {*second}
    search.tell(first, np.full((4, 2), NAN))
    assert search.ask(4) == [other.ask(4) for _ in range(3)][2]


def test_copies_are_known_by_what_they_are() -> None:
    """A genome that went through another process is another object, with the same parents."""
    search = MapElites(toy(swap=True), 2)
    search.tell(search.ask(6), np.arange(12).reshape(6, 2))
    children = search.ask(4)
    copies = pickle.loads(pickle.dumps(children[::-1]))
    wins = search.tell(copies, 100 + np.arange(8).reshape(4, 2))
    assert {win.individual.id for win in wins} == {(1, 0)}
    assert all(win.individual.parents for win in wins)
    assert wins[0].gain == 106 - 10


def test_foreign_genomes_are_numbered_after_those_that_were_asked_for() -> None:
    encoding = toy()
    search = MapElites(encoding, 1)
    strangers = [encoding.sample(np.random.default_rng(i)) for i in range(3)]
    (win,) = search.tell(strangers[:1], [[1.0]])
    assert (win.individual.id, win.individual.parents) == ((0, 0), ())
    child, *_ = search.ask(2)  # bred from it: there is a champion
    (win,) = search.tell([strangers[1], child], [[2.0], [3.0]])
    assert (win.individual.id, win.individual.parents) == ((1, 0), ((0, 0),))
    (win,) = search.tell(strangers[2:], [[4.0]])
    assert win.individual.id == (1, 3)


def test_what_is_never_told_takes_no_memory_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 10)
    search = MapElites(toy(), 1)
    old = search.ask(8)
    for _ in range(5):
        search.ask(8)
    assert len(search._asked) == 10
    (win,) = search.tell(old[:1], [[1.0]])  # taken as one from elsewhere
    assert win.individual.id == (5, 8)


# results


def test_elites_are_typed_and_drawn_on_demand() -> None:
    encoding = encodings.load("cppn", (3, 8, 8))
    search = MapElites(encoding, ["tench", "goldfish"], seed=2)
    genomes = search.ask(3)
    search.tell(genomes, [[0, 5], [1, 4], [NAN, 3]])
    tench, goldfish = search.elites()
    assert (tench.label, tench.class_index, tench.score, tench.id) == ("tench", 0, 1.0, (0, 1))
    assert (goldfish.label, goldfish.genome) == ("goldfish", genomes[0])
    for size in ((8, 8), (20, 30)):
        pixels = goldfish.pixels(size)
        assert (pixels.shape, pixels.dtype) == ((3, *size), np.uint8)
        assert (pixels == encoding.render([genomes[0]], size)[0]).all()


def test_some_classes_alone() -> None:
    """An archive of one's own has cells of some columns only."""
    search = MapElites(toy(), 5, archive=ChampionArchive([1, 3]))
    search.tell(search.ask(2), [[9, 1, 9, 0, 9], [9, 0, 9, 2, 9]])
    assert [(e.class_index, e.score, e.id.child) for e in search.elites()] == [(1, 1, 0), (3, 2, 1)]


# bad input


@pytest.mark.parametrize(
    ("scores", "wanted"),
    [
        (np.zeros((2, 3)), r"are float64 \(2, 3\), but must be real numbers of \(3, 3\)"),
        (np.zeros((3, 2)), r"float64 \(3, 2\)"),
        (np.zeros(3), r"float64 \(3,\)"),
        (np.zeros((3, 3), complex), "complex128"),
        ([["a", "b", "c"]] * 3, "<U1"),
        ([[1, 2, 3], [1, 2], [1]], r"are not an array of \(3, 3\)"),
        (None, "object"),
    ],
)
def test_scores_that_are_none(scores: Any, wanted: str) -> None:
    search = MapElites(toy(), 3)
    genomes = search.ask(3)
    with pytest.raises(UsageError, match=wanted):
        search.tell(genomes, scores)
    assert search.elites() == []


def test_a_genome_that_is_none() -> None:
    search = MapElites(toy(), 1)
    with pytest.raises(UsageError, match=r"genomes\[1\], of type NoneType, is not a genome of en"):
        search.tell([*search.ask(1), None], [[1.0], [2.0]])
    assert search.elites() == []
    assert search.tell([], []) == []


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"classes": 0}, "classes must be at least one, not 0"),
        ({"classes": []}, "classes must be at least one"),
        ({"classes": "abc"}, "must be a number or a list of labels, not 'abc'"),
        ({"classes": 2, "seed": -1}, "seed must be from 0"),
        ({"classes": 2, "seed": 2**63}, "seed must be from 0"),
        ({"classes": 2, "archive": ChampionArchive([0, 2])}, "cells that are not among the 2 cl"),
        ({"classes": 2, "parents": "old"}, "one of uniform, recent, not 'old'"),
        ({"classes": 2, "archive": ChampionArchive([])}, "cells that are not among the 2 cl"),
    ],
)
def test_a_search_of_nothing(arguments: dict[str, Any], wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        MapElites(toy(), **arguments)


def test_ask_for_at_least_one() -> None:
    with pytest.raises(UsageError, match="ask for at least 1 genome, not 0"):
        MapElites(toy(), 1).ask(0)


# the page


def test_the_loop_of_the_page_runs() -> None:
    code = DOCS.read_text().split("```python\n", 1)[1].split("```", 1)[0]
    space: dict[str, Any] = {}
    exec(compile(code, str(DOCS), "exec"), space)
    pictures, search = space["pictures"], space["search"]
    assert {label: image.shape for label, image in pictures.items()} == dict.fromkeys(
        ("dark", "rows", "columns"), (1, 280, 280)
    )
    scores = space["score"](space["encoding"].render([e.genome for e in search.elites()], (28, 28)))
    assert [elite.score for elite in search.elites()] == np.diag(scores).tolist()
    chance = space["score"](space["encoding"].render(MapElites(
        space["encoding"], 3, seed=1).ask(50), (28, 28)))  # fmt: skip
    assert (np.diag(scores) > chance.max(axis=0)).sum() >= 2  # it did search
