"""From natural pictures to inputs, and the ten crops of the ImageNet papers."""

from __future__ import annotations

import dataclasses

import numpy as np
import PIL.Image

from evofool.classifiers.base import Classifier, Resize
from evofool.errors import ClassifierError, ImageError
from evofool.images import MAX_PIXELS, Shape, UInt8Images, picture_to_array, to_hwc

CROP_FRACTION = 0.875
"""Side of a crop over the side of the image it is cut from: 224 of 256."""

_FILTERS = {
    "bicubic": PIL.Image.Resampling.BICUBIC,
    "bilinear": PIL.Image.Resampling.BILINEAR,
    "nearest": PIL.Image.Resampling.NEAREST,
}


def prepare(picture: PIL.Image.Image, classifier: Classifier) -> UInt8Images:
    """A picture of any size as one input of `classifier`: uint8 C x H x W.

    A picture of exactly the input size is taken as it is. Any other is resized by its shorter
    side as `classifier.resize` says (by default until it just covers the input) and cropped at
    the centre, with the rounding that torchvision's transforms have.

    Raises:
        ImageError: a sliver that would be enlarged beyond `MAX_PIXELS` before it is cropped.
    """
    channels, height, width = classifier.input_shape
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size == (width, height):
        return picture_to_array(picture, channels)
    covering = _covering_size(picture.size, (width, height))
    resize = classifier.resize
    resized = covering if resize is None else _resized_size(picture.size, resize.shorter_side)
    if resized[0] < width or resized[1] < height:  # an input wider or higher than it is resized to
        resized = covering
    if resized[0] * resized[1] > MAX_PIXELS:
        raise ImageError(
            f"a picture of {picture.width} x {picture.height} is too narrow: it would grow to"
            f" {resized[0]} x {resized[1]} before it is cropped; crop it first"
        )
    picture = picture.resize(
        resized, _FILTERS["bicubic" if resize is None else resize.interpolation]
    )
    left = round((picture.width - width) / 2)
    top = round((picture.height - height) / 2)
    return picture_to_array(picture.crop((left, top, left + width, top + height)), channels)


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
        raise ClassifierError(f"classifier {classifier.name}: an ensemble averages no crops")
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
        resize=dataclasses.replace(classifier.resize or Resize(side), shorter_side=side),
    )


def cropped_side(side: int) -> int:
    """Side of the image that crops of `side` are cut from."""
    return round(side / CROP_FRACTION)


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
