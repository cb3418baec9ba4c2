"""The one-pixel attack: differential evolution over the places and colours of a few pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.base import Attack, Needs
from evofool.attacks.job import Job, Rows
from evofool.attacks.query.black_box import make_current, part, progress
from evofool.errors import UsageError
from evofool.images import Shape, UInt8Images

Genes = NDArray[np.float64]
"""n x population x (pixels * (2 + channels)): row, column, levels of each pixel in turn."""

VALUES = 2**27
"""About so many bytes of pictures are held at once."""


@dataclass(frozen=True)
class OnePixel(Attack):
    """Su, Vargas, Sakurai, IEEE TEVC 2019, 1710.08864, section 3.

    Differential evolution without crossover: child i is r1 + F (r2 - r3) of three distinct
    parents and replaces parent i if it is no worse. Places start uniform, levels around 128 with
    standard deviation 127; genes that leave the picture are drawn anew. A grey victim has 3 genes
    a pixel instead of 5. Children do not depend on each other, so a generation is scored in parts,
    and no further once a picture of a part fools (the paper scores all of it).

    Attributes:
        pixels: how many may change (1, 3 and 5 in the paper).
        population: points of the search.
        generations: most generations after the first population.
        factor: F.
        queries: most pictures an image, or None for no limit but the generations.
        part: pictures of a generation that are scored at once.
    """

    name: ClassVar[str] = "one-pixel"
    needs: ClassVar[Needs] = "scores"
    paper: ClassVar[str] = "Su et al., IEEE TEVC 2019"

    pixels: int = 1
    population: int = 400
    generations: int = 100
    factor: float = 0.5
    queries: int | None = None
    part: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("factor")
        for name, least in (("pixels", 1), ("population", 4), ("generations", 0), ("part", 1)):
            if getattr(self, name) < least:
                raise UsageError(
                    f"{self.name}: {name} must be at least {least}, not {getattr(self, name)}"
                )
        if self.queries is not None and self.queries < 1:
            raise UsageError(f"{self.name}: queries must be at least 1, not {self.queries}")

    def craft(self, job: Job) -> None:
        down, across = job.window
        shape: Shape = (job.clean.shape[1], down.stop - down.start, across.stop - across.start)
        n = len(job)
        rngs = [job.rng(row) for row in range(n)]
        genes = np.stack([initial(rng, self.population, self.pixels, shape) for rng in rngs])
        near = np.full((n, self.population), -np.inf)
        best = np.full(n, -np.inf)
        most = (self.generations + 1) * self.population
        left = np.full(n, most if self.queries is None else min(self.queries, most), np.int64)
        active = job.rows()
        for generation in range(self.generations + 1):
            children = genes[active]
            if generation:
                mine = [rngs[row] for row in active.tolist()]
                children = np.stack(
                    [
                        offspring(rng, genes[row], self.factor, self.pixels, shape)
                        for rng, row in zip(mine, active.tolist(), strict=True)
                    ]
                )
            for begin in range(0, self.population, self.part):
                stop = min(begin + self.part, self.population, begin + int(left[active].max()))
                if stop <= begin:
                    return
                tried = children[:, begin:stop]
                parts = -(-tried.shape[0] * tried.shape[1] * job.clean[0].size // VALUES)
                groups = np.array_split(np.arange(len(active)), parts)
                fitness = np.concatenate(
                    [self._ask(job, active[g], tried[g], best) for g in groups]
                )
                left[active] -= stop - begin
                better = fitness >= near[active, begin:stop]
                genes[active, begin:stop] = np.where(
                    better[:, :, None], tried, genes[active, begin:stop]
                )
                near[active, begin:stop] = np.maximum(fitness, near[active, begin:stop])
                stays = job.open[active]
                active, children = active[stays], children[stays]
                if not len(active):
                    return

    def _ask(
        self, job: Job, rows: Rows, genes: Genes, best: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """How near each of `genes` is to the goal; the best picture so far is kept in `job`."""
        count = genes.shape[1]
        down, across = job.window
        pictures = np.repeat(job.clean[rows], count, axis=0)
        pictures[:, :, down, across] = painted(
            job.clean[rows][:, :, down, across], genes, self.pixels
        )
        owners = np.repeat(rows, count)
        scores = job.scores(owners, pictures)
        near = progress(job, owners, scores)
        first = near.reshape(len(rows), count).argmax(axis=1) + np.arange(len(rows)) * count
        first = first[near[first] > best[rows]]
        own = owners[first]
        best[own] = near[first]
        make_current(job, own, pictures[first], part(scores, first))
        return near.reshape(len(rows), count)


def initial(rng: np.random.Generator, population: int, pixels: int, shape: Shape) -> Genes:
    """The first population of one image, population x (pixels * (2 + channels))."""
    channels, height, width = shape
    places = rng.uniform(0, [height, width], (population, pixels, 2))
    levels = np.clip(rng.normal(128, 127, (population, pixels, channels)), 0, 255)
    genes: Genes = np.concatenate([places, levels], axis=2).reshape(population, -1)
    return genes


def offspring(
    rng: np.random.Generator, genes: Genes, factor: float, pixels: int, shape: Shape
) -> Genes:
    """One child for each member i of one image's population: r1 + F (r2 - r3).

    r1, r2 and r3 are three distinct members other than i, and F is `factor`.

    Args:
        rng: where randomness comes from.
        genes: population x (pixels * (2 + channels)).
        factor: F.
        pixels: how many pixels a member sets.
        shape: channels, height, width of the image.

    Returns:
        The children, of the same shape as `genes`.
    """
    population = len(genes)
    # three distinct of the other indices: draw from one fewer each time, and step over those taken
    taken = np.arange(population)[:, None]
    for drawn in range(1, 4):
        pick = rng.integers(0, population - drawn, population)
        for value in np.sort(taken, axis=1).T:
            pick = pick + (pick >= value)
        taken = np.concatenate([taken, pick[:, None]], axis=1)
    r1, r2, r3 = (genes[taken[:, i]] for i in (1, 2, 3))
    children: Genes = r1 + factor * (r2 - r3)
    channels, height, width = shape
    top = np.tile([height, width, *[256.0] * channels], pixels)
    anew = rng.uniform(0, top, children.shape)
    return np.where((children >= 0) & (children < top), children, anew)


def painted(clean: UInt8Images, genes: Genes, pixels: int) -> UInt8Images:
    """Copies of pictures in which the pixels that `genes` describe are set.

    Args:
        clean: n x C x H x W.
        genes: n x k x (pixels * (2 + C)), k members for each picture.
        pixels: how many pixels a member sets.

    Returns:
        (n * k) x C x H x W, the k pictures of one clean picture in a row.
    """
    n, count, _ = genes.shape
    each = np.floor(genes).astype(np.int64).reshape(n * count, pixels, -1)
    pictures = np.repeat(clean, count, axis=0)
    at = np.arange(n * count)
    for pixel in range(pixels):  # in this order, should two fall on one place
        row, column, levels = each[:, pixel, 0], each[:, pixel, 1], each[:, pixel, 2:]
        pictures[at, :, row, column] = levels.astype(np.uint8)
    return pictures
