"""The denoising U-net of HGD: it predicts the noise in a picture, which is then taken away."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from evofool.errors import UsageError
from evofool.images import Shape

CHANNELS = (1, 2, 4, 4, 4)
"""Maps of each level, in units of the first level's width: 64, 128, 256, 256, 256 in the paper."""
BLOCKS = (2, 3, 3, 3, 3)
"""Convolutions of each level."""
WIDTH = 64
"""Of the paper."""
MIN_SIDE = 28
_MIN_COARSE = 2  # a batch of one has no statistics over a single pixel


class UNet(nn.Module):
    """x -> x - dx with dx from a U-net with lateral links (Liao et al., CVPR 2018, section 3.3).

    Each level down halves the sides (rounded up) in its first convolution. Each level up enlarges
    the coarser maps to the size of the level's own, joins them to these, and convolves; so any size
    fits. All convolutions are 3 x 3 with batch normalisation and ReLU; a last one of 1 x 1 gives
    dx. That one starts at zero here, so an untrained denoiser changes nothing.

    Args:
        input_shape: channels, height and width.
        width: maps of the first level; the others have 2, 4, 4, 4 times as many.
        levels: how many, 2 to 5.

    Raises:
        UsageError: a side below 28, no such number of levels, or too many for the size.
    """

    def __init__(self, input_shape: Shape, width: int = WIDTH, levels: int = len(CHANNELS)) -> None:
        super().__init__()
        check_size(input_shape, width, levels)
        self.input_shape, self.width, self.levels = input_shape, width, levels
        maps = [width * times for times in CHANNELS[:levels]]
        below = [input_shape[0], *maps[:-1]]
        self.down = nn.ModuleList(
            _level(below[level], maps[level], BLOCKS[level], stride=1 if level == 0 else 2)
            for level in range(levels)
        )
        # from the coarsest but one up to the finest: what comes from below, and the lateral
        self.up = nn.ModuleList(
            _level(maps[level + 1] + maps[level], maps[level], BLOCKS[level], stride=1)
            for level in reversed(range(levels - 1))
        )
        self.noise = nn.Conv2d(width, input_shape[0], 1)
        nn.init.zeros_(self.noise.weight)
        assert self.noise.bias is not None
        nn.init.zeros_(self.noise.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to the same shape without the noise, uncut."""
        laterals = []
        hidden = images
        for level in self.down:
            hidden = level(hidden)
            laterals.append(hidden)
        for level, lateral in zip(self.up, reversed(laterals[:-1]), strict=True):
            grown = functional.interpolate(
                hidden, size=lateral.shape[-2:], mode="bilinear", align_corners=False
            )
            hidden = level(torch.cat([grown, lateral], 1))
        noise: torch.Tensor = self.noise(hidden)
        return images - noise


class Denoised(nn.Module):
    """A net that sees pictures through a denoiser; gradients pass through both.

    Args:
        denoiser: float32 N x C x H x W on [0, 1] to the same shape.
        net: the same to N x classes.
    """

    def __init__(self, denoiser: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to the net's outputs, N x classes."""
        outputs: torch.Tensor = self.net(self.denoiser(images))
        return outputs


def check_size(input_shape: Shape, width: int, levels: int) -> None:
    """Refuse what cannot be built.

    Raises:
        UsageError: as `UNet`.
    """
    if width < 1:
        raise UsageError(f"denoiser: width must be at least 1, not {width}")
    if not 2 <= levels <= len(CHANNELS):
        raise UsageError(f"denoiser: levels must be 2 to {len(CHANNELS)}, not {levels}")
    side = min(input_shape[1:])
    if side < MIN_SIDE:
        raise UsageError(
            f"denoiser: pictures of {input_shape[1]} x {input_shape[2]} pixels are too small;"
            f" each side needs at least {MIN_SIDE}"
        )
    coarse = -(-side // 2 ** (levels - 1))
    if coarse < _MIN_COARSE:
        raise UsageError(
            f"denoiser: {levels} levels leave {coarse} pixel of {side}; set fewer levels"
        )


def _level(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for block in range(blocks):
        first = block == 0
        parts += [
            # batch normalisation has the bias
            nn.Conv2d(inputs if first else outputs, outputs, 3, stride if first else 1, 1,
                      bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]  # fmt: skip
    return nn.Sequential(*parts)
