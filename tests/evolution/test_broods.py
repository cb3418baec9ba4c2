"""Generations by an encoding that varies many genomes at once: the same as one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from deap import base

from evofool import encodings
from evofool.encodings import BatchEncoding
from evofool.errors import ScoringError
from evofool.evolution.archive import SELECTIONS, Parents
from evofool.evolution.brood import genomes_of
from evofool.evolution.guarded import guarded
from evofool.evolution.individual import Individual
from evofool.evolution.map_elites import operators
from evofool.evolution.variation import breed
from evofool.operators import streams
from evofool.randomness import Generators, Stream
from evofool.store import IndividualId

SHAPE = (1, 8, 8)
NAMES = ["cppn", "direct"]


def parents_of(encoding: Any, cells: int = 6) -> Parents:
    rng = np.random.default_rng(1)
    holders: list[Individual | None] = [
        Individual(encoding.sample(rng), IndividualId(k % 4, k)) for k in range(cells)
    ]
    holders[2], holders[4] = None, holders[3]
    return Parents(np.arange(10, 10 + cells), holders)


def one_at_a_time(toolbox: base.Toolbox) -> base.Toolbox:
    """The same tools as those of a program, which are asked for one genome at a time."""
    for name in ("mate", "mutate", "select"):
        toolbox.register(name, getattr(toolbox, name))
    return toolbox


def told(encoding: Any, children: Sequence[Individual]) -> list[Any]:
    return [
        (child.id, child.parents, child.parent_cells, encoding.dump(child.genome))
        for child in children
    ]


@pytest.fixture(params=["compiled", "one by one"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "one by one":
        monkeypatch.setattr(streams, "kernels", lambda: None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("group", [1, 5, 21])
@pytest.mark.usefixtures("_way")
def test_a_brood_is_what_its_members_are_one_at_a_time(
    name: str, selection: str, group: int
) -> None:
    """In groups that split pairs, out of order, and for who is asked alone."""
    encoding = guarded(encodings.load(name, SHAPE))
    assert isinstance(encoding, BatchEncoding)
    parents = parents_of(encoding)

    def bred(toolbox: base.Toolbox) -> list[Individual]:
        return list(breed(toolbox, encoding, 7, 3, parents, 21))

    wanted = told(encoding, bred(one_at_a_time(operators(encoding, selection))))
    assert len({len(one[1]) for one in wanted}) == (1 if name == "cppn" else 2)
    children = bred(operators(encoding, selection))
    assert all(child.source is not None for child in children)
    for start in reversed(range(0, 21, group)):
        some = children[start : start + group]
        dumps = [encoding.dump(genome) for genome in genomes_of(some)]
        assert dumps == [one[3] for one in wanted[start : start + group]]
    assert told(encoding, children) == wanted
    assert told(encoding, bred(operators(encoding, selection))) == wanted
    first, *_, last = bred(operators(encoding, selection))
    assert told(encoding, [last, first]) == [wanted[-1], wanted[0]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.usefixtures("_way")
def test_parents_are_drawn_together_as_one_pair_at_a_time(name: str, selection: str) -> None:
    parents = parents_of(encodings.load(name, SHAPE))
    select = SELECTIONS[selection]
    generators = Generators(3, Stream.SELECT, 5, range(40))
    wanted = [(select(parents, rng), select(parents, rng)) for rng in generators]
    assert parents.pick_pairs(select, generators) == wanted


def test_who_has_a_genome_keeps_it() -> None:
    encoding = encodings.load("cppn", SHAPE)
    child, other = breed(operators(encoding), encoding, 7, 3, parents_of(encoding), 2)
    genome = child.genome
    assert child.genome is genome
    assert child.source is None
    assert genomes_of([child, other])[0] is genome
    assert genomes_of([]) == []


@pytest.mark.parametrize("tool", ["mate", "mutate"])
def test_a_tool_of_a_program_is_asked_for_every_genome(tool: str) -> None:
    encoding = encodings.load("direct", SHAPE)
    toolbox, calls = operators(encoding), []

    def counted(*args: Any) -> Any:
        calls.append(args)
        return getattr(encoding, tool)(*args)

    toolbox.register(tool, counted)
    children = list(breed(toolbox, encoding, 7, 3, parents_of(encoding), 10))
    assert len(calls) == (5 if tool == "mate" else 10)
    usual = list(breed(operators(encoding), encoding, 7, 3, parents_of(encoding), 10))
    assert told(encoding, children) == told(encoding, usual)


def test_a_tool_with_arguments_of_its_own_is_a_program_s() -> None:
    encoding = encodings.load("direct", SHAPE, {"halve_every": 1})
    toolbox = operators(encoding)
    toolbox.register("mutate", lambda g, rng, n, at: encoding.mutate(g, rng, at), at=1)
    children: Iterator[Individual] = breed(toolbox, encoding, 7, 3, parents_of(encoding), 4)
    usual = breed(operators(encoding), encoding, 7, 3, parents_of(encoding), 4)
    assert told(encoding, list(children)) != told(encoding, list(usual))


@pytest.mark.parametrize("method", ["mate_many", "mutate_many"])
def test_a_batch_that_is_short_is_told(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = encodings.load("direct", SHAPE)
    whole: Callable[..., Any] = getattr(encoding, method)
    monkeypatch.setattr(encoding, method, lambda *args: list(whole(*args))[1:])
    children = list(breed(operators(encoding), encoding, 7, 3, parents_of(encoding), 6))
    with pytest.raises(ScoringError, match=f"{method} of the encoding returned"):
        genomes_of(children)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["mutate", "mate"])
@pytest.mark.parametrize("wrap", [lambda encoding: encoding, guarded])
def test_an_operator_of_a_subclass_is_used(
    name: str, method: str, wrap: Callable[[Any], Any]
) -> None:
    """Its class inherits the batch methods, which know nothing of it."""
    base_class = type(encodings.load(name, SHAPE))
    calls = []

    def own(self: Any, *arguments: Any) -> Any:
        calls.append(arguments)
        return getattr(base_class, method)(self, *arguments)

    encoding = wrap(type("Mine", (base_class,), {method: own})(SHAPE))
    children = list(breed(operators(encoding), encoding, 7, 3, parents_of(encoding), 6))
    assert told(encoding, children)
    assert len(calls) == {"mutate": 6, "mate": 3}[method]


def test_what_is_no_sequence_is_refused() -> None:
    class Streaming(type(encodings.load("direct", SHAPE))):  # type: ignore[misc]
        def mutate_many(self, *arguments: Any) -> Any:
            return iter(super().mutate_many(*arguments))

    encoding = guarded(Streaming(SHAPE))
    children = list(breed(operators(encoding), encoding, 7, 3, parents_of(encoding), 4))
    with pytest.raises(ScoringError, match="mutate_many of the encoding returned a"):
        genomes_of(children)
