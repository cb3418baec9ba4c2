"""Input transforms: JPEG, bit depth, median blur, each with a stand-in that has gradients.

The pictures go through OpenCV as a deployed defense would send them. That has no gradient, so a
white-box attack that is not adapted to it sees zeros. An attack adapted to the transform (BPDA,
Athalye, Carlini, Wagner, ICML 2018) runs the real transform forward and differentiates a stand-in
backward.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from evofool.classifiers import Classifier
from evofool.defenses.base import Defense
from evofool.errors import UsageError
from evofool.images import UInt8Images, to_hwc


@dataclass(frozen=True)
class Transform(Defense):
    """A defense that changes pictures before the net is shown them."""

    @abstractmethod
    def apply(self, pictures: UInt8Images) -> UInt8Images:
        """The real transform of uint8 N x C x H x W, to the same shape."""

    def stand_in(self, x: torch.Tensor) -> torch.Tensor:
        """A differentiable relative of it, float N x C x H x W on [0, 1] to the same shape.

        BPDA takes its gradient; by default that of a transform that changes nothing.
        """
        return x

    def module(self, base: Classifier) -> nn.Module:
        assert base.module is not None
        return Transformed(base.module, self)


@dataclass(frozen=True)
class BitDepth(Transform):
    """Feature squeezing by fewer levels (Xu, Evans, Qi, NDSS 2018): round(x (2^b - 1)) / (2^b - 1).

    Attributes:
        bits: 1 to 7.
    """

    name: ClassVar[str] = "bit-depth"
    bits: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 7:
            raise UsageError(f"bit-depth: bits must be 1 to 7, not {self.bits}")

    def apply(self, pictures: UInt8Images) -> UInt8Images:
        """Every value rounded to one of 2^bits levels; the shape stays the same."""
        table = np.arange(256) / 255
        steps = 2**self.bits - 1
        levels: UInt8Images = np.rint(np.rint(table * steps) / steps * 255).astype(np.uint8)
        squeezed: UInt8Images = levels[pictures]
        return squeezed


@dataclass(frozen=True)
class MedianBlur(Transform):
    """Feature squeezing by a median over `size` x `size` pixels, a channel at a time.

    Attributes:
        size: 3 or 5.
    """

    name: ClassVar[str] = "median"
    size: int = 3

    def __post_init__(self) -> None:
        if self.size not in (3, 5):
            raise UsageError(f"median: size must be 3 or 5, not {self.size}")

    def apply(self, pictures: UInt8Images) -> UInt8Images:
        """The median of OpenCV, which repeats pixels at the edges; the shape stays the same."""
        import cv2

        def through(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return np.asarray(cv2.medianBlur(rows, self.size), dtype=np.uint8)

        return _each(pictures, through)

    def stand_in(self, x: torch.Tensor) -> torch.Tensor:
        """The same median in PyTorch: floating N x C x H x W on [0, 1] to the same shape."""
        n, c, h, w = x.shape
        half = self.size // 2
        padded = functional.pad(x, (half,) * 4, mode="replicate")
        windows = functional.unfold(padded.reshape(n * c, 1, h + 2 * half, w + 2 * half), self.size)
        return windows.median(dim=1).values.reshape(n, c, h, w)


@dataclass(frozen=True)
class Jpeg(Transform):
    """Compression as JPEG of a quality, and back.

    Attributes:
        quality: 1 to 100.
    """

    name: ClassVar[str] = "jpeg"
    quality: int = 75

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise UsageError(f"jpeg: quality must be 1 to 100, not {self.quality}")

    def apply(self, pictures: UInt8Images) -> UInt8Images:
        """The pictures as JPEG files of OpenCV hold them; the shape stays the same."""
        import cv2

        def through(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
            _, data = cv2.imencode(".jpg", rows, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            mode = cv2.IMREAD_GRAYSCALE if rows.ndim == 2 else cv2.IMREAD_COLOR
            decoded: NDArray[np.uint8] = np.asarray(cv2.imdecode(data, mode), dtype=np.uint8)
            return decoded

        # OpenCV keeps blue first; the order of channels decides what is luminance
        flip = pictures[:, ::-1] if pictures.shape[1] == 3 else pictures
        compressed = _each(flip, through)
        return np.ascontiguousarray(compressed[:, ::-1]) if pictures.shape[1] == 3 else compressed

    def stand_in(self, x: torch.Tensor) -> torch.Tensor:
        """See `jpeg_stand_in`: floating N x C x H x W on [0, 1] to the same shape."""
        return jpeg_stand_in(x, self.quality)


class Transformed(nn.Module):
    """A net behind a transform.

    Args:
        net: float32 N x C x H x W on [0, 1] to N x classes.
        transform: what pictures go through first.
        adaptive: whether gradients pass through the stand-in (BPDA), or are zero as the real
            transform's are.
    """

    def __init__(self, net: nn.Module, transform: Transform, adaptive: bool = False) -> None:
        super().__init__()
        self.net = net
        self.transform = transform
        self.adaptive = adaptive

    def adapted(self) -> Transformed | None:
        """The same with the gradients of the stand-in; None if it has them already."""
        return None if self.adaptive else Transformed(self.net, self.transform, adaptive=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to the net's outputs for the transformed pictures, N x
        classes."""
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            # a graph would hold the pictures it was traced with
            raise RuntimeError(f"{self.transform.name} runs outside torch")
        pictures = (images.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        real = torch.from_numpy(self.transform.apply(pictures)).to(images.device)
        real = real.to(images.dtype) / 255
        if self.adaptive:
            soft = self.transform.stand_in(images)
            real = soft + (real - soft).detach()
        else:
            real = real + 0 * images  # the true gradient of a step function
        outputs: torch.Tensor = self.net(real)
        return outputs


def _each(
    pictures: UInt8Images, function: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> UInt8Images:
    """`function` of each picture as rows H x W (grey) or H x W x 3."""
    transformed = np.empty_like(pictures)
    for i, picture in enumerate(pictures):
        if len(picture) == 1:
            transformed[i, 0] = function(np.ascontiguousarray(picture[0]))
        else:
            transformed[i] = np.moveaxis(function(to_hwc(picture)), -1, 0)
    return transformed


_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8,) * 4),
)
"""The example tables of the JPEG standard (ITU T.81, annex K), which encoders scale by quality."""


