"""Refining: small steps in what a picture looks like, for elites that have most to gain by them.

Mutation as encodings do it changes too much of a picture that a net is sure of already, and how
much a change shows no gene tells. So several mutated copies are drawn small, which costs far less
than scoring one of them, and the one that looks most like its parent goes on, unless it looks the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evofool.encodings import Encoding
from evofool.errors import ScoringError
from evofool.evolution.archive import Parents, Pick
from evofool.evolution.individual import Individual
from evofool.evolution.randomness import Stream, generator
from evofool.images import Size

CANDIDATES = 8
"""Mutated copies of which one goes on."""
SMALL: Size = (48, 48)
"""Height and width of the pictures that are compared."""
VISIBLE = 0.25
"""Levels, on average over a picture, from which on two of them count as different."""


def refined_pairs(
    parents: Parents, seed: int, generation: int, pairs: int
) -> dict[int, tuple[Pick, Pick]]:
    """Which of a generation's pairs of children are refined, and of which elites."""
    every = ((pair, refined_pair(parents, seed, generation, pair)) for pair in range(pairs))
    return {pair: picks for pair, picks in every if picks is not None}


def refined_pair(
    parents: Parents, seed: int, generation: int, pair: int
) -> tuple[Pick, Pick] | None:
    """The elites of which the children of a pair are refined; None if they are bred as others.

    Pair k decides and draws from (seed, REFINE, generation, k).
    """
    if not parents.refined_share:
        return None
    rng = generator(seed, Stream.REFINE, generation, pair)
    if rng.random() >= parents.refined_share:
        return None
    return parents.pick_promising(rng), parents.pick_promising(rng)


class Copies:
    """Mutated copies of one elite; the child is the one that looks most like it.

    Which one that is takes pictures, and these are drawn by whoever asks for the genome first. That
    is as a rule a worker of the scorer, as it is for the child's own picture.

    Args:
        mutate: the encoding's operator, or what a program has put in its place; called here alone.
        encoding: draws.
        pick: the elite, and the class whose cell it was drawn from.
        rng: of the child.
        generation: handed to `mutate`.
    """

    def __init__(
        self,
        mutate: Callable[..., Any],
        encoding: Encoding[Any],
        pick: Pick,
        rng: np.random.Generator,
        generation: int,
    ) -> None:
        self._encoding = encoding
        self._parent, self._cell = pick
        parent = self._parent.genome
        self._genomes = [mutate(parent, rng, generation) for _ in range(CANDIDATES)]

    def settle(self, individual: Individual) -> None:
        """Make `individual` the copy that is nearest."""
        chosen = nearest(self._encoding, self._parent.genome, self._genomes)
        individual.become(self._genomes[chosen], (self._parent.id,), (self._cell,))


def nearest(encoding: Encoding[Any], genome: Any, candidates: Sequence[Any]) -> int:
    """Which of `candidates` looks most like `genome`, the first of equals; one that looks the same
    comes after all others."""
    images = np.asarray(encoding.render([genome, *candidates], SMALL))
    wanted = (1 + len(candidates), *SMALL)
    if images.dtype != np.uint8 or images.ndim != 4 or (len(images), *images.shape[2:]) != wanted:
        raise ScoringError(
            f"encoding {encoding.name}: pictures of {SMALL[0]} x {SMALL[1]} came out as"
            f" {images.dtype} {images.shape}, but must be uint8 N x channels x height x width"
        )
    drawn = images.astype(np.int16)
    away = np.abs(drawn[1:] - drawn[0]).mean((1, 2, 3))
    return int(np.where(away < VISIBLE, 256 - away, away).argmin())
