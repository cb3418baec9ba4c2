"""A new last layer on the features of a trained net."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from evofool.classifiers.base import Classifier
from evofool.classifiers.nets.hog import Hog, check_sides
from evofool.classifiers.nets.penultimate import without_last_layer
from evofool.errors import ClassifierError
from evofool.images import Shape

_STRIDE = 32
"""Nets of ImageNet halve a picture five times; other sides would be padded otherwise."""


class Headed(nn.Module):
    """Pictures brought to the backbone's size, its features, a linear layer.

    The size is reached by bilinear interpolation, inside the net, so pictures stay those of the
    data set. A grey picture is shown to a backbone of three channels in all of them.

    Args:
        backbone: float32 N x C x H x W on [0, 1] to features, N x d.
        size: d.
        shape: channels, height and width of a picture.
        shown: those that the backbone is shown.
        n_classes: number of outputs.
    """

    def __init__(
        self, backbone: nn.Module, size: int, shape: Shape, shown: Shape, n_classes: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.side = shown[1:]
        # decided here, since a graph cannot hold code that looks at the sizes of its input
        self.channels = shown[0] if shape[0] != shown[0] else None
        self.resized = shape[1:] != shown[1:]
        self.head = nn.Linear(size, n_classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to features, N x d."""
        if self.channels is not None:
            images = images.expand(-1, self.channels, -1, -1)
        if self.resized:
            images = functional.interpolate(
                images, size=self.side, mode="bilinear", align_corners=False
            )
        result: torch.Tensor = self.backbone(images)
        return result

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to logits, N x classes."""
        logits: torch.Tensor = self.head(self.features(images))
        return logits


def head_on_hog(shape: Shape, n_classes: int, name: str) -> Headed:
    """A linear layer, whose weights are drawn, on histograms of gradients of pictures of `shape`.

    Raises:
        ClassifierError: the histograms do not fit the sides; the message has `name`.
    """
    check_sides(shape, name)
    hog = Hog().eval()
    size = hog(torch.zeros(1, *shape)).shape[1]
    return Headed(hog, size, shape, shape, n_classes)


def with_head(backbone: Classifier, side: int | None, shape: Shape, n_classes: int) -> Headed:
    """`backbone` with a new last layer, whose weights are drawn, for pictures of `shape`.

    Args:
        backbone: a net with gradients.
        side: in pixels, that it is shown; None is its own.
        shape: channels, height and width of the pictures.
        n_classes: number of outputs.

    Raises:
        ClassifierError: it takes other channels, or not this side, or its last layer cannot be
            replaced.
    """
    channels, height, width = backbone.input_shape
    where = f"backbone {backbone.name}"
    if shape[0] not in (1, channels):
        raise ClassifierError(f"{where}: takes only grey pictures, but these have colours")
    own = (height, width)
    shown = own if side is None else (side, side)
    if shown != own and side is not None and side % _STRIDE:
        raise ClassifierError(
            f"{where}: input: {side} is neither its own side, {height}, nor a multiple of {_STRIDE}"
        )
    assert backbone.module is not None
    probe = torch.linspace(0, 1, 2 * channels * shown[0] * shown[1])
    try:
        cut = without_last_layer(backbone.module, probe.reshape(2, channels, *shown), backbone.name)
        with torch.no_grad():
            size = cut(probe.reshape(2, channels, *shown)).shape[1]
    except RuntimeError as error:  # layers that fit one size of picture only
        raise ClassifierError(
            f"{where}: input: {side} pixels do not fit it; leave input out, and pictures are"
            f" resized to {height} x {width}"
        ) from error
    return Headed(cut, size, shape, (channels, *shown), n_classes)