def quantisation(table: tuple[tuple[int, ...], ...], quality: int) -> torch.Tensor:
    """An 8 x 8 table scaled by quality as the Independent JPEG Group's encoder does it, float32."""
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    scaled = (torch.tensor(table, dtype=torch.float32) * scale + 50).div(100).floor()
    return scaled.clamp(1, 255)


def jpeg_stand_in(x: torch.Tensor, quality: int) -> torch.Tensor:
    """JPEG with gradients: where coefficients are rounded, the gradient passes straight through.

    Chroma is halved in size and enlarged again as usual encoders do.

    Args:
        x: floating N x C x H x W on [0, 1], 1 or 3 channels.
        quality: 1 to 100.

    Returns:
        The same shape and data type, on [0, 1].
    """
    levels = x * 255
    if x.shape[1] == 1:
        return (_blocks(levels, quantisation(_LUMINANCE, quality).to(x)) / 255).clamp(0, 1)
    r, g, b = levels.unbind(1)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    blue = 0.564 * (b - luma) + 128
    red = 0.713 * (r - luma) + 128
    luma = _blocks(luma[:, None], quantisation(_LUMINANCE, quality).to(x))[:, 0]
    table = quantisation(_CHROMA, quality).to(x)
    size = luma.shape[-2:]
    chroma = torch.stack([blue, red], 1)
    small = functional.avg_pool2d(chroma, 2, ceil_mode=True)
    small = torch.cat([_blocks(small[:, i : i + 1], table) for i in (0, 1)], 1)
    spread = functional.interpolate(small, scale_factor=2.0, mode="bilinear")
    blue, red = spread[..., : size[0], : size[1]].unbind(1)
    blue, red = blue - 128, red - 128
    green = luma - 0.714 * red - 0.344 * blue
    return (torch.stack([luma + 1.403 * red, green, luma + 1.773 * blue], 1) / 255).clamp(0, 1)


def _blocks(plane: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """N x 1 x H x W levels through the cosine transform of 8 x 8 blocks, quantised, and back."""
    n, _, h, w = plane.shape
    padded = functional.pad(plane, (0, -w % 8, 0, -h % 8), mode="replicate") - 128
    rows, columns = padded.shape[-2] // 8, padded.shape[-1] // 8
    blocks = padded.reshape(n, rows, 8, columns, 8).transpose(2, 3)
    basis = _cosines().to(plane)
    coefficients = basis @ blocks @ basis.T / table
    rounded = coefficients + (coefficients.round() - coefficients).detach()
    back = basis.T @ (rounded * table) @ basis + 128
    return back.transpose(2, 3).reshape(n, 1, rows * 8, columns * 8)[..., :h, :w]


def _cosines() -> torch.Tensor:
    """The orthonormal 8-point DCT-II as a matrix."""
    k, i = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    basis = torch.cos((2 * i + 1) * k * torch.pi / 16) / 2
    basis[0] /= 2**0.5
    return basis
