"""EfficientNet-Lite0 to Lite2 (Tan and Le 2019; the "lite" line has ReLU6, no squeeze-and-excite).

Parameter names follow the published checkpoints. Every operation is a plain module, so that a
tracer sees them and `fold_batchnorm` can fold all normalisations, 49 of Lite0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

_BN_EPS = 1e-3  # TensorFlow's, in which the net was trained


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class Scale(NamedTuple):
    """How a net differs from Lite0.

    Attributes:
        width: factor of the channels between stem and head.
        depth: factor of the blocks of a stage, but for the first and the last.
        side: of the input, in pixels.
    """

    width: float
    depth: float
    side: int


LITE0 = Scale(1.0, 1.0, 224)
LITE1 = Scale(1.0, 1.1, 240)
LITE2 = Scale(1.1, 1.2, 260)


class EfficientNetLite(nn.Module):
    """3 x side x side images, scaled as (255 x - 127) / 128, to logits.

    Lite0 works with any multiple of 32; other sides would need another padding at the strides.
    """

    def __init__(self, scale: Scale, n_classes: int = 1000) -> None:
        super().__init__()
        side = scale.side
        self._pad = _same(3, 2, side)
        self._conv_stem = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=_BN_EPS)
        self._act = nn.ReLU6()
        blocks: list[nn.Module] = []
        inputs, side = 32, math.ceil(side / 2)
        for stage in _STAGES:
            channels = _in_eights(scale.width * stage.channels)
            for repeat in range(_repeats(stage, scale.depth)):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(_Block(inputs, channels, stage.expand, stage.kernel, stride, side))
                inputs, side = channels, math.ceil(side / stride)
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(inputs, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=_BN_EPS)
        self._pool = nn.AdaptiveAvgPool2d(1)
        self._fc = nn.Linear(1280, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x 3 x H x W, already normalised, to logits N x classes."""
        hidden = self._act(self._bn0(self._conv_stem(self._pad(images))))
        hidden = self._blocks(hidden)
        hidden = self._act(self._bn1(self._conv_head(hidden)))
        logits: torch.Tensor = self._fc(self._pool(hidden).flatten(1))
        return logits


class _Block(nn.Module):
    """Inverted residual: expand 1 x 1, depthwise k x k, project 1 x 1 without activation."""

    def __init__(
        self, inputs: int, outputs: int, expand: int, kernel: int, stride: int, side: int
    ) -> None:
        super().__init__()
        inner = inputs * expand
        self._expands = expand != 1
        if self._expands:
            self._expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=_BN_EPS)
        self._pad = _same(kernel, stride, side)
        self._depthwise_conv = nn.Conv2d(
            inner,
            inner,
            kernel,
            stride=stride,
            padding=kernel // 2 if stride == 1 else 0,
            groups=inner,
            bias=False,
        )
        self._bn1 = nn.BatchNorm2d(inner, eps=_BN_EPS)
        self._project_conv = nn.Conv2d(inner, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=_BN_EPS)
        self._act = nn.ReLU6()
        self._residual = stride == 1 and inputs == outputs

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = inputs
        if self._expands:
            hidden = self._act(self._bn0(self._expand_conv(hidden)))
        hidden = self._act(self._bn1(self._depthwise_conv(self._pad(hidden))))
        projected: torch.Tensor = self._bn2(self._project_conv(hidden))
        return projected + inputs if self._residual else projected


class EfficientNetLite0(EfficientNetLite):
    """3 x 224 x 224 images, or of another multiple of 32, to logits."""

    def __init__(self, n_classes: int = 1000) -> None:
        super().__init__(LITE0, n_classes)


def _repeats(stage: _Stage, depth: float) -> int:
    """Blocks of a stage. The first and the last, of one block, are not deepened."""
    return stage.repeats if stage.repeats == 1 else math.ceil(depth * stage.repeats)


def _in_eights(channels: float) -> int:
    """The nearest multiple of 8, but never less than nine tenths."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def _same(kernel: int, stride: int, side: int) -> nn.Module:
    """TensorFlow's SAME padding at stride 2: of an even side, one less before than after."""
    if stride == 1:
        return nn.Identity()
    total = kernel - (stride if side % stride == 0 else side % stride)
    before = total // 2
    after = total - before
    return nn.ZeroPad2d((before, after, before, after))
