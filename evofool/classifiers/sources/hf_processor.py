"""What an image processor of Hugging Face does to a picture, as evofool does it.

A processor resizes, crops, rescales and normalises. The first two are a `Resize`; the others are
measured, as one factor and one summand a channel, since some processors divide twice or subtract 1
on the way. `evofool.classifiers.sources.library_pixels` then compares the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from evofool.classifiers.base import Interpolation, Resize
from evofool.classifiers.build import MAX_SIDE
from evofool.classifiers.sources.library_pixels import LEVELS, furthest
from evofool.errors import ClassifierError
from evofool.files import reason
from evofool.images import Shape

FILE = "preprocessor_config.json"
_FILTERS: dict[int, Interpolation] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}
"""Pillow's numbers, which ``resample`` has."""
_WHOLE = 384
"""From this side on ConvNeXt's processor crops nothing."""
_CLOSE = 1e-5
_MEND = "load the net in a file of your own (path/to/file.py:function)"


@dataclass(frozen=True)
class Preparation:
    """What happens to a picture before the net.

    Attributes:
        input_shape: channels, height and width that reach the net.
        resize: how a picture of another size becomes one of this.
        mean: of each channel, subtracted from levels on [0, 1].
        std: of each channel, divided by afterwards.
        blue_first: whether the net wants the channels in the order blue, green, red.
    """

    input_shape: Shape
    resize: Resize
    mean: tuple[float, ...]
    std: tuple[float, ...]
    blue_first: bool


def read_processor(processor: Any, channels: int, name: str) -> Preparation:
    """The `Preparation` that `processor` stands for.

    Args:
        processor: an image processor of transformers.
        channels: that the net takes, 1 or 3.
        name: of the classifier, for messages.

    Raises:
        ClassifierError: it does something else, or crops more than it resized to, or keeps the
            shape of the picture, so that no size of input can be told.
    """
    said: dict[str, Any] = processor.to_dict()
    _check_sides(said, name)
    try:
        shape = _shape(processor, channels, name)
        mean, std = _normalisation(processor, said, channels, name)
        blue_first = channels == 3 and _blue_first(processor)
    except ClassifierError:
        raise
    except Exception as error:  # a processor is code of any kind
        raise ClassifierError(
            f"classifier {name}: its image processor fails on a picture ({reason(error)});"
            f" correct {FILE}, or {_MEND}"
        ) from error
    order = -1 if blue_first else 1
    mean, std = mean[::order], std[::order]

    def own(picture: PIL.Image.Image) -> NDArray[np.floating[Any]]:
        return _run(processor, picture)[::order]

    for resize in _candidates(said, shape):
        if furthest(own, shape, resize, mean, std) <= LEVELS:
            return Preparation(shape, resize, mean, std, blue_first)
    if _has_border(said, shape):
        raise ClassifierError(
            f"classifier {name}: {FILE}: crops {shape[1]} x {shape[2]} pixels out of pictures that"
            f" are resized to less ({said['size']}), which leaves a black border; make"
            " crop_size smaller or size larger"
        )
    raise ClassifierError(
        f"classifier {name}: {type(processor).__name__} does more to a picture than to resize,"
        f" crop, rescale and normalise it; {_MEND}"
    )


def _check_sides(said: Mapping[str, Any], name: str) -> None:
    """Refuse what would fill the memory."""
    for key in ("size", "crop_size"):
        size = said.get(key)
        sides = size.values() if isinstance(size, Mapping) else ()
        if not all(side is None or 1 <= side <= MAX_SIDE for side in sides):
            raise ClassifierError(
                f"classifier {name}: {FILE}: {key} {size} has a side that is not 1 to {MAX_SIDE}"
                " pixels; correct it"
            )


def _has_border(said: Mapping[str, Any], shape: Shape) -> bool:
    """Whether more is cropped than was resized to, which leaves a black border."""
    size = said.get("size") or {}
    shortest = size.get("shortest_edge")
    resized = (shortest or size.get("height") or 0, shortest or size.get("width") or 0)
    return bool(said.get("do_center_crop")) and (shape[1] > resized[0] or shape[2] > resized[1])


