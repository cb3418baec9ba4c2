"""Similarity of features to one prototype a class, as logits."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


class NearestPrototype(nn.Module):
    """scale * cos(f, p_c), or -scale * ||f - p_c||^2, of the features f that `net` gives.

    With squared distances and a scale of 1 the softmax is that of prototypical networks (Snell et
    al., NeurIPS 2017, eq. 2).

    Args:
        net: images to N x D features.
        points: float32 classes x D, the prototypes.
        similarity: ``cosine`` or ``euclidean``.
        scale: above 0.
    """

    prototypes: torch.Tensor
    """float32 classes x D, of length 1 for ``cosine``."""

    def __init__(
        self,
        net: nn.Module,
        points: NDArray[np.float32],
        similarity: Literal["cosine", "euclidean"],
        scale: float,
    ) -> None:
        super().__init__()
        self.net = net
        self.similarity = similarity
        self.scale = scale
        prototypes = torch.from_numpy(points)
        if similarity == "cosine":
            prototypes = nn.functional.normalize(prototypes, dim=1)
        self.register_buffer("prototypes", prototypes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to logits, float32 N x classes."""
        features: torch.Tensor = self.net(images).float()
        if self.similarity == "cosine":
            similar = nn.functional.normalize(features, dim=1) @ self.prototypes.T
        else:
            # -||f - p||^2 multiplied out: N x classes x D numbers would not fit
            own = features.square().sum(1, keepdim=True)
            theirs = self.prototypes.square().sum(1)
            similar = 2 * features @ self.prototypes.T - own - theirs
        return self.scale * similar
