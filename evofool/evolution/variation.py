"""Variation: what makes individuals from (seed, generation, child) and their parents alone.

So an ancestor can be bred again from its parents, and a generation that was interrupted comes out
the same.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial
from typing import Any

from deap import base

from evofool.encodings import BatchEncoding, Encoding
from evofool.evolution.archive import DRAWS, Parents, Pick
from evofool.evolution.brood import Brood, breeds_together
from evofool.evolution.individual import Individual
from evofool.evolution.randomness import Stream, generator
from evofool.evolution.refining import Copies, refined_pairs
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
    count = (children + 1) // 2
    pairs = _selected(toolbox, seed, generation, parents, count)
    chosen = refined_pairs(parents, seed, generation, count) if refine else {}
    bred: Iterator[Individual]
    if (
        isinstance(encoding, BatchEncoding)
        and breeds_together(encoding)
        and _is(toolbox.mate, encoding.mate)
        and _is(toolbox.mutate, encoding.mutate)
    ):
        bred = Brood(encoding, seed, generation, list(pairs)).individuals(children)
    else:
        bred = _one_by_one(toolbox, seed, generation, pairs, children, chosen)
    return _refined(toolbox, encoding, seed, generation, bred, chosen) if chosen else bred


def _refined(
    toolbox: base.Toolbox,
    encoding: Encoding[Any],
    seed: int,
    generation: int,
    bred: Iterator[Individual],
    chosen: Mapping[int, tuple[Pick, Pick]],
) -> Iterator[Individual]:
    """The children `bred`, with those of the pairs in `chosen` refined in their place."""
    for individual in bred:
        pair, side = divmod(individual.id.child, 2)
        if pair in chosen:
            rng = generator(seed, Stream.MUTATE, generation, individual.id.child)
            copies = Copies(toolbox.mutate, encoding, chosen[pair][side], rng, generation)
            yield Individual(None, individual.id, source=copies)
        else:
            yield individual


def _one_by_one(
    toolbox: base.Toolbox,
    seed: int,
    generation: int,
    pairs: Iterator[tuple[Pick, Pick]],
    children: int,
    skipped: Container[int],
) -> Iterator[Individual]:
    """Bred when they are asked for; those of pairs in `skipped` are left without genomes."""
    for pair, ((first, first_cell), (second, second_cell)) in enumerate(pairs):
        sides = range(2 * pair, min(2 * pair + 2, children))
        if pair in skipped:
            yield from (Individual(None, IndividualId(generation, child)) for child in sides)
            continue
        genomes = cross(toolbox, seed, generation, pair, first.genome, second.genome)
        for side, child in enumerate(sides):
            genome = genomes[side]
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