def _shape(processor: Any, channels: int, name: str) -> Shape:
    """Of what comes out of two pictures of different shapes."""
    mode = "L" if channels == 1 else "RGB"
    wide, high = (_run(processor, PIL.Image.new(mode, size)) for size in ((96, 64), (64, 80)))
    if wide.shape != high.shape or wide.ndim != 3:
        raise ClassifierError(
            f"classifier {name}: {FILE}: keeps the shape of a picture, so the net has no fixed size"
            " of input; set do_center_crop with a crop_size, or a size with height and width"
        )
    if wide.shape[0] != channels:
        raise ClassifierError(
            f"classifier {name}: {FILE}: gives {wide.shape[0]} channels to a net of {channels}"
        )
    return (channels, wide.shape[1], wide.shape[2])


def _normalisation(
    processor: Any, said: Mapping[str, Any], channels: int, name: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of levels on [0, 1]: as the file has them, if that is all that is done."""
    mode, many = ("L", None) if channels == 1 else ("RGB", 3)
    ends = []
    for level in (0, 255):
        colour = level if many is None else (level,) * many
        pixels = _run(processor, PIL.Image.new(mode, (64, 64), colour))
        ends.append(pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2].astype(np.float64))
    black, white = ends
    if not np.isfinite(ends).all() or (white <= black).any():
        raise ClassifierError(
            f"classifier {name}: {FILE}: white is not brighter than black after its normalisation;"
            " correct image_std and rescale_factor"
        )
    measured = -black / (white - black), 1 / (white - black)
    scale = 255 * (said.get("rescale_factor") or 1 / 255) if said.get("do_rescale") else 255.0
    means, stds = 0.0, 1.0
    if said.get("do_normalize"):
        means, stds = said.get("image_mean", 0.0), said.get("image_std", 1.0)
    written = [np.broadcast_to(np.asarray(x, np.float64) / scale, channels) for x in (means, stds)]
    if np.allclose(written, measured, rtol=_CLOSE, atol=_CLOSE):
        mean, std = ([float(x) for x in part] for part in written)
    else:  # no more digits than single precision has: they are part of the digest
        mean, std = ([float(f"{x:.6g}") for x in part] for part in measured)
    return tuple(mean), tuple(std)


def _blue_first(processor: Any) -> bool:
    pixels = _run(processor, PIL.Image.new("RGB", (64, 64), (255, 0, 0)))
    middle = pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2]
    black = _run(processor, PIL.Image.new("RGB", (64, 64)))
    return bool(np.argmax(middle - black[:, black.shape[1] // 2, black.shape[2] // 2]) == 2)


def _candidates(said: Mapping[str, Any], shape: Shape) -> Iterator[Resize]:
    """What the numbers of the file may mean: it depends on the class of the processor."""
    height, width = shape[1:]
    filter_ = _FILTERS.get(int(said.get("resample") or 0), "bilinear")
    size = said.get("size") or {}
    shortest = size.get("shortest_edge")
    if not said.get("do_resize"):
        return
    if size.get("height") and size.get("width"):
        frame = (int(size["height"]), int(size["width"]))
        yield Resize(min(frame), filter_, "squash", frame, cut="lower")
    if shortest:
        yield Resize(int(shortest), filter_, cut="lower")
        crop_pct = said.get("crop_pct")
        if crop_pct and shortest < _WHOLE:
            yield Resize(int(shortest / crop_pct), filter_, cut="lower")
        yield Resize(int(shortest * 256 / 224), filter_, cut="lower")  # LeViT's
        yield Resize(min(height, width), filter_, "squash", (height, width), cut="lower")


def _run(processor: Any, picture: PIL.Image.Image) -> NDArray[np.floating[Any]]:
    """The pixels that the processor hands to the net, C x H x W."""
    pixels: NDArray[np.floating[Any]] = processor(picture, return_tensors="pt")[
        "pixel_values"
    ].numpy()[0]
    return pixels
