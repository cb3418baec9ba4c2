"""Refined children: which pairs are refined, of whom, and that small visible steps are taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool import encodings
from evofool.errors import ConfigError, ScoringError
from evofool.evolution import MapElites, refining
from evofool.evolution.archive import Parents
from evofool.evolution.campaign import evolve
from evofool.evolution.individual import Individual
from evofool.evolution.refining import CANDIDATES, Copies, nearest, refined_pair, refined_pairs
from evofool.evolution.verify import verify
from evofool.images import Size, UInt8Images
from evofool.store import IndividualId

ODDS = np.array([-6.0, -0.2, -np.inf, 5.0, 1.0])


class Flat:
    """A genome is a level, which its picture shows everywhere."""

    def render(self, genomes: list[int], size: Size) -> UInt8Images:
        return np.stack([np.full((1, *size), level, np.uint8) for level in genomes])


def parents(log_odds: Any = ODDS) -> Parents:
    holders = [
        None if np.isneginf(odds) else Individual(k, IndividualId(0, k))
        for k, odds in enumerate(ODDS)
    ]
    return Parents(np.arange(10, 15), holders, log_odds)


def test_the_nearest_picture_that_is_not_the_same_goes_on() -> None:
    flat: Any = Flat()
    assert nearest(flat, 100, [90, 104, 97, 103]) == 2  # of 97 and 103 the first
    assert nearest(flat, 100, [100, 255, 100]) == 1
    assert nearest(flat, 100, [100, 100]) == 0
    assert nearest(flat, 0, [255, 254, 0]) == 1


def test_a_refined_child_is_one_of_the_mutated_copies() -> None:
    encoding = encodings.load("layers", (3, 32, 32))
    genome = encoding.sample(np.random.default_rng(1))
    rng = np.random.default_rng(2)
    copies = [encoding.mutate(genome, rng, 3) for _ in range(CANDIDATES)]
    elite = Individual(genome, IndividualId(2, 5))
    source = Copies(encoding.mutate, encoding, (elite, 7), np.random.default_rng(2), 3)
    individual = Individual(None, IndividualId(3, 1), source=source)
    child = individual.genome
    assert (individual.parents, individual.parent_cells) == ((elite.id,), (7,))
    assert individual.source is None  # the other copies are let go of
    pictures = encoding.render([genome, child, *copies], (48, 48)).astype(int)
    away = np.abs(pictures[1:] - pictures[0]).mean((1, 2, 3))
    assert child in copies
    assert away[0] == min(away[1:][away[1:] >= 0.25])


def test_the_share_is_the_median_confidence() -> None:
    assert parents().refined_share == pytest.approx(1 / (1 + np.exp(0.2)))
    assert parents(None).refined_share == 0  # nobody said
    assert parents(np.full(5, np.nan)).refined_share == 0  # no log-odds were told
    assert refined_pairs(parents(None), 1, 1, 50) == {}
    share = len(refined_pairs(parents(), 1, 1, 2000)) / 2000
    assert share == pytest.approx(parents().refined_share, abs=0.04)


def test_pairs_do_not_depend_on_each_other() -> None:
    whole = refined_pairs(parents(), 5, 7, 40)
    for pair in range(40):
        assert refined_pair(parents(), 5, 7, pair) == whole.get(pair) or (
            [(one.id, cell) for one, cell in refined_pair(parents(), 5, 7, pair) or ()]
            == [(one.id, cell) for one, cell in whole[pair]]
        )


def test_those_with_most_to_gain_are_refined() -> None:
    """p (1 - p) is largest for log-odds of -0.2, then 1, then 5, then -6."""
    rng = np.random.default_rng(1)
    elites = parents()
    drawn = np.array([elites.pick_promising(rng)[1] for _ in range(4000)]) - 10
    share = np.bincount(drawn, minlength=5) / len(drawn)
    # the best of four draws of four: 1 - (3/4)^4, then (3/4)^4 - (2/4)^4, and so on
    np.testing.assert_allclose(share, [1 / 256, 1 - 81 / 256, 0, 15 / 256, 65 / 256], atol=0.03)


def test_sure_elites_are_told_apart() -> None:
    """Beyond log-odds of 37 a confidence is 1 to the last bit."""
    holders = [Individual(k, IndividualId(0, k)) for k in range(3)]
    elites = Parents(np.arange(3), holders, np.array([90.0, 40.0, 38.0]))
    rng = np.random.default_rng(1)
    share = np.bincount([elites.pick_promising(rng)[1] for _ in range(4000)]) / 4000
    np.testing.assert_allclose(share, [1 / 81, 15 / 81, 65 / 81], atol=0.03)


@pytest.mark.parametrize("size", [(28, 28), (48, 28)])
def test_pictures_of_another_size_are_refused(size: Size) -> None:
    own = size

    class Stubborn(Flat):
        name = "stubborn"

        def render(self, genomes: list[int], size: Size) -> UInt8Images:
            return super().render(genomes, own)

    stubborn: Any = Stubborn()
    with pytest.raises(ScoringError, match="pictures of 48 x 48 came out as uint8"):
        nearest(stubborn, 1, [2, 3])


def test_ancestors_are_bred_again_without_a_picture(
    toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"initial": 20, "children": 20, "refine": True}
    evolve(toy_campaign(evolution=how, encoding={"name": "cppn"}), tmp_path / "run")

    def none(*_: object) -> int:
        raise AssertionError("a picture was drawn")

    monkeypatch.setattr(refining, "nearest", none)
    checks = {check.name: check for check in verify(tmp_path / "run")}
    assert checks["ancestry"].ok


def test_some_children_of_a_campaign_are_refined(
    toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    def digest(name: str, **how: Any) -> str:
        config = toy_campaign(evolution={"initial": 20, "children": 20, **how})
        return str(evolve(config, tmp_path / name).summary["archive_digest"])

    assert digest("plain") != digest("refined", refine=True)
    assert digest("plain 2") == digest("off", refine=False)


def test_without_log_odds_nothing_is_refined() -> None:
    encoding = encodings.load("direct", (1, 6, 6))

    def asked(refine: bool) -> list[bytes]:
        search = MapElites(encoding, 3, refine=refine)
        genomes = search.ask(8)
        search.tell(genomes, np.random.default_rng(1).random((8, 3)))
        return [encoding.dump(genome) for genome in search.ask(8)]

    assert asked(True) == asked(False)


def test_it_cannot_lag(toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = toy_campaign(evolution={"initial": 20, "children": 20, "refine": True, "lag": 1})
    with pytest.raises(ConfigError, match="set lag: 0"):
        evolve(config, tmp_path / "run")
