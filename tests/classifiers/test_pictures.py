"""Natural pictures to inputs, and ten crops."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from torch import nn

from evofool.classifiers import Classifier, Resize, from_module, prepare, with_crops
from evofool.classifiers.pictures import cropped_side


def victim(shape: tuple[int, int, int], resize: Resize | None = None) -> Classifier:
    return Classifier(
        "tiny", ("a", "b"), shape, "0" * 64, predict=lambda images: images, resize=resize
    )


def picture(width: int, height: int, mode: str = "RGB") -> PIL.Image.Image:
    rng = np.random.default_rng(width * 1000 + height)
    shape = (height, width) if mode == "L" else (height, width, 3)
    return PIL.Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (257, 256), (64, 64), (33, 500)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "nearest"])
def test_as_torchvision_does(size: tuple[int, int], interpolation: str) -> None:
    from torchvision.transforms import CenterCrop, InterpolationMode
    from torchvision.transforms import Resize as TvResize

    image = picture(*size)
    resized = TvResize(40, InterpolationMode(interpolation))(image)
    expected = np.asarray(CenterCrop(32)(resized))
    found = prepare(image, victim((3, 32, 32), Resize(40, interpolation)))  # type: ignore[arg-type]
    assert np.array_equal(found, np.moveaxis(expected, -1, 0))


def test_exactly_the_input_size_is_taken_as_it_is() -> None:
    image = picture(32, 24)
    found = prepare(image, victim((3, 24, 32), Resize(64)))
    assert np.array_equal(found, np.moveaxis(np.asarray(image), -1, 0))


def test_channels_are_converted() -> None:
    assert prepare(picture(28, 28), victim((1, 28, 28))).shape == (1, 28, 28)
    grey = prepare(picture(28, 28, "L"), victim((3, 28, 28)))
    assert np.array_equal(grey[0], grey[2])


@pytest.mark.parametrize("shape", [(3, 16, 48), (3, 48, 16)])
def test_inputs_that_are_not_square_are_covered(shape: tuple[int, int, int]) -> None:
    for resize in (None, Resize(20)):
        found = prepare(picture(100, 80), victim(shape, resize))
        assert found.shape == shape
        assert found.min(axis=(0, 1)).any()  # no black border came in


@pytest.mark.parametrize(
    ("size", "shape", "seen"),
    [
        ((64, 200), (32, 100), (64, 200)),  # width, height; the whole picture where shapes agree
        ((200, 64), (100, 32), (200, 64)),
        ((64, 200), (100, 32), (64, 20)),
        ((300, 100), (32, 64), (50, 100)),
        ((10, 10), (30, 20), (10, 7)),  # enlarged
        ((80, 60), (40, 40), (60, 60)),
    ],
)
def test_a_picture_is_scaled_until_it_just_covers_the_input(
    size: tuple[int, int], shape: tuple[int, int], seen: tuple[int, int]
) -> None:
    """What of the picture is seen is read off a ramp of levels along each side."""
    width, height = size
    for axis in (0, 1):
        ramp = np.linspace(0, 255, size[axis])
        rows = np.broadcast_to(ramp if axis == 0 else ramp[:, None], (height, width))
        image = PIL.Image.fromarray(np.ascontiguousarray(np.rint(rows)).astype(np.uint8))
        found = prepare(image, victim((1, shape[1], shape[0])))[0].astype(float)
        across = found.mean(axis=axis)
        step = (across[-1] - across[0]) / (shape[axis] - 1)  # of levels, a pixel of the input
        share = step * shape[axis] / 255
        assert share == pytest.approx(seen[axis] / size[axis], abs=0.06)


@pytest.mark.parametrize("size", [(300, 200), (201, 333), (7, 5), (64, 65), (32, 500)])
def test_square_inputs_get_the_shorter_side_by_default(size: tuple[int, int]) -> None:
    """As torchvision resizes: figures that were measured with square victims hold."""
    image = picture(*size)
    by_default = prepare(image, victim((3, 32, 32)))
    assert np.array_equal(by_default, prepare(image, victim((3, 32, 32), Resize(32))))


def test_a_picture_may_be_squashed_or_bordered() -> None:
    """All of it is seen then: nothing is cut off at the ends of a ramp."""
    ramp = np.broadcast_to(np.linspace(10, 250, 64), (16, 64))
    image = PIL.Image.fromarray(np.ascontiguousarray(np.rint(ramp)).astype(np.uint8))
    squashed = prepare(image, victim((1, 32, 32), Resize(32, "bilinear", "squash")))
    assert squashed[0, :, 0].max() < 15 < 245 < squashed[0, :, -1].min()
    padded = prepare(image, victim((1, 32, 32), Resize(32, "bilinear", "pad", fill=(7,))))
    assert (padded[0, :12] == 7).all()
    assert (padded[0, 20:] == 7).all()
    assert padded[0, 12:20, 0].max() < 15 < 245 < padded[0, 12:20, -1].min()
    grown = prepare(image, with_crops(victim((1, 28, 28), Resize(30, fit="squash")), 10))
    assert grown.shape == (1, 32, 32)
    assert grown[0, :, 0].max() < 15 < 245 < grown[0, :, -1].min()


def test_stored_results_know_a_way_of_resizing_by_its_text() -> None:
    assert f"{Resize(36)}" == "Resize(shorter_side=36, interpolation='bicubic')"
    squashed = "Resize(shorter_side=36, interpolation='box', fit='squash', frame=(36, 40))"
    assert f"{Resize(36, 'box', 'squash', (36, 40))}" == squashed


@pytest.mark.parametrize(("side", "whole"), [(224, 256), (28, 32), (227, 259), (32, 37)])
def test_ten_crops_grow_the_image(side: int, whole: int) -> None:
    assert cropped_side(side) == whole
    cropped = with_crops(victim((3, side, side)), 10)
    assert cropped.input_shape == (3, whole, whole)
    assert cropped.crop_size == side
    assert cropped.crops == 10
    assert prepare(picture(300, 400), cropped).shape == (3, whole, whole)
    assert with_crops(cropped, 10) is cropped


def test_one_crop_changes_nothing() -> None:
    classifier = victim((3, 224, 224))
    assert with_crops(classifier, 1) is classifier


def test_crops_keep_the_digest(net: nn.Module) -> None:
    classifier = from_module(net, input_shape=(3, 8, 8))
    cropped = with_crops(classifier, 10)
    assert cropped.digest == classifier.digest
    assert cropped.module is classifier.module
    assert cropped.input_shape == (3, 9, 9)
