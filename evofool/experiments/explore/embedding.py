"""The work of placing champions beside natural pictures by a net's penultimate features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.campaign import Campaign, ChampionRow
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import decode_png
from evofool.store import Check

AXES = 2
CLOSE = 1e-3
"""Of a place that is measured again, as a share of the map's extent."""


@dataclass(frozen=True)
class PlaceRow(Row):
    """One picture on the map.

    Attributes:
        campaign: its number among the work's campaigns; -1 of a natural picture.
        class_index: label of a natural picture, class that a champion was evolved for.
        x: along the first principal component.
        y: along the second.
        nearest: label of the natural picture whose features are nearest to these, itself left out;
            -1 where there is none.
    """

    type: ClassVar[str] = "place"

    campaign: int
    class_index: int
    x: float
    y: float
    nearest: int


@dataclass(frozen=True)
class VarianceRow(Row):
    """What the map shows of the features.

    Attributes:
        shares: of their variance that each axis explains.
        features: how many there are.
    """

    type: ClassVar[str] = "variance"

    shares: tuple[float, ...]
    features: int


@work
class Embedding(Work):
    """Principal components of the features of natural pictures and champions together.

    Attributes:
        net: a white box.
        campaigns: whose champions.
        pictures: natural ones.
        scoring: how pictures are sent.
    """

    kind: ClassVar[str] = "embedding"
    rows: ClassVar[tuple[type[Row], ...]] = (PlaceRow, VarianceRow)

    net: Net
    campaigns: tuple[Campaign, ...]
    pictures: Pictures
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a picture."""
        return len(self.pictures) + sum(len(campaign.goals) for campaign in self.campaigns)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        yield from self._rows(context)

    def verify(self, context: Context) -> Iterator[Check]:
        """Place the pictures again."""
        stored = np.array([(r.x, r.y) for r in context.rows(self, PlaceRow)])
        now = np.array([(r.x, r.y) for r in self._rows(context) if isinstance(r, PlaceRow)])
        extent = float(np.ptp(stored)) or 1.0
        off = int((np.abs(stored - now).max(axis=1) > CLOSE * extent).sum())
        detail = (
            f"{off} of {len(stored)} pictures are placed elsewhere than stored"
            if off
            else f"{len(stored)} pictures are placed as stored"
        )
        yield Check(f"{context.planned.title}, again", not off, detail)

    def _rows(self, context: Context) -> Iterator[Row]:
        from evofool.classifiers.nets.penultimate import penultimate  # which imports torch

        natural = self.pictures.images
        who = [(-1, c) for c in self.pictures.labels.tolist()]
        images = [natural]
        for k, campaign in enumerate(self.campaigns):
            for row in context.with_pictures(campaign, ChampionRow):
                who.append((k, row.item))
                images.append(decode_png(row.png or b"")[None])
        with context.scorer(penultimate(self.net.load(context)), self.scoring) as scorer:
            features = scorer.logits(np.concatenate(images)).astype(np.float64)
        places, shares = principal_components(features, AXES)
        nearest = nearest_of(features, features[: len(natural)])
        for item, ((k, c), (x, y), near) in enumerate(
            zip(who, places.tolist(), nearest.tolist(), strict=True)
        ):
            label = -1 if near < 0 else int(self.pictures.labels[near])
            yield PlaceRow(item, k, c, x, y, label)
        yield VarianceRow(0, tuple(shares.tolist()), features.shape[1])


def principal_components(
    features: NDArray[np.float64], axes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places along the directions of most variance, and the share of it that each explains.

    Directions are turned so that the largest weight of each is positive.

    Args:
        features: float64 N x D.
        axes: how many; directions that the data lack have places 0.

    Returns:
        Float64 N x axes, and float64 (axes,) on [0, 1].
    """
    centred = features - features.mean(axis=0)
    _, strengths, directions = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    places = np.zeros((len(features), axes))
    shares = np.zeros(axes)
    there = min(axes, len(directions))
    places[:, :there] = (centred @ (directions * signs[:, None]).T)[:, :there]
    whole = float((strengths**2).sum())
    if whole > 0:
        shares[:there] = strengths[:there] ** 2 / whole
    return places, shares


def nearest_of(features: NDArray[np.float64], natural: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of `natural` is nearest to each row, Euclidean, int64 (N,); -1 where there is none.

    Args:
        features: float64 N x D; the first m of them are `natural`, and none is its own neighbour.
        natural: float64 M x D.
    """
    nearest = np.full(len(features), -1, np.int64)
    for k, row in enumerate(features):
        distances = ((natural - row) ** 2).sum(axis=1)
        if k < len(natural):
            distances[k] = np.inf
        if np.isfinite(distances).any():
            nearest[k] = int(distances.argmin())
    return nearest
