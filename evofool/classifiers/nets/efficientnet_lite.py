"""EfficientNet-Lite0 (Tan and Le 2019; the "lite" line has ReLU6 and no squeeze-and-excite).

Parameter names follow the published checkpoint. Every operation is a plain module, so that a
tracer sees them and `fold_batchnorm` can fold all 49 normalisations.
"""

from __future__ import annotations

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


class EfficientNetLite0(nn.Module):
    """3 x 224 x 224 images, scaled as (255 x - 127) / 128, to 1000 logits.

    Any multiple of 32 works; other sides would need another padding at the strides.
    """

    def __init__(self, n_classes: int = 1000) -> None:
        super().__init__()
        self._pad = _same(3, 2)
        self._conv_stem = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=_BN_EPS)
        self._act = nn.ReLU6()
        blocks: list[nn.Module] = []
        channels = 32
        for stage in _STAGES:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(_Block(channels, stage.channels, stage.expand, stage.kernel, stride))
                channels = stage.channels
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = nn.Conv2d(channels, 1280, 1, bias=False)
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

    def __init__(self, inputs: int, outputs: int, expand: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expand
        self._expands = expand != 1
        if self._expands:
            self._expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=_BN_EPS)
        self._pad = _same(kernel, stride)
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


def _same(kernel: int, stride: int) -> nn.Module:
    """TensorFlow's SAME padding of an even side at stride 2: one less before than after."""
    if stride == 1:
        return nn.Identity()
    before = (kernel - stride) // 2
    after = kernel - stride - before
    return nn.ZeroPad2d((before, after, before, after))
