"""Tapes to pixels: coordinate planes, the interpreter, colour."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.images import FloatImages, Size, UInt8Images
from evofool.render.colour import natural_parts
from evofool.render.tape import Tapes

Coords: TypeAlias = Literal["raw", "normalised"]
Colour: TypeAlias = Literal["hls", "hsv", "rgb", "natural"]

Bias: TypeAlias = NDArray[np.float32]
"""What the bias input of each of N tapes is at each pixel, N x height x width float32."""

_NO_PIXELS: UInt8Images = np.empty(0, dtype=np.uint8)
_NO_FLOATS: FloatImages = np.empty(0, dtype=np.float32)


@lru_cache(maxsize=16)
def coordinate_planes(size: Size, coords: Coords, native: Size) -> NDArray[np.float32]:
    """The inputs x, y and radius of every pixel, 3 x (height * width); cached, do not write to it.

    Normalised, x and y run over [-1, 1] from the centre of the first pixel to that of the last.
    Raw, they are pixel indices (the released code of Nguyen et al. 2015). A genome has no size of
    its own, so raw indices are those of `native`: at another size the same range, 0 to native - 1,
    is sampled more finely or coarsely, and the picture keeps its content. The radius is the
    distance from the centre on [-1, 1] coordinates either way, so at most sqrt(2).
    """
    across, down = _axis(size[1]), _axis(size[0])
    radius = np.sqrt(across[None, :] ** 2 + down[:, None] ** 2)
    if coords == "raw":
        across = (across + 1.0) * 0.5 * (native[1] - 1)
        down = (down + 1.0) * 0.5 * (native[0] - 1)
    planes = np.empty((3, *size), dtype=np.float32)
    planes[0], planes[1], planes[2] = across[None, :], down[:, None], radius
    return planes.reshape(3, -1)


def _axis(length: int) -> NDArray[np.float64]:
    # A single pixel stands in the middle.
    return np.linspace(-1.0, 1.0, length) if length > 1 else np.zeros(1)


def render_cppn(
    tapes: Tapes,
    size: Size,
    *,
    coords: Coords,
    colour: Colour,
    native: Size,
    bias: Bias | None = None,
) -> UInt8Images:
    """The pictures of a batch of tapes, N x outputs x height x width uint8; releases the GIL.

    An output v becomes the level int(255 |v|) (Nguyen et al. 2015). Three outputs are then read as
    `colour`: 8-bit hue, lightness, saturation ("hls") or hue, saturation, value ("hsv"), with the
    meaning OpenCV gives them (the hue is in steps of 2 degrees, so 0..255 goes round 1.4 times),
    as red, green, blue, or as the colours of photographs ("natural": lightness and two opponent
    colours, see `evofool.render.layers`). One output is grey, whatever `colour` is.

    Where `bias` is given, the bias input is that and not 1.
    """
    from evofool.render import kernel

    modes = {
        "rgb": kernel.PLAIN,
        "hls": kernel.HLS,
        "hsv": kernel.HSV,
        "natural": kernel.NATURAL,
    }
    images = np.empty((len(tapes), tapes.outputs, *size), dtype=np.uint8)
    mode = modes[colour] if tapes.outputs == 3 else kernel.PLAIN
    _interpret(tapes, coordinate_planes(size, coords, native), bias, mode, images, _NO_FLOATS)
    return images


def output_values(
    tapes: Tapes, size: Size, *, coords: Coords, native: Size, bias: Bias | None = None
) -> FloatImages:
    """The output nodes before |v|, quantisation and colour, N x outputs x height x width float32.

    Values lie on [-1, 1]. For judging precision, and for renderers to be held against each other.
    """
    from evofool.render import kernel

    values = np.empty((len(tapes), tapes.outputs, *size), dtype=np.float32)
    planes = coordinate_planes(size, coords, native)
    _interpret(tapes, planes, bias, kernel.VALUES, _NO_PIXELS, values)
    return values


def _interpret(
    tapes: Tapes,
    planes: NDArray[np.float32],
    bias: Bias | None,
    mode: int,
    images: UInt8Images,
    floats: FloatImages,
) -> None:
    from evofool.render import kernel

    kernel.render(
        tapes.outputs,
        tapes.nodes,
        tapes.codes,
        tapes.constants,
        tapes.edges,
        tapes.slots,
        tapes.weights,
        planes.reshape(-1),
        _NO_FLOATS if bias is None else bias.reshape(-1),
        natural_parts().reshape(-1),
        np.zeros((tapes.rows + 1) * kernel.TILE, dtype=np.float32),
        mode,
        images.reshape(-1),
        floats.reshape(-1),
    )
