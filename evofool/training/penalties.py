"""Penalties on a net's slope at the training images, added to the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

PenaltyKind: TypeAlias = Literal["smoothing", "contractive"]


@dataclass(frozen=True)
class Penalty:
    """`weight` times the squared length of a slope, the mean over the images that are shown.

    ``smoothing``: ||dJ / dx||^2 of each image's loss J, by double backpropagation (Drucker and
    LeCun, IEEE Transactions on Neural Networks 3(6), 1992; among the defenses that smooth a
    model, Papernot et al., EuroS&P 2018, 1611.03814).

    ``contractive``: ||dz / dx||_F^2 of the outputs z, in the spirit of Gu and Rigazio (ICLR 2015
    workshop, 1412.5068), who penalise it layer by layer. It is estimated by one random
    projection: v drawn with signs +-1, E ||d(v z) / dx||^2 is that norm (Hutchinson 1990).

    Attributes:
        kind: which.
        weight: of the penalty; the loss itself has 1.
    """

    kind: PenaltyKind
    weight: float

    def __call__(
        self,
        shown: torch.Tensor,
        outputs: torch.Tensor,
        losses: torch.Tensor,
        draws: torch.Generator,
    ) -> torch.Tensor:
        """The penalty of a batch, a floating scalar with a graph.

        Args:
            shown: n x C x H x W, the images from which `outputs` and `losses` were computed.
            outputs: n x K.
            losses: (n,).
            draws: on the CPU, for the projection.
        """
        height = losses.sum()
        if self.kind == "contractive":
            coins = torch.randint(2, outputs.shape, generator=draws).to(outputs)
            height = ((2 * coins - 1) * outputs).sum()
        (slope,) = torch.autograd.grad(height, shown, create_graph=True)
        return self.weight * slope.square().flatten(1).sum(1).mean()
