"""How far pictures are from the nearest natural one: in their pixels, and as the net sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers import Classifier
from evofool.classifiers.transformed import untransformed
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import UInt8Images, decode_png, to_float
from evofool.scoring.devices import parts_for_cpu
from evofool.store import Check
from evofool.store.records.works import Cost

if TYPE_CHECKING:
    import torch

CHUNK = 2000
"""Natural pictures that are looked at together."""
LIKELY = 8
"""Nearest ones by float32 sums, of which exact sums choose."""


@dataclass(frozen=True)
class NearRow(Row):
    """How far the picture of a class, which `item` numbers, is from natural ones.

    Attributes:
        natural: index of the natural picture that is nearest in pixels, the first among equals.
        rms: root of the mean squared difference of their values, in levels of 0..255.
        features: Euclidean distance to the nearest natural picture (maybe another one) in what
            goes into the net's last linear layer; None of a net without one.
    """

    type: ClassVar[str] = "near"

    natural: int
    rms: float
    features: float | None


@work
class Nearest(Work):
    """The nearest natural picture to each picture that was found.

    Attributes:
        net: whose features are compared.
        search: whose pictures.
        pictures: natural ones.
    """

    kind: ClassVar[str] = "nearest"
    rows: ClassVar[tuple[type[Row], ...]] = (NearRow,)

    net: Net
    search: Work
    pictures: Pictures

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        rows = context.with_pictures(self.search, self._pictured)
        if not rows:
            return
        images = np.stack([decode_png(row.png or b"") for row in rows])
        natural, rms = nearest_pixels(images, self.pictures.images)
        net = self.net.load(context)
        distances: list[float | None] = [None] * len(rows)
        own = features_of(net, images, context)
        if own is not None:
            of_natural = context.results.remembered(
                ("features", net.digest, self.pictures.digest),
                lambda: features_of(net, self.pictures.images, context),
            )
            if of_natural is not None:
                distances = list(nearest_features(own, of_natural))
        for k, row in enumerate(rows):
            yield NearRow(row.item, int(natural[k]), float(rms[k]), distances[k])

    def verify(self, context: Context) -> Iterator[Check]:
        """Measure the distance in pixels again."""
        rows = context.with_pictures(self.search, self._pictured)
        if not rows:
            return
        images = np.stack([decode_png(row.png or b"") for row in rows])
        _, rms = nearest_pixels(images, self.pictures.images)
        stored = np.array([row.rms for row in context.rows(self, NearRow)])
        same = len(stored) == len(rms) and bool(np.allclose(stored, rms, rtol=1e-9))
        detail = f"{len(rows)} pictures are as far from natural ones as stored"
        yield Check(
            f"{context.planned.title}, again",
            same,
            detail
            if same
            else ("a picture's distance to the nearest natural one is not the stored one"),
        )

    @property
    def _pictured(self) -> type[Row]:
        return next(row for row in self.search.rows if row.pictured)


def nearest_pixels(
    images: UInt8Images, natural: UInt8Images
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest of `natural` to each of `images`, and how far it is.

    Args:
        images: uint8 N x C x H x W.
        natural: uint8 M x C x H x W, at least one.

    Returns:
        (N,) int64 indices, the lowest among equals, and (N,) float64 root mean squares of the
        differences, in levels.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    likely: list[list[tuple[float, int]]] = [[] for _ in images]
    for start in range(0, len(natural), CHUNK):
        chunk = natural[start : start + CHUNK].reshape(-1, flat.shape[1]).astype(np.float32)
        squares = (chunk**2).sum(axis=1)[None] - 2 * flat @ chunk.T
        few = np.argsort(squares, axis=1, kind="stable")[:, :LIKELY]
        for k, columns in enumerate(few):
            some = [(float(squares[k, j]), start + int(j)) for j in columns]
            likely[k] = sorted(likely[k] + some)[:LIKELY]
    indices, distances = np.zeros(len(images), np.int64), np.zeros(len(images))
    for k, each in enumerate(likely):
        exact = [
            (float(np.mean((natural[j].astype(np.int64) - images[k]) ** 2)), j) for _, j in each
        ]
        square, indices[k] = min(exact)
        distances[k] = np.sqrt(square)
    return indices, distances


def nearest_features(own: NDArray[np.float32], natural: NDArray[np.float32]) -> Iterator[float]:
    """Euclidean distance of each of `own` to the nearest of `natural`.

    Args:
        own: float32 N x D.
        natural: float32 M x D.
    """
    wide = natural.astype(np.float64)
    for one in own.astype(np.float64):
        yield float(np.sqrt(((wide - one) ** 2).sum(axis=1).min()))


def features_of(
    net: Classifier, images: UInt8Images, context: Context
) -> NDArray[np.float32] | None:
    """What goes into the last linear layer of a net, float32 N x D; None if it has none.

    Args:
        net: in PyTorch, or a black box, which has none.
        images: uint8 N x C x H x W.
        context: of the work, which is told and may stop.
    """
    import torch

    net = untransformed(net)  # pictures are compared as they are
    if net.module is None or net.crops > 1:
        return None
    layers = [layer for layer in net.module.modules() if isinstance(layer, torch.nn.Linear)]
    if not layers:
        return None
    seen: list[torch.Tensor] = []
    hook = layers[-1].register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].detach().flatten(1).float().cpu())
    )
    parameter = next(net.module.parameters())
    try:
        with torch.no_grad():
            for some in parts_for_cpu(images):
                context.check_stop()
                net.module(torch.from_numpy(to_float(np.asarray(some))).to(parameter.device))
    finally:
        hook.remove()
    context.book(Cost(queries=len(images), forward_images=len(images)))
    features: NDArray[np.float32] = torch.cat(seen).numpy()
    return features if len(features) == len(images) else None
