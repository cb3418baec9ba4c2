"""Whether what an algorithm stored beside the archive is what its last generation left."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from evofool.config import MapElitesConfig, MuPlusLambdaConfig
from evofool.errors import EvofoolError
from evofool.evolution.arrays import unpack, unpack_genomes
from evofool.evolution.cma_es import ARRAYS
from evofool.evolution.fitness import kind_of
from evofool.evolution.history import History
from evofool.evolution.individual import Individual
from evofool.evolution.randomness import Stream, generator
from evofool.evolution.setup import Parts
from evofool.scoring import fitness_of
from evofool.store import Check, IndividualId, IndividualRow

FITNESS_TOLERANCE = 1e-2
"""Largest difference of a survivor's stored fitness from today's, times 1 + its size."""
ROUNDING = 1e-8
"""Largest relative difference between what cma_es stores and what follows from it."""


def check_state(
    state: Mapping[str, bytes],
    parts: Parts,
    history: History,
    lineage: Mapping[IndividualId, IndividualRow],
    tools: Collection[str] = (),
) -> Check:
    """The state in the database: whether it can be gone on from, and fits the rows.

    What follows from `tools` that were a program's is not looked at.

    ``cma_es``: its centroid, step size and paths follow from every score of the run, which are not
    stored; of these only the shapes are looked at, and that they are finite.
    """
    generations = len(history.wins)
    evolution = parts.config.evolution
    try:
        if generations:
            parts.algorithm.restore(dict(state))
        if isinstance(evolution, MapElitesConfig):
            faults = _behind(state, parts, history, lineage, evolution.lag, tools)
        elif isinstance(evolution, MuPlusLambdaConfig):
            faults = _population(state, parts, lineage, generations, tools) if generations else []
        else:
            faults = _distribution(state, generations) if generations else []
        wanted = {
            "map_elites": {"behind", "behind_genomes"},
            "mu_plus_lambda": {"population", "order"},
            "cma_es": {"cma_es"},
        }[evolution.algorithm]
        faults += [
            f"{key[:40]!r} belongs to no {evolution.algorithm}" for key in state.keys() - wanted
        ]
    except EvofoolError as error:  # of a genome that cannot be drawn, too
        return Check("state", False, f"the run cannot be resumed: {error}")
    if faults:
        return Check("state", False, "; ".join(faults[:3]))
    return Check("state", True, "is that of the last generation" if state else "none is needed")


def _behind(
    state: Mapping[str, bytes],
    parts: Parts,
    history: History,
    lineage: Mapping[IndividualId, IndividualRow],
    lag: int,
    tools: Collection[str],
) -> list[str]:
    """The parents one generation earlier, where they are no longer the elites."""
    if not lag or len(history.wins) < 2:
        return ["parents of an earlier generation are stored without need"] if state else []
    arrays = unpack(state, "behind", ("cells", "ids"))
    genomes = unpack_genomes(state, "behind_genomes", parts.encoding)
    newest = len(history.wins) - 1
    before, now = history.holders(newest - 1), history.holders(newest)
    cells = parts.archive.cells
    wanted = {
        k: before[int(c)]
        for k, c in enumerate(cells)
        if int(c) in before and before[int(c)] != now[int(c)]
    }
    holders = {
        k: IndividualId(*id)
        for k, id in zip(arrays["cells"].tolist(), arrays["ids"].tolist(), strict=True)
    }
    faults = []
    if holders != wanted or set(genomes) != set(wanted.values()):
        faults.append("its parents are not the elites of one generation earlier")
    return faults + _genome_faults(genomes, parts, lineage, tools)


def _population(
    state: Mapping[str, bytes],
    parts: Parts,
    lineage: Mapping[IndividualId, IndividualRow],
    generations: int,
    tools: Collection[str],
) -> list[str]:
    """The survivors: how many, in order, whose genomes, and what these are worth now."""
    evolution = parts.config.evolution
    assert isinstance(evolution, MuPlusLambdaConfig)
    genomes = unpack_genomes(state, "population", parts.encoding)
    order = unpack(state, "order", ("ids", "fitness"))
    ids = [IndividualId(*id) for id in order["ids"].tolist()]
    fitness = np.asarray(order["fitness"], dtype=np.float64)
    count = evolution.initial
    for _ in range(generations - 1):
        count = min(evolution.mu, count + evolution.children)
    faults = []
    truncated = "select" not in tools
    if truncated and len(ids) != count:
        faults.append(f"{len(ids)} survivors instead of {count}")
    if set(ids) != set(genomes):
        faults.append("genomes that do not belong to a survivor")
    if truncated and generations > 1 and (np.diff(fitness) > 0).any():
        faults.append("survivors that are not in the order of their fitness")
    faults += _genome_faults(genomes, parts, lineage, tools)
    if faults:
        return faults
    if truncated and float(fitness.max()) != float(parts.archive.fitness[0]):
        faults.append("the best survivor is not as good as the elite")
    if "fitness" in tools:
        return faults
    people = [Individual(genome, id) for id, genome in genomes.items()]
    target = int(parts.archive.cells[0])
    images = parts.evaluator.render(people)
    odds = parts.scorer.score(images).log_odds
    if parts.fitness is None:
        ranks = fitness_of(odds, kind_of(evolution.fitness))
    else:
        ranks = parts.fitness(odds, images)
        ranks = np.where(np.isnan(ranks), -np.inf, ranks)
    now = dict(zip(genomes, ranks[:, target].tolist(), strict=True))
    for id, stored in zip(ids, fitness.tolist(), strict=True):
        if not same_fitness(stored, now[id]):
            faults.append(f"survivor {id}: a fitness of {stored:g}, and {now[id]:g} now")
    return faults


def same_fitness(stored: float, now: float) -> bool:
    """Whether a stored fitness is that of today, as far as engines agree."""
    return stored == now or abs(stored - now) <= FITNESS_TOLERANCE * (1 + abs(now))


def _genome_faults(
    genomes: Mapping[IndividualId, Any],
    parts: Parts,
    lineage: Mapping[IndividualId, IndividualRow],
    tools: Collection[str],
) -> list[str]:
    """Genomes that are not those that were bred under their name."""
    faults = []
    for id, genome in genomes.items():
        dump = parts.encoding.dump(genome)
        if id in lineage:
            wanted = lineage[id].sha256
        elif id.generation == 0 and "sample" in tools:
            continue
        elif id.generation == 0:  # never won a cell, and can be drawn again
            rng = generator(parts.config.seed, Stream.SAMPLE, 0, id.child)
            wanted = hashlib.sha256(parts.encoding.dump(parts.encoding.sample(rng))).digest()
        else:
            faults.append(f"{id} is not in the lineage")
            continue
        if hashlib.sha256(dump).digest() != wanted:
            faults.append(f"the genome of {id} is not the one that was bred")
    return faults


def _distribution(state: Mapping[str, bytes], generations: int) -> list[str]:
    arrays = unpack(state, "cma_es", ARRAYS)
    faults = []
    if int(arrays["update_count"]) != generations - 1:
        faults.append(f"cma_es: {arrays['update_count']} updates in {generations - 1} generations")
    if float(arrays["sigma"]) <= 0:
        faults.append("cma_es: a step size that is not above 0")
    c, b, bd, d = (arrays[name] for name in ("C", "B", "BD", "diagD"))
    for name, stored, wanted in (
        ("BD", bd, b * d),
        ("C", c, bd @ bd.T),
        ("B", b @ b.T, np.eye(len(b))),
    ):
        if np.abs(stored - wanted).max() > ROUNDING * max(1.0, float(np.abs(wanted).max())):
            faults.append(f"cma_es: {name} does not fit the rest")
    return faults
