"""The image convention: what was scored is what the PNG holds."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evofool.errors import ImageError
from evofool.images import (
    MAX_FILE,
    MAX_PIXELS,
    check_images,
    decode_png,
    encode_png,
    picture_to_array,
    read_picture,
    read_text,
    to_float,
    to_hwc,
    to_uint8,
)

RNG = np.random.default_rng(5)


def pixels(channels: int = 3, height: int = 5, width: int = 7) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (channels, height, width), dtype=np.uint8)


def saved(path: Path, picture: PIL.Image.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises pixels and holds none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", ihdr)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


# levels


def test_all_256_levels_survive_float_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    floats = to_float(levels)
    assert floats.dtype == np.float32
    exact = [np.float32(k / 255) for k in range(256)]  # rounded once, from float64
    assert floats.reshape(-1).tolist() == exact
    assert np.array_equal(to_uint8(floats), levels)


def test_rounding_is_to_the_nearest_level_and_stays_inside() -> None:
    steps = np.array([-1.0, -1e-9, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.0, 2.0], np.float32)
    assert to_uint8(steps).tolist() == [0, 0, 0, 0, 1, 255, 255, 255]


def test_floats_stay_as_they_are() -> None:
    floats = RNG.random((2, 1, 3, 3), dtype=np.float32)
    assert to_float(floats) is floats


# the gate


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 4, 4), np.uint8), "N x C x H x W, not 3-dimensional"),
        (np.zeros((1, 2, 4, 4), np.uint8), "1 or 3 channels, not 2"),
        (np.zeros((1, 4, 4, 3), np.uint8), "1 or 3 channels, not 4"),
        (np.zeros((1, 1, 4, 4), np.int64), "not int64"),
        (np.zeros((1, 1, 4, 4), bool), "not bool"),
        (np.full((1, 1, 4, 4), 1.01), "found 1.01 to 1.01"),
        (np.full((1, 1, 4, 4), -0.1), "found -0.1"),
        (np.full((1, 1, 4, 4), np.nan), "between 0 and 1, found nan"),
        (np.full((1, 1, 4, 4), np.inf), "found inf"),
        ([[1, 2], [3]], "cannot be read as an array"),
        ("picture.png", "0-dimensional"),
        (None, "0-dimensional"),
    ],
)
def test_check_images_names_what_it_found(images: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        check_images(images)


def test_check_images_names_the_wanted_shape() -> None:
    with pytest.raises(ImageError, match="1 x 4 x 5 were given, but 3 x 4 x 5 is needed"):
        check_images(np.zeros((2, 1, 4, 5), np.uint8), (3, 4, 5))


def test_check_images_of_a_tensor_that_is_no_array() -> None:
    import torch

    with pytest.raises(ImageError, match="cannot be read as an array"):
        check_images(torch.zeros(1, 1, 2, 2, requires_grad=True))
    with pytest.raises(ImageError, match="cannot be read as an array"):
        check_images(torch.zeros(1, 1, 2, 2, device="meta"))
    assert check_images(torch.zeros(1, 1, 2, 2)).dtype == np.float32


def test_check_images_gives_contiguous_arrays_of_the_two_types() -> None:
    floats = np.asfortranarray(RNG.random((2, 3, 4, 5)))
    for images in (floats, floats.astype(np.float16), pixels()[None, :, ::-1, ::2]):
        checked = check_images(images)
        assert checked.flags.c_contiguous
        assert checked.dtype == (np.uint8 if images.dtype == np.uint8 else np.float32)
        assert np.array_equal(checked, images.astype(checked.dtype))


def test_an_empty_batch_is_a_batch() -> None:
    assert check_images(np.zeros((0, 3, 4, 4)), (3, 4, 4)).shape == (0, 3, 4, 4)


# PNG


@pytest.mark.parametrize("channels", [1, 3])
def test_png_round_trip(channels: int) -> None:
    image = pixels(channels)
    again = decode_png(encode_png(image))
    assert again.dtype == np.uint8
    assert np.array_equal(again, image)


def test_a_png_holds_rows_of_pixels() -> None:
    image = pixels()
    picture = PIL.Image.open(io.BytesIO(encode_png(image)))
    assert picture.size == (7, 5)
    assert np.array_equal(np.asarray(picture), to_hwc(image))


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "größer, 日本語, 🐆, \u202eright to left",
        '</script><img src=x onerror="alert(1)">',
        "tabs\tand\r\nlines\x1b[31m",
        "x" * 500_000,
        "",
    ],
)
def test_text_round_trip(tmp_path: Path, text: str) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(encode_png(pixels(), {"evofool": text, "label": json.dumps(text)}))
    assert read_text(path) == {"evofool": text, "label": json.dumps(text)}


@given(text=st.text(st.characters(codec=None, exclude_categories=()), max_size=40))
def test_any_text_leaves_the_picture_readable(text: str) -> None:
    image = pixels(1, 2, 2)
    data = encode_png(image, {"label": text})
    assert np.array_equal(decode_png(data), image)
    with PIL.Image.open(io.BytesIO(data)) as picture:
        assert isinstance(picture, PIL.PngImagePlugin.PngImageFile)
        found = str(picture.text["label"])
    assert found == "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


@pytest.mark.parametrize("key", ["", "a\0b", "schlüssel", "k" * 80, "two\nlines"])
def test_a_key_that_png_does_not_allow(key: str) -> None:
    with pytest.raises(ImageError, match="key of a PNG text"):
        encode_png(pixels(), {key: "text"})


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 2, 2), np.float32),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((2, 2), np.uint8),
        np.zeros((3, 0, 2), np.uint8),
    ],
)
def test_what_is_no_image_is_not_encoded(image: Any) -> None:
    with pytest.raises(ImageError, match="a PNG needs"):
        encode_png(image)


# pictures from anywhere


def test_16_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    wide = np.array([[0, 128, 257, 32768, 65278, 65535]], np.uint16)
    path = saved(tmp_path / "deep.png", PIL.Image.fromarray(wide))
    picture = read_picture(path)
    assert picture.mode == "L"
    assert np.asarray(picture).tolist() == [[0, 0, 1, 128, 254, 255]]


def test_numbers_of_unknown_range_are_refused(tmp_path: Path) -> None:
    floats = PIL.Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    with pytest.raises(ImageError, match="floating-point"):
        read_picture(saved(tmp_path / "floats.tiff", floats))
    whole = PIL.Image.fromarray(np.array([[0, 100_000]], np.int32))
    with pytest.raises(ImageError, match="16 bits"):
        read_picture(saved(tmp_path / "whole.tiff", whole))


def test_one_bit(tmp_path: Path) -> None:
    bits = PIL.Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    assert np.asarray(read_picture(saved(tmp_path / "bits.png", bits))).tolist() == [[0, 255, 0]]


def test_palette(tmp_path: Path) -> None:
    palette = PIL.Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([1, 0])
    picture = read_picture(saved(tmp_path / "palette.png", palette))
    assert picture.mode == "RGB"
    assert np.asarray(picture).tolist() == [[[200, 100, 50], [10, 20, 30]]]


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("RGBA", (200, 100, 50, 128), [100, 50, 25]),
        ("RGBA", (200, 100, 50, 0), [0, 0, 0]),
        ("RGBA", (200, 100, 50, 255), [200, 100, 50]),
        ("LA", (200, 51), [40]),
    ],
)
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_alpha_lies_on_black(
    tmp_path: Path, kind: str, mode: str, colour: tuple[int, ...], seen: list[int]
) -> None:
    path = saved(tmp_path / f"alpha.{kind}", PIL.Image.new(mode, (1, 1), colour))
    picture = read_picture(path)
    assert picture.mode == ("L" if mode == "LA" else "RGB")
    assert np.asarray(picture).reshape(-1).tolist() == seen


def test_alpha_of_webp_lies_on_black(tmp_path: Path) -> None:
    clear = PIL.Image.new("RGBA", (1, 1), (200, 100, 50, 0))
    picture = read_picture(saved(tmp_path / "a.webp", clear, lossless=True, exact=True))
    assert np.asarray(picture).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize("kind", ["png", "gif"])
def test_a_transparent_colour_of_a_palette_lies_on_black(tmp_path: Path, kind: str) -> None:
    palette = PIL.Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([1, 0])
    picture = read_picture(saved(tmp_path / f"p.{kind}", palette, transparency=1))
    assert np.asarray(picture).tolist() == [[[0, 0, 0], [10, 20, 30]]]


def test_half_transparent_colours_of_a_palette(tmp_path: Path) -> None:
    palette = PIL.Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([1, 0])
    picture = read_picture(saved(tmp_path / "p.png", palette, transparency=bytes([255, 128])))
    assert np.asarray(picture).tolist() == [[[100, 50, 25], [10, 20, 30]]]


def test_one_transparent_level_of_a_picture_without_alpha(tmp_path: Path) -> None:
    grey = PIL.Image.fromarray(np.array([[7, 200]], np.uint8))
    picture = read_picture(saved(tmp_path / "grey.png", grey, transparency=200))
    assert (picture.mode, np.asarray(picture).tolist()) == ("L", [[7, 0]])
    colour = PIL.Image.fromarray(np.array([[[1, 2, 3], [9, 8, 7]]], np.uint8))
    picture = read_picture(saved(tmp_path / "rgb.png", colour, transparency=(9, 8, 7)))
    assert np.asarray(picture).tolist() == [[[1, 2, 3], [0, 0, 0]]]
    deep = PIL.Image.fromarray(np.array([[257, 65535]], np.uint16))
    picture = read_picture(saved(tmp_path / "deep.png", deep, transparency=65535))
    assert np.asarray(picture).tolist() == [[1, 0]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_pictures_stand_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    """A dark, a middle and two bright quarters, stored as each orientation stores them."""
    upright = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((8, 12), np.uint8))
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = PIL.Image.fromarray(np.ascontiguousarray(turned)).convert("RGB")
    options: dict[str, Any] = {"quality": 95, "lossless": True}  # each kind takes its own
    path = saved(tmp_path / f"photo.{kind}", stored, exif=exif, **options)
    found = np.asarray(read_picture(path).convert("L")).astype(int)
    assert found.shape == upright.shape
    assert np.abs(found - upright).max() <= 3  # of the JPEG


@pytest.mark.parametrize("tag", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path: Path, tag: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = tag
    picture = PIL.Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    found = read_picture(saved(tmp_path / "odd.png", picture, exif=exif))
    assert np.array_equal(np.asarray(found), np.asarray(picture))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")
def test_a_damaged_exif_block_leaves_the_pixels(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "description"
    whole = exif.tobytes()
    rng = np.random.default_rng(3)
    picture = PIL.Image.fromarray(pixels(3, 4, 6).transpose(1, 2, 0).copy())
    for _ in range(100):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(0, 256)
        path = saved(tmp_path / "odd.png", picture, exif=bytes(data))
        assert sorted(read_picture(path).size) == [4, 6]


def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path) -> None:
    frames = [PIL.Image.new("RGB", (2, 2), (level, 0, 0)) for level in (200, 100, 0)]
    for kind in ("png", "webp", "gif", "tiff"):
        options = {"lossless": True} if kind == "webp" else {}
        path = saved(
            tmp_path / f"film.{kind}", frames[0], save_all=True, append_images=frames[1:], **options
        )
        assert np.asarray(read_picture(path)).reshape(-1, 3).tolist() == [[200, 0, 0]] * 4


def test_inks_become_light(tmp_path: Path) -> None:
    inks = PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for kind in ("jpeg", "tiff"):
        picture = read_picture(saved(tmp_path / f"inks.{kind}", inks))
        red, green, blue = np.asarray(picture)[4, 4].tolist()
        assert red > 250
        assert max(green, blue) < 5


@pytest.mark.parametrize(
    ("order", "photometric", "seen"),
    [("<", 1, [0, 128, 255]), (">", 1, [0, 128, 255]), ("<", 0, [255, 127, 0])],
)
def test_16_bit_grey_of_a_tiff(
    tmp_path: Path, order: str, photometric: int, seen: list[int]
) -> None:
    """Either byte order, and white as 0, which Pillow does not turn around for 16 bits."""
    pairs = [(256, 3), (257, 1), (258, 16), (259, 1), (262, photometric), (277, 1), (278, 1)]
    entries = [(tag, 3, 1, value) for tag, value in pairs]
    at = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries += [(273, 4, 1, at), (279, 4, 1, 6)]
    data = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(entries))
    for tag, kind, count, value in sorted(entries):
        packed = struct.pack(order + ("HH" if kind == 3 else "I"), value, *[0] * (kind == 3))
        data += struct.pack(order + "HHI", tag, kind, count) + packed
    data += struct.pack(order + "I", 0) + struct.pack(order + "3H", 0, 32896, 65535)
    path = tmp_path / "grey.tiff"
    path.write_bytes(data)
    assert np.asarray(read_picture(path)).tolist() == [seen]


def test_channels_are_converted_as_asked() -> None:
    grey = PIL.Image.new("L", (2, 3), 77)
    assert (picture_to_array(grey, 3) == 77).all()
    assert picture_to_array(grey, 3).shape == (3, 3, 2)
    assert picture_to_array(PIL.Image.new("RGB", (2, 3), (255, 0, 0)), 1).tolist() == [
        [[76, 76]] * 3
    ]


def test_a_jpeg_is_a_picture_without_text(tmp_path: Path) -> None:
    path = saved(tmp_path / "photo.jpg", PIL.Image.new("RGB", (8, 8), (200, 10, 10)))
    assert read_picture(path).size == (8, 8)
    assert read_text(path) == {}
    with pytest.raises(ImageError, match="PNG data"):
        decode_png(path.read_bytes())


# damaged and hostile pictures


@pytest.mark.parametrize("read", [read_picture, read_text])
def test_no_such_file(tmp_path: Path, read: Any) -> None:
    with pytest.raises(ImageError, match=r"none\.png: no such file"):
        read(tmp_path / "none.png")


@pytest.mark.parametrize("read", [read_picture, read_text])
@pytest.mark.parametrize(
    "data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF"]
)
def test_no_picture(tmp_path: Path, read: Any, data: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"bad\.png: cannot be read as a picture"):
        read(path)


def test_postscript_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives EPS to Ghostscript; a picture from a stranger must not get that far."""
    import PIL.EpsImagePlugin

    def run(*_: object, **__: object) -> None:
        raise AssertionError("Ghostscript was called")

    monkeypatch.setattr(PIL.EpsImagePlugin, "Ghostscript", run)
    path = tmp_path / "image.png"
    PIL.Image.new("RGB", (4, 4)).save(path, "EPS")
    with pytest.raises(ImageError):
        read_picture(path)
    with pytest.raises(ImageError):
        decode_png(path.read_bytes())


