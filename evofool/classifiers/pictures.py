"""From natural pictures to inputs, and the ten crops of the ImageNet papers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import PIL.Image

from evofool.classifiers.base import Classifier, Interpolation, Resize
from evofool.errors import ClassifierError, ImageError
from evofool.images import MAX_PIXELS, Shape, UInt8Images, picture_to_array, to_hwc

CROP_FRACTION = 0.875
"""Side of a crop over the side of the image it is cut from: 224 of 256."""

_FILTERS: dict[Interpolation, PIL.Image.Resampling] = {
    "bicubic": PIL.Image.Resampling.BICUBIC,
    "bilinear": PIL.Image.Resampling.BILINEAR,
    "nearest": PIL.Image.Resampling.NEAREST,
    "lanczos": PIL.Image.Resampling.LANCZOS,
    "hamming": PIL.Image.Resampling.HAMMING,
    "box": PIL.Image.Resampling.BOX,
}


def prepare(picture: PIL.Image.Image, classifier: Classifier) -> UInt8Images:
    """A picture of any size as one input of `classifier`: uint8 C x H x W.

    A picture of exactly the input size is taken as it is. Any other is resized as
    `classifier.resize` says (by default until it just covers the input) and cropped at the centre,
    with the rounding that torchvision's transforms have, and timm's for frames that are not square.

    Raises:
        ImageError: a sliver that would be enlarged beyond `MAX_PIXELS` before it is cropped.
    """
    channels, height, width = classifier.input_shape
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size == (width, height):
        return picture_to_array(picture, channels)
    resize = classifier.resize
    size = _size(picture.size, resize, (width, height))
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError(
            f"a picture of {picture.width} x {picture.height} is too narrow: it would grow to"
            f" {size[0]} x {size[1]} before it is cropped; crop it first"
        )
    picture = picture.resize(size, _FILTERS["bicubic" if resize is None else resize.interpolation])
    if resize is not None and resize.fit == "pad":
        picture = _padded(picture, (width, height), resize.fill)
    whole = math.floor if resize is not None and resize.cut == "lower" else round
    left, top = whole((picture.width - width) / 2), whole((picture.height - height) / 2)
    return picture_to_array(picture.crop((left, top, left + width, top + height)), channels)


def in_words(resize: Resize, shape: Shape, mean: Sequence[float], std: Sequence[float]) -> str:
    """One line that tells people what happens to a picture before a net of input `shape` sees it.

    Args:
        resize: of `prepare`.
        shape: channels, height and width.
        mean: of each channel, subtracted from levels on [0, 1].
        std: of each channel, divided by afterwards.
    """
    height, width = shape[1:]
    high, wide = resize.frame or (resize.shorter_side,) * 2
    frame = f"{wide}" if high == wide else f"{high} x {wide}"
    how = {
        "crop": f"shorter side {frame}" if high == wide else f"until {frame} is covered",
        "squash": f"to {frame}",
        "pad": f"into {frame}, with a border",
    }[resize.fit]
    centre, scale = (", ".join(f"{value:.4g}" for value in part) for part in (mean, std))
    crop = f"{width}" if height == width else f"{height} x {width}"
    return f"{how} {resize.interpolation}, centre crop {crop}, (x - ({centre})) / ({scale})"


def fitted(images: UInt8Images, shape: Shape) -> UInt8Images:
    """Pictures uint8 N x C x H x W as inputs of `shape`, C' x H' x W'.

    They were inputs of a net already, so nothing is cut off beyond what another ratio of the sides
    makes necessary: bicubic, until the input is just covered.
    """
    if images.shape[1:] == tuple(shape):
        return images
    frame = Classifier(name="", labels=(), input_shape=shape, digest="")
    return np.stack([prepare(_picture(image), frame) for image in images])


def _picture(image: UInt8Images) -> PIL.Image.Image:
    rows = to_hwc(image)
    return PIL.Image.fromarray(rows[..., 0] if rows.shape[-1] == 1 else rows)


def with_crops(classifier: Classifier, crops: int) -> Classifier:
    """The same victim behind `crops` crops whose confidences the Scorer averages.

    With 10, `input_shape` grows to side / 0.875 (224 to 256) and `crop_size` is the net's side:
    four corners and the centre, and their mirror images (Krizhevsky et al. 2012).

    Raises:
        ClassifierError: neither 1 nor 10; a victim without confidences; an input that is not
            square; or a victim that is cropped already.
    """
    if crops not in (1, 10):
        raise ClassifierError(f"classifier {classifier.name}: crops must be 1 or 10, not {crops}")
    if crops == classifier.crops:
        return classifier
    if classifier.ensemble is not None:
        raise ClassifierError(f"classifier {classifier.name}: an ensemble cannot average crops")
    if classifier.crops != 1:
        raise ClassifierError(
            f"classifier {classifier.name}: has {classifier.crops} crops already;"
            " load it with crops: 1"
        )
    if classifier.output in ("label", "topk"):
        raise ClassifierError(
            f"classifier {classifier.name}: crops: 10 averages confidences, which a victim with"
            f" output {classifier.output!r} does not give"
        )
    channels, height, width = classifier.input_shape
    if height != width:
        raise ClassifierError(
            f"classifier {classifier.name}: crops: 10 needs a square input, not {height} x {width}"
        )
    side = cropped_side(width)
    return dataclasses.replace(
        classifier,
        input_shape=(channels, side, side),
        crops=crops,
        crop_size=width,
        resize=dataclasses.replace(
            classifier.resize or Resize(side), shorter_side=side, frame=None
        ),
    )


def cropped_side(side: int) -> int:
    """Side of the image that crops of `side` are cut from."""
    return round(side / CROP_FRACTION)


def _size(size: tuple[int, int], resize: Resize | None, least: tuple[int, int]) -> tuple[int, int]:
    """Width and height to which a picture of `size` is resized for an input of `least`."""
    if resize is None:
        return _covering_size(size, least)
    high, wide = resize.frame or (resize.shorter_side, resize.shorter_side)
    frame = wide, high
    if resize.fit == "squash":
        resized = frame
    elif resize.fit == "pad":
        return _kept_ratio(size, max(size[0] / frame[0], size[1] / frame[1]))
    elif frame[0] == frame[1]:
        resized = _resized_size(size, resize.shorter_side)
    else:
        resized = _kept_ratio(size, min(size[0] / frame[0], size[1] / frame[1]))
    if resized[0] < least[0] or resized[1] < least[1]:  # an input longer than the frame
        return least if resize.fit == "squash" else _covering_size(size, least)
    return resized


def _padded(
    picture: PIL.Image.Image, least: tuple[int, int], fill: tuple[int, ...] | None
) -> PIL.Image.Image:
    """`picture` in the middle of one that is at least as wide and high as `least`."""
    width, height = max(picture.width, least[0]), max(picture.height, least[1])
    colour: tuple[int, ...] | int = 0 if fill is None else fill
    if picture.mode == "L" and not isinstance(colour, int):
        colour = colour[0]
    whole = PIL.Image.new(picture.mode, (width, height), colour)
    whole.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return whole


def _kept_ratio(size: tuple[int, int], by: float) -> tuple[int, int]:
    """Width and height of a picture of `size`, each divided by the same number (timm rounds)."""
    return max(1, round(size[0] / by)), max(1, round(size[1] / by))


def _resized_size(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    """Width and height after the shorter side became `shorter` (torchvision truncates)."""
    width, height = size
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def _covering_size(size: tuple[int, int], least: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the smallest picture of the same shape that covers `least`.

    One side fits exactly; the other is truncated, so that a square input gets what `_resized_size`
    makes of its side.
    """
    (width, height), (least_width, least_height) = size, least
    if least_width * height >= least_height * width:
        return least_width, max(least_height, int(least_width * height / width))
    return max(least_width, int(least_height * width / height)), least_height
