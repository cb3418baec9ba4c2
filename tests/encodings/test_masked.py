"""The masked encoding: the contract around every encoding, and a background that is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool import encodings
from evofool.encodings import (
    BatchEncoding,
    DeviceEncoding,
    StagedEncoding,
    TensorEncoding,
    VectorEncoding,
)
from evofool.errors import EncodingError
from evofool.images import encode_png
from evofool.render.masks import Mask
from evofool.testing import check_encoding

SHAPE = (3, 16, 12)
DISC: dict[str, Any] = {"shape": "disc", "at": [0.4, 0.6], "size": 0.6}
INNERS = ("direct", "cppn", "layers", "textured")


def masked(inner: Any = "cppn", mask: Any = None, shape: Any = SHAPE, **options: Any) -> Any:
    return encodings.load("masked", shape, {"inner": inner, "mask": mask or DISC, **options})


@pytest.mark.parametrize("inner", INNERS)
def test_it_does_all_an_encoding_does(inner: str, check_contract: Callable[..., None]) -> None:
    check_contract(masked(inner), SHAPE, seed=1)
    check_encoding(masked(inner), SHAPE)


@pytest.mark.parametrize("inner", INNERS)
@pytest.mark.parametrize("size", [(16, 12), (5, 7), (1, 1), (67, 41)])
def test_the_background_stays_bit_for_bit(inner: str, size: tuple[int, int]) -> None:
    encoding = masked(inner, background="stop")
    rng = np.random.default_rng(2)
    images = encoding.render([encoding.sample(rng) for _ in range(4)], size)
    outside = ~Mask.model_validate(DISC).raster(size)
    behind = encoding.backdrop(size)
    assert (images[:, :, outside] == behind[:, outside]).all()
    if min(size) > 10:
        assert (images[:, :, ~outside] != behind[:, ~outside]).any(axis=(1, 2)).all()


def test_the_inner_encoding_draws_the_rectangle_around_the_mask() -> None:
    square = {"shape": "rectangle", "at": [0.5, 0.5], "size": [0.5, 1.0]}
    encoding = masked("direct", square)
    genome = encoding.sample(np.random.default_rng(3))
    assert genome.shape == (3, 12, 6)
    inner = encodings.load("direct", (3, 12, 6), {})
    drawn = inner.render([genome], (12, 6))[0]
    np.testing.assert_array_equal(encoding.render([genome], (16, 12))[0, :, 2:14, 3:9], drawn)


def test_it_has_what_its_inner_encoding_has() -> None:
    kinds = (BatchEncoding, VectorEncoding, TensorEncoding, StagedEncoding, DeviceEncoding)
    for inner in INNERS:
        bare = encodings.load(inner, SHAPE, {})
        assert [isinstance(masked(inner), kind) for kind in kinds] == [
            isinstance(bare, kind) for kind in kinds
        ]
    assert masked("cppn").any_size
    assert not masked("direct").any_size


@pytest.mark.parametrize("inner", ["cppn", "layers"])
def test_tensors_are_the_same_pictures(inner: str) -> None:
    encoding = masked(inner, background=[1, 2, 3])
    rng = np.random.default_rng(4)
    genomes = [encoding.sample(rng) for _ in range(3)]
    drawn = encoding.render_tensor(genomes, (16, 12), "cpu").numpy()
    outside = ~Mask.model_validate(DISC).raster((16, 12))
    plain = encoding.render(genomes, (16, 12))
    np.testing.assert_array_equal(drawn[:, :, outside], plain[:, :, outside])
    assert np.abs(drawn.astype(int) - plain).mean() < 1


def test_genomes_on_a_device_draw_on_the_same_background() -> None:
    encoding = masked("direct").on("cpu")
    assert encoding.breeder == "philox4x32"
    rng = np.random.default_rng(5)
    genomes = [encoding.sample(rng) for _ in range(2)]
    drawn = encoding.render_tensor(genomes, (16, 12), "cpu").numpy()
    np.testing.assert_array_equal(drawn, encoding.render(genomes, (16, 12)))
    assert (drawn[:, :, 0, 11] == 128).all()


def test_options_name_everything_and_make_the_same_again(tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (3, 16, 12), dtype=np.uint8)
    path = tmp_path / "street.png"
    path.write_bytes(encode_png(picture))
    encoding = masked({"name": "cppn", "preset": "paper"}, background={"picture": str(path)})
    assert encoding.options["inner"]["preset"] == "paper"
    assert len(encoding.options["background"]["sha256"]) == 64
    again = encodings.load("masked", SHAPE, encoding.options)
    assert again.options == encoding.options
    np.testing.assert_array_equal(encoding.backdrop(), picture)
    path.write_bytes(encode_png(255 - picture))
    with pytest.raises(
        EncodingError, match="does not have the sha256 that is given; restore"
    ) as raised:
        encodings.load("masked", SHAPE, encoding.options)
    assert raised.value.option == "background"


@pytest.mark.parametrize(
    ("options", "option", "message"),
    [
        ({"mask": {"shape": "square", "size": 2}}, "mask", "holds every pixel.*leave it out"),
        ({"mask": {"shape": "disc", "size": 0.01, "at": [0, 0]}}, "mask", "holds no pixel"),
        ({"mask": {"picture": "nowhere.png"}}, "mask", "cannot be read"),
        ({"mask": {"shape": "disk"}}, "mask.shape", "'disc'"),
        ({"inner": "cpnp"}, "inner", "did you mean 'cppn'"),
        (
            {"inner": {"name": "cppn", "colours": 1}},
            "inner.colours",
            "did you mean .colour.",
        ),
        ({"inner": {"preset": "paper"}}, "inner", "must name an encoding"),
        ({"inner": "masked"}, "inner", "masked itself"),
        ({"background": "halt"}, "background", "must be one of stop, yield"),
        ({"background": {"picture": "nowhere.png"}}, "background", "cannot be read"),
        ({"backgrund": "stop"}, "backgrund", "unknown option; did you mean .background."),
    ],
)
def test_wrong_options(options: dict[str, Any], option: str | None, message: str) -> None:
    given = {"inner": "cppn", "mask": DISC, **options}
    with pytest.raises(EncodingError, match=message) as raised:
        encodings.load("masked", SHAPE, given)
    assert raised.value.option == option