def test_a_truncated_png_is_an_error_or_all_there(tmp_path: Path) -> None:
    image = pixels(3, 9, 9)
    data = encode_png(image, {"label": "text"})
    path = tmp_path / "cut.png"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with contextlib.suppress(ImageError):
            assert np.array_equal(decode_png(data[:length]), image)
        with contextlib.suppress(ImageError):
            assert read_text(path) == {"label": "text"}
    for length in range(len(data) - 24):  # of the rest only checksums and the end mark are missing
        with pytest.raises(ImageError):
            decode_png(data[:length])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_flipped_bytes_raise_nothing_but_image_errors(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(to_hwc(pixels(3, 12, 12))).save(buffer, kind)
    whole = np.frombuffer(buffer.getvalue(), np.uint8)
    rng = np.random.default_rng(1)
    path = tmp_path / "flipped"
    for _ in range(150):
        data = whole.copy()
        at = rng.integers(0, min(len(data), 200), rng.integers(1, 6))
        data[at] = rng.integers(0, 256, len(at), dtype=np.uint8)
        path.write_bytes(data.tobytes())
        for read in (read_picture, read_text):
            with contextlib.suppress(ImageError):
                read(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8193, 12_000, 100_000])
def test_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    assert side * side > MAX_PIXELS
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))

    def load(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(PIL.PngImagePlugin.PngImageFile, "load", load)
    for read in (read_picture, read_text):
        with pytest.raises(ImageError, match=r"bomb\.png"):
            read(path)
    with pytest.raises(ImageError, match="PNG data"):
        decode_png(path.read_bytes())


def test_text_that_would_unpack_to_too_much(tmp_path: Path) -> None:
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text("evofool", "x" * 20_000_000, zip=True)
    path = tmp_path / "text.png"
    PIL.Image.new("L", (1, 1)).save(path, pnginfo=info)
    with pytest.raises(ImageError, match="cannot be read"):
        read_text(path)


@pytest.mark.parametrize("read", [read_picture, read_text])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path, read: Any) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with pytest.raises(ImageError, match=r"pipe\.png: .*named pipe"):
        read(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match=r"zero\.png: .*device"):
        read(tmp_path / "zero.png")


def test_a_file_too_large_to_be_a_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.webp"
    with path.open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBPVP8 ")
        file.truncate(MAX_FILE + 1)  # a hole: it takes no room
    with pytest.raises(ImageError, match=r"huge\.webp: .* bytes are more than"):
        read_picture(path)


def test_what_is_wrong_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(b"")
    with pytest.raises(ImageError, match="the file is empty"):
        read_picture(path)
    path.write_bytes(b"hello")
    with pytest.raises(ImageError, match="not a picture of a supported kind: PNG, JPEG") as caught:
        read_picture(path)
    assert "_io." not in str(caught.value)


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_picture(tmp_path)
