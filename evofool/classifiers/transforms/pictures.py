"""Pictures through k transforms, in PyTorch: on a device, and with gradients where asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evofool.classifiers.transforms.drawing import Drawn, draw, resampling
from evofool.config.transforms import TransformsConfig
from evofool.images import Shape, UInt8Images
from evofool.randomness import Stream

_FAR = 1e4
"""Normalised coordinate of what lies behind the camera: beyond every picture."""


class Transformation:
    """k transforms of pictures of one shape.

    The order is that of the world: the picture is moved, turned and stuck onto another, lit,
    blurred by movement and by the lens, taken by the camera's pixels, which add noise, given 8 bits
    and packed as JPEG.
    Gradients pass through all of it; 8 bits and JPEG are left out of them (straight-through).

    Args:
        config: what they are drawn from.
        shape: channels, height, width.
        transforms: which; by default the first `config.k`.
        stream: see `draw`.
        onto: uint8 k x C x H x W that pictures are stuck onto, one under each transform, or None.

    Attributes:
        drawn: their parameters.
        k: how many.
    """

    def __init__(
        self,
        config: TransformsConfig,
        shape: Shape,
        transforms: range | None = None,
        stream: Stream = Stream.TRANSFORM,
        onto: UInt8Images | None = None,
    ) -> None:
        self.drawn: Drawn = draw(config, shape, transforms, stream)
        self.k = config.k if transforms is None else len(transforms)
        self.shape = shape
        self.fill = config.fill
        self._onto = onto
        self.quantise = config.quantise and not self.drawn.identity
        self._constants: dict[tuple[torch.device, torch.dtype], dict[str, Tensor]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """`images` through all transforms; those of one image are neighbours.

        Args:
            images: floating N x C x H x W on [0, 1].

        Returns:
            (N k) x C x H x W of the same data type, on [0, 1].
        """
        n = len(images)
        if self.drawn.identity:
            return images.repeat_interleave(self.k, 0) if self.k > 1 else images
        seen = self._seen(images)
        if self.drawn.jpeg is not None:
            packed = self._packed(levels_of(seen)).to(seen.dtype) / 255
            seen = _StraightThrough.apply(seen, packed)
        elif self.quantise:
            rounded = levels_of(seen).to(seen.dtype) / 255
            seen = _StraightThrough.apply(seen, rounded)
        return seen.reshape(n * self.k, *self.shape)

    def to_score(self, images: Tensor) -> Tensor:
        """As calling it, without gradients; uint8 where transformed pictures have 8 bits.

        Args:
            images: floating N x C x H x W on [0, 1].

        Returns:
            (N k) x C x H x W, uint8, or floating on [0, 1].
        """
        with torch.no_grad():
            if not self.quantise and self.drawn.jpeg is None:
                return self(images)
            levels = levels_of(self._seen(images))
            if self.drawn.jpeg is not None:
                levels = self._packed(levels)
            return levels.reshape(len(images) * self.k, *self.shape)

    def _seen(self, images: Tensor) -> Tensor:
        """N x k x C x H x W on [0, 1], before it is given 8 bits."""
        n, (c, h, w), k, drawn = len(images), self.shape, self.k, self.drawn
        own = self._on(images.device, images.dtype)
        # the pictures are channels of one picture a transform, so that each grid is made once
        x = images.reshape(1, n * c, h, w).expand(k, -1, -1, -1)
        if drawn.matrices is not None:
            x = self._warped(x, own["grid"])
        if "onto" in own:
            cover = own["cover"]
            x = x * cover + (own["onto"] * (1 - cover)).repeat(1, n, 1, 1)
        if drawn.contrast is not None:
            x = (x - 0.5) * own["contrast"] + 0.5
        if drawn.brightness is not None:
            x = x + own["brightness"]
        for name in ("motion", "defocus"):
            if name in own:
                x = _blurred(x, own[name])
        if drawn.sides is not None:
            x = own["down"] @ x @ own["across"]
        x = x.reshape(k, n, c, h, w)
        if drawn.noise is not None:
            x = x + own["noise"]
        return x.transpose(0, 1).clamp(0, 1)

    def _warped(self, x: Tensor, grid: Tensor) -> Tensor:
        if self.fill == "edge":
            return _sampled(x, grid, "border")
        return _sampled(x - self.fill, grid, "zeros") + self.fill

    def _packed(self, levels: Tensor) -> Tensor:
        """Through JPEG: uint8 N x k x C x H x W to the same; OpenCV's encoder, one at a time."""
        import cv2

        assert self.drawn.jpeg is not None
        pictures = levels.permute(0, 1, 3, 4, 2).cpu().numpy()
        made = np.empty_like(pictures)
        colour = pictures.shape[-1] == 3
        for j, quality in enumerate(self.drawn.jpeg.tolist()):
            flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
            for picture, out in zip(pictures[:, j], made[:, j], strict=True):
                _, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), flags)
                unpacked = cv2.imdecode(data, cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE)
                assert unpacked is not None  # it has just been packed
                out[:] = unpacked[..., ::-1] if colour else unpacked[..., None]
        return torch.from_numpy(made).permute(0, 1, 4, 2, 3).to(levels.device)

    def _on(self, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
        """The constants of the transforms on a device, made in float64 there."""
        key = (device, dtype)
        if key not in self._constants:
            arrays = self._arrays()
            self._constants[key] = {
                name: torch.from_numpy(array).to(device=device, dtype=dtype)
                for name, array in arrays.items()
            }
        return self._constants[key]

    def _arrays(self) -> dict[str, NDArray[np.float64]]:
        drawn, (_, h, w) = self.drawn, self.shape
        arrays: dict[str, NDArray[np.float64]] = {}
        if drawn.matrices is not None:
            arrays["grid"] = sampling_grid(drawn.matrices, h, w)
            if self._onto is not None:
                whole, grid = torch.ones(self.k, 1, h, w).double(), torch.from_numpy(arrays["grid"])
                arrays["cover"] = _sampled(whole, grid, "zeros").numpy()
                arrays["onto"] = self._onto / 255.0
        for name in ("contrast", "brightness"):
            value = getattr(drawn, name)
            if value is not None:
                arrays[name] = value[:, None, None, None]
        for name in ("motion", "defocus"):
            kernels = getattr(drawn, name)
            if kernels is not None:
                arrays[name] = kernels[:, None]
        if drawn.sides is not None:
            arrays["down"] = np.stack([resampling(h, s) for s in drawn.sides[:, 0].tolist()])
            across = np.stack([resampling(w, s) for s in drawn.sides[:, 1].tolist()])
            arrays["across"] = np.ascontiguousarray(across.transpose(0, 2, 1))
            arrays = arrays | {name: arrays[name][:, None] for name in ("down", "across")}
        if drawn.noise is not None:
            arrays["noise"] = drawn.noise[:, None]
        return arrays


def sampling_grid(matrices: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Where each pixel that is seen comes from, as `torch.nn.functional.grid_sample` has it.

    In its coordinates -1 and 1 are the outer edges of the border pixels (``align_corners=False``).

    Args:
        matrices: float64 k x 3 x 3, from pixels of a picture to pixels of what is seen.
        height: of both, in pixels.
        width: of both, in pixels.

    Returns:
        float64 k x height x width x 2: across, down.
    """
    y, x = np.mgrid[:height, :width].astype(np.float64)
    seen = np.stack([x, y, np.ones_like(x)], -1)
    at = np.einsum("kij,hwj->khwi", np.linalg.inv(matrices), seen)
    # the centre of the frame is before the camera, whatever the sign of a matrix is
    depth = at[..., 2:]
    before = depth * np.sign(depth[:, height // 2, width // 2])[:, None, None] > 1e-9
    pixels = at[..., :2] / np.where(before, depth, 1.0)
    grid = (2 * pixels + 1) / np.array([width, height]) - 1
    return np.clip(np.where(before, grid, _FAR), -_FAR, _FAR)


def levels_of(images: Tensor) -> Tensor:
    """The nearest 8-bit levels of `images`, floating of any shape on [0, 1]: uint8 of it."""
    return (images.detach() * 255).round().to(torch.uint8)


def _sampled(x: Tensor, grid: Tensor, beyond: str) -> Tensor:
    return nn.functional.grid_sample(
        x, grid, mode="bilinear", padding_mode=beyond, align_corners=False
    )


def _blurred(x: Tensor, kernels: Tensor) -> Tensor:
    """k x M x H x W, each of k blurred by its own kernel (k x 1 x s x s), borders repeated."""
    half = kernels.shape[-1] // 2
    x = nn.functional.pad(x, (half, half, half, half), mode="replicate")
    return nn.functional.conv2d(x.transpose(0, 1), kernels, groups=len(kernels)).transpose(0, 1)


class _StraightThrough(torch.autograd.Function):
    """A value that stands for another, whose gradient it passes on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor) -> Tensor:
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0], None
