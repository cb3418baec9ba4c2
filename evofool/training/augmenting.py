"""Random views of training images: turned, scaled, sheared and moved, in another light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from evofool.images import FloatImages


class AugmentConfig(BaseModel):
    """How far each image is changed at random; every draw is uniform.

    Attributes:
        rotation: degrees, to either side.
        scale: the size is between 1 - scale and 1 + scale times what it was.
        shear: degrees by which a vertical edge leans, to either side.
        move: share of the side, in each direction.
        brightness: all pixels are multiplied by (1 + brightness)^u, with u on [-1, 1]: a dark
            picture stays readable.
        contrast: distances to the image's mean are 1 - contrast to 1 + contrast times what they
            were.
        blur: at most so much of each pixel comes from the mean of the 5 x 5 around it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rotation: float = Field(default=0, ge=0, le=180, allow_inf_nan=False)
    scale: float = Field(default=0, ge=0, le=0.9, allow_inf_nan=False)
    shear: float = Field(default=0, ge=0, le=60, allow_inf_nan=False)
    move: float = Field(default=0, ge=0, le=0.5, allow_inf_nan=False)
    brightness: float = Field(default=0, ge=0, le=1, allow_inf_nan=False)
    contrast: float = Field(default=0, ge=0, le=1, allow_inf_nan=False)
    blur: float = Field(default=0, ge=0, le=1, allow_inf_nan=False)


_DRAWS = 8
"""Numbers drawn for each image: rotation, scale, shear, two of the move, brightness, contrast,
blur."""


def draw_views(count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """What `viewed` needs for `count` images: count x 8 numbers on [-1, 1)."""
    return generator.uniform(-1, 1, (count, _DRAWS))


def viewed(images: FloatImages, config: AugmentConfig, draws: NDArray[np.float64]) -> FloatImages:
    """`images` as drawn: bilinear between pixels, the border's pixels repeated outside.

    Args:
        images: float32 N x C x H x W on [0, 1].
        config: how far.
        draws: N x 8 numbers on [-1, 1), of `draw_views`.

    Returns:
        float32 N x C x H x W on [0, 1].
    """
    import torch
    from torch.nn import functional

    with torch.no_grad():
        pixels = torch.from_numpy(images)
        if config.rotation or config.scale or config.shear or config.move:
            maps = torch.from_numpy(_maps(config, draws).astype(np.float32))
            grid = functional.affine_grid(maps, list(pixels.shape), align_corners=False)
            pixels = functional.grid_sample(
                pixels, grid, mode="bilinear", padding_mode="border", align_corners=False
            )
        if config.blur:
            around = functional.pad(pixels, (2, 2, 2, 2), mode="replicate")
            share = torch.from_numpy(config.blur * np.abs(draws[:, 7])).to(pixels.dtype)
            pixels = pixels.lerp(functional.avg_pool2d(around, 5, 1), share[:, None, None, None])
        result: FloatImages = pixels.numpy()
    if config.brightness or config.contrast:
        light = draws.astype(np.float32)[:, 5:7, None, None]
        mean = result.mean(axis=(1, 2, 3), keepdims=True)
        factor = 1 + np.float32(config.contrast) * light[:, 1:2]
        bright = np.float32(1 + config.brightness) ** light[:, 0:1]
        result = np.clip(bright * (mean + factor * (result - mean)), 0, 1)
    return result


def _maps(config: AugmentConfig, draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """N x 2 x 3: where in the old image, on [-1, 1], each place of the new one comes from."""
    turn = np.deg2rad(config.rotation) * draws[:, 0]
    size = 1 + config.scale * draws[:, 1]
    lean = np.tan(np.deg2rad(config.shear) * draws[:, 2])
    cos, sin = np.cos(turn) / size, np.sin(turn) / size
    maps = np.empty((len(draws), 2, 3))
    maps[:, 0, 0], maps[:, 0, 1] = cos, cos * lean - sin
    maps[:, 1, 0], maps[:, 1, 1] = sin, sin * lean + cos
    maps[:, :, 2] = 2 * config.move * draws[:, 3:5]  # [-1, 1] is two long
    return maps
