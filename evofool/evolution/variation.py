"""Variation: what makes individuals from (seed, generation, child) and their parents alone.

So an ancestor can be bred again from its parents, and a generation that was interrupted comes out
the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from deap import base

from evofool.encodings import BatchEncoding, Encoding
from evofool.evolution.archive import DRAWS, Parents, Pick
from evofool.evolution.brood import Brood, breeds_together
from evofool.evolution.individual import Individual
from evofool.evolution.randomness import Stream, generator
from evofool.evolution.refining import refined, refined_pairs
from evofool.randomness import Generators
from evofool.store import IndividualId


def sample(
    toolbox: base.Toolbox, seed: int, count: int, generation: int = 0
) -> Iterator[Individual]:
    """Random individuals: number i draws from (seed, SAMPLE, generation, i)."""
    for i in range(count):
        genome = toolbox.sample(generator(seed, Stream.SAMPLE, generation, i))
        yield Individual(genome, IndividualId(generation, i))


def breed(
    toolbox: base.Toolbox,
    encoding: Encoding[Any],
    seed: int,
    generation: int,
    parents: Parents,
    children: int,
    refine: bool = False,
) -> Iterator[Individual]:
    """The children of a generation, which depend on (seed, generation) and `parents` alone.

    They come in pairs: two parents are selected and crossed, and both children are mutated. Where
    the tools are those of an `encoding` that varies many genomes at once, they are without genomes
    until these are asked for (`evofool.evolution.brood`). With `refine` some pairs are not crossed
    but refined (`evofool.evolution.refining`).
    """
    pairs = _selected(toolbox, seed, generation, parents, (children + 1) // 2)
    if refine and (chosen := refined_pairs(parents, seed, generation, (children + 1) // 2)):
        return _one_by_one(toolbox, seed, generation, pairs, children, chosen, encoding)
    if (
        isinstance(encoding, BatchEncoding)
        and breeds_together(encoding)
        and _is(toolbox.mate, encoding.mate)
        and _is(toolbox.mutate, encoding.mutate)
    ):
        return Brood(encoding, seed, generation, list(pairs)).individuals(children)
    return _one_by_one(toolbox, seed, generation, pairs, children)


def _one_by_one(
    toolbox: base.Toolbox,
    seed: int,
    generation: int,
    pairs: Iterator[tuple[Pick, Pick]],
    children: int,
    chosen: Mapping[int, tuple[Pick, Pick]] = MappingProxyType({}),
    encoding: Encoding[Any] | None = None,
) -> Iterator[Individual]:
    """Pairs whose number is in `chosen` are refined, which takes the encoding, all others bred."""
    for pair, ((first, first_cell), (second, second_cell)) in enumerate(pairs):
        if encoding is not None and pair in chosen:
            for side, (parent, cell) in enumerate(chosen[pair]):
                child = 2 * pair + side
                if child == children:
                    return
                rng = generator(seed, Stream.MUTATE, generation, child)
                genome = refined(toolbox.mutate, encoding, parent.genome, rng, generation)
                yield Individual(genome, IndividualId(generation, child), (parent.id,), (cell,))
            continue
        genomes = cross(toolbox, seed, generation, pair, first.genome, second.genome)
        for side, genome in enumerate(genomes):
            child = 2 * pair + side
            if child == children:
                return
            ids, cells = [first.id, second.id], [first_cell, second_cell]
            if genome is (first, second)[side].genome:  # no crossover took place
                ids, cells = ids[side : side + 1], cells[side : side + 1]
            mutated = mutate(toolbox, seed, generation, child, genome)
            yield Individual(mutated, IndividualId(generation, child), tuple(ids), tuple(cells))


def _selected(
    toolbox: base.Toolbox, seed: int, generation: int, parents: Parents, pairs: int
) -> Iterator[tuple[Pick, Pick]]:
    """Two parents for each of `pairs`: pair k draws from (seed, SELECT, generation, k)."""
    generators = Generators(seed, Stream.SELECT, generation, range(pairs))
    for select in DRAWS:
        if _is(toolbox.select, select):
            return iter(parents.pick_pairs(select, generators))
    return ((toolbox.select(parents, rng), toolbox.select(parents, rng)) for rng in generators)


def _is(tool: Callable[..., Any], function: Callable[..., Any]) -> bool:
    """Whether a tool of a toolbox is `function`, registered as it is."""
    return isinstance(tool, partial) and not (tool.args or tool.keywords) and tool.func == function


def cross(
    toolbox: base.Toolbox, seed: int, generation: int, pair: int, first: Any, second: Any
) -> tuple[Any, Any]:
    """Pair `pair` of a generation, crossed: what a replayed ancestor goes through again."""
    one, two = toolbox.mate(first, second, generator(seed, Stream.MATE, generation, pair))
    return one, two


def mutate(toolbox: base.Toolbox, seed: int, generation: int, child: int, genome: Any) -> Any:
    """Child `child` of a generation, mutated."""
    return toolbox.mutate(genome, generator(seed, Stream.MUTATE, generation, child), generation)
