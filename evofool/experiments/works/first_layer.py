"""The work of reading a net's first layer: one picture a filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers import Classifier
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import Net
from evofool.images import encode_png, to_uint8

if TYPE_CHECKING:
    from torch import nn

MOST_FILTERS = 64


@dataclass(frozen=True)
class FilterRow(Row):
    """A filter of the first layer; its picture is on a scale of its own, and grey at 0.

    Attributes:
        largest: absolute weight, which the picture shows as black or white.
    """

    type: ClassVar[str] = "filter"

    largest: float


@work
class FirstLayer(Work):
    """The filters of a first layer, at most 64; none where the layer cannot be shown so.

    Attributes:
        net: whose weights are read; nothing is asked of it.
    """

    kind: ClassVar[str] = "first-layer"
    rows: ClassVar[tuple[type[Row], ...]] = (FilterRow,)

    net: Net

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        filters = first_filters(self.net.load(context))
        if filters is None or filters.shape[1] not in (1, 3):
            return
        for k, weights in enumerate(filters):
            largest = float(np.abs(weights).max())
            tile = weights / (2 * (largest or 1)) + 0.5
            yield FilterRow(k, largest, png=encode_png(to_uint8(tile.astype(np.float32))))


def first_filters(net: Classifier) -> NDArray[np.float32] | None:
    """The weights of the first layer, at most 64 filters x C x h x w.

    None where it is neither a convolution of the image nor fully connected to its pixels.
    """
    from torch import nn

    assert net.module is not None
    channels, height, width = net.input_shape
    layer = next((m for m in net.module.modules() if isinstance(m, nn.Conv2d | nn.Linear)), None)
    if isinstance(layer, nn.Conv2d) and layer.in_channels == channels:
        return _numbers(layer)
    if isinstance(layer, nn.Linear) and layer.in_features == channels * height * width:
        return _numbers(layer).reshape(-1, channels, height, width)
    return None


def _numbers(layer: nn.Conv2d | nn.Linear) -> NDArray[np.float32]:
    weights: NDArray[np.float32] = layer.weight.detach()[:MOST_FILTERS].cpu().float().numpy()
    return weights
