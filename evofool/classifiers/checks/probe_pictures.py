"""Pictures on which victims are tested, and on which two implementations of one are compared."""

from __future__ import annotations

import numpy as np

from evofool.images import Shape, UInt8Images

CHEAP = 3
"""How many of them are sent to a victim that may have to be paid by the picture."""


def probe_pictures(shape: Shape) -> UInt8Images:
    """Eight pictures unlike each other, the same at every call.

    Noise, black and mid-grey come first: constant pictures reveal a division by a deviation of
    zero. Then a picture with a spectrum and colours as nature's, white, saturated colours,
    stripes and a chequerboard: a branch of a net may be taken by bright pictures only.

    Args:
        shape: channels, height, width.

    Returns:
        uint8, 8 x C x H x W.
    """
    channels, height, width = shape
    rng = np.random.default_rng(20150608)
    noise = rng.integers(0, 256, size=shape, dtype=np.uint8)
    rows, columns = np.mgrid[:height, :width]
    stripes = np.broadcast_to((columns // 2 % 2 * 255).astype(np.uint8), shape)
    board = np.broadcast_to(((rows // 3 + columns // 3) % 2 * 255).astype(np.uint8), shape)
    saturated = np.broadcast_to(rng.choice([0, 255], size=(channels, 1, 1)), shape)
    halves = np.where(rows < height // 2, saturated, 255 - saturated).astype(np.uint8)
    return np.stack(
        [
            noise,
            np.zeros_like(noise),
            np.full_like(noise, 128),
            _natural(shape, rng),
            np.full_like(noise, 255),
            halves,
            stripes,
            board,
        ]
    )


def _natural(shape: Shape, rng: np.random.Generator) -> UInt8Images:
    """Noise with amplitudes that fall as 1 / frequency, brightness shared by the channels."""
    channels, height, width = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    grey, *colours = (
        np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / frequency, (height, width))
        for _ in range(channels + 1)
    )
    fields = grey + 0.3 * np.stack(colours)
    spread = max(float(fields.std()), 1e-9)
    levels = 128 + 60 * (fields - fields.mean()) / spread
    picture: UInt8Images = np.clip(levels, 0, 255).astype(np.uint8)
    return picture
