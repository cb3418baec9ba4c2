"""The image convention: uint8 NCHW, or float32 NCHW on [0, 1]; PNG in and out with provenance.

A float image handed out as a result lies on the 8-bit lattice (k/255), so what was scored is
what the PNG holds.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile, PngInfo

from evofool.errors import ImageError
from evofool.files import open_file

UInt8Images: TypeAlias = NDArray[np.uint8]
"""uint8 N x C x H x W, values 0 to 255. A docstring says where it is one image C x H x W."""
FloatImages: TypeAlias = NDArray[np.float32]
"""float32 N x C x H x W, values on [0, 1] unless a docstring says otherwise."""
Shape: TypeAlias = tuple[int, int, int]
"""Channels, height, width."""
Size: TypeAlias = tuple[int, int]
"""Height, width."""

MAX_PIXELS = 64 * 1024 * 1024
"""Largest picture that is decoded; a larger header is refused before any pixel is."""

MAX_FILE = 512 * 1024 * 1024
"""Largest file that is opened as a picture, in bytes: WebP is read whole before it is decoded."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is decoded. Pillow can read more, but EPS, for one, would start Ghostscript."""

PICTURE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
)
"""Of files that are taken for pictures where a folder is given."""

PROVENANCE = "evofool"
"""The PNG text key whose value is a JSON object that describes where the picture came from."""
SIDECAR = "provenance.json"
"""Beside pictures: the same objects by file name, for when a tool has stripped their text."""

_UNWRITABLE = re.compile(r"[\x00\ud800-\udfff]")

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""What turns a picture of each EXIF orientation upright; 1 is upright already."""

_BITS_PER_SAMPLE, _PHOTOMETRIC, _MIN_IS_WHITE = 258, 262, 0
"""Tags of TIFF."""

_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    struct.error,
    zlib.error,
    PIL.Image.DecompressionBombError,
)
"""What Pillow raises on damaged pictures."""


def check_images(images: object, shape: Shape | None = None) -> UInt8Images | FloatImages:
    """The gate for image batches: returns `images` as a C-contiguous uint8 or float32 array.

    Args:
        images: N x C x H x W, uint8, or floating with every value in [0, 1].
        shape: the C x H x W that is wanted, or None for any with 1 or 3 channels.

    Returns:
        N x C x H x W, uint8 as it was, anything floating as float32.

    Raises:
        ImageError: wrong rank, shape, dtype or range; the message names the images' own.
    """
    try:
        array = np.asarray(images)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors on a GPU
        raise ImageError(f"images cannot be read as an array ({error})") from error
    if array.ndim != 4:
        raise ImageError(
            f"images must be a batch N x C x H x W, not {array.ndim}-dimensional {array.shape}"
        )
    if shape is not None and array.shape[1:] != shape:
        raise ImageError(
            f"images of shape {_by(array.shape[1:])} were given, but {_by(shape)} is needed"
            " (channels x height x width)"
        )
    if array.shape[1] not in (1, 3):
        raise ImageError(f"images must have 1 or 3 channels, not {array.shape[1]}")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(f"images must be uint8 or floating on [0, 1], not {array.dtype}")
    if array.size:
        low, high = float(array.min()), float(array.max())
        if not (low >= 0.0 and high <= 1.0):  # a NaN fails both
            raise ImageError(f"float images must be between 0 and 1, found {low:g} to {high:g}")
    return np.ascontiguousarray(array, dtype=np.float32)


def to_float(images: UInt8Images | FloatImages) -> FloatImages:
    """Images of any shape as float32 on [0, 1].

    Level k becomes the float32 nearest to k/255; floats stay as they are.
    """
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    return images.astype(np.float32, copy=False)


def to_uint8(images: FloatImages) -> UInt8Images:
    """Images of any shape, float32 on [0, 1], each value as the nearest of the 256 levels."""
    levels: UInt8Images = np.rint(np.clip(images, 0.0, 1.0) * np.float32(255)).astype(np.uint8)
    return levels


def to_hwc(image: UInt8Images) -> UInt8Images:
    """`image`, C x H x W, as H x W x C, contiguous (the order of digests and of PNG rows)."""
    return np.ascontiguousarray(np.moveaxis(image, -3, -1))


def pixels_sha256(image: UInt8Images) -> str:
    """The sha256 of the pixels of `image` (uint8 C x H x W), in hexadecimal.

    It is taken over H x W x C bytes, so it is the same however the picture was compressed.
    """
    return hashlib.sha256(to_hwc(image).tobytes()).hexdigest()


def encode_png(
    image: UInt8Images, text: Mapping[str, str] | None = None, dpi: float | None = None
) -> bytes:
    """One `image`, uint8 C x H x W, as PNG bytes, with `text` as UTF-8 text chunks.

    With `dpi` the picture says how many of its pixels are an inch of paper.

    What a text chunk cannot hold (NUL, lone surrogates) is written as U+FFFD.

    Raises:
        ImageError: not uint8, not 1 or 3 channels, without pixels, or a key that is not 1 to 79
            printable ASCII characters.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ImageError(
            f"a PNG needs a uint8 1 or 3 x H x W image, not {image.dtype} {image.shape}"
        )
    if image.size == 0:
        raise ImageError(f"a PNG needs at least one pixel, not {image.shape}")
    info = PngInfo()
    for key, value in (text or {}).items():
        if not (1 <= len(key) <= 79 and key.isascii() and key.isprintable()):
            raise ImageError(
                f"{key[:100]!r} cannot be the key of a PNG text: 1 to 79 ASCII characters"
            )
        info.add_itxt(key, _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", value))
    rows = to_hwc(image)
    picture = PIL.Image.fromarray(rows[..., 0] if rows.shape[-1] == 1 else rows)
    buffer = io.BytesIO()
    size = {} if dpi is None else {"dpi": (dpi, dpi)}
    # Half the time of zlib's own choice, for files that are 4 % larger (level 1: 20 %).
    picture.save(buffer, "PNG", pnginfo=info, compress_level=4, **size)
    return buffer.getvalue()


def decode_png(data: bytes) -> UInt8Images:
    """PNG bytes as C x H x W uint8, the inverse of `encode_png`.

    Raises:
        ImageError: not a PNG, truncated, or larger than `MAX_PIXELS`.
    """
    return _to_chw(_decoded(io.BytesIO(data), "PNG data", ("PNG",)))


def read_picture(path: Path) -> PIL.Image.Image:
    """A picture from disk as people see it, as RGB or grey ("L"), fully decoded.

    It is turned by its EXIF orientation; transparent parts (of an alpha channel, or a transparent
    colour of a palette) are put on black; 16 bits a channel become 8; of an animation or a file of
    several pages the first is taken. Colour profiles are not applied.

    Raises:
        ImageError: missing, not a regular file, not a picture, truncated, or larger than
            `MAX_PIXELS` or `MAX_FILE`.
    """
    with _opened(path) as file:
        return _decoded(file, str(path))


def read_opacity(path: Path) -> UInt8Images | None:
    """How opaque each pixel of a picture is, as people see it: uint8 H x W; None: all of it is.

    Of a picture that `read_picture` reads, and turned as there.

    Raises:
        ImageError: as `read_picture`.
    """
    with _opened(path) as file:
        try:
            with PIL.Image.open(file, formats=FORMATS) as picture:
                _check_size(picture, str(path))
                picture.load()
                if not picture.has_transparency_data:
                    return None
                turn = _UPRIGHT.get(_orientation(picture))
                alpha = picture.convert("RGBA").getchannel("A")
        except _UNREADABLE as error:
            raise ImageError(f"{path}: cannot be read as a picture ({_what(error)})") from error
    levels = np.asarray(alpha if turn is None else alpha.transpose(turn), dtype=np.uint8)
    return None if levels.min() == 255 else levels


def read_text(path: Path | io.BytesIO) -> dict[str, str]:
    """The text chunks of a PNG, a file or its bytes (empty for any other kind of picture).

    Raises:
        ImageError: as `read_picture`.
    """
    if isinstance(path, io.BytesIO):
        return _text(path, "PNG data")
    with _opened(path) as file:
        return _text(file, str(path))


def picture_to_array(picture: PIL.Image.Image, channels: int) -> UInt8Images:
    """A PIL picture as `channels` x H x W uint8; grey and colour are converted as PIL does."""
    return _to_chw(picture.convert("L" if channels == 1 else "RGB"))


def _opened(path: Path) -> BinaryIO:
    try:
        file = open_file(path)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read as a picture ({error.strerror})") from error
    size = os.fstat(file.fileno()).st_size
    if 0 < size <= MAX_FILE:
        return file
    file.close()
    what = "the file is empty" if size == 0 else f"its {size} bytes are more than {MAX_FILE}"
    raise ImageError(f"{path}: cannot be read as a picture ({what})")


def _text(source: BinaryIO, name: str) -> dict[str, str]:
    try:
        with PIL.Image.open(source, formats=FORMATS) as picture:
            if not isinstance(picture, PngImageFile):
                return {}
            _check_size(picture, name)
            picture.load()
            return {str(key): str(value) for key, value in picture.text.items()}
    except _UNREADABLE as error:
        raise ImageError(f"{name}: cannot be read as a picture ({_what(error)})") from error


def decode_picture(
    source: io.BytesIO, name: str, formats: tuple[str, ...] = FORMATS, pixels: int = MAX_PIXELS
) -> PIL.Image.Image:
    """A picture in memory, as `read_picture`.

    Args:
        source: its bytes.
        name: for messages.
        formats: that are read, of `FORMATS`.
        pixels: most pixels that are decoded.

    Raises:
        ImageError: not a picture of these formats, truncated, or larger.
    """
    return _decoded(source, name, formats, pixels)


def _decoded(
    source: BinaryIO,
    name: str,
    formats: tuple[str, ...] = FORMATS,
    pixels: int = MAX_PIXELS,
) -> PIL.Image.Image:
    try:
        with PIL.Image.open(source, formats=formats) as picture:
            _check_size(picture, name, pixels)
            picture.load()
            turn = _UPRIGHT.get(_orientation(picture))
            plain = _opaque(picture)
    except _UNREADABLE as error:
        raise ImageError(f"{name}: cannot be read as a picture ({_what(error)})") from error
    return plain if turn is None else plain.transpose(turn)


def _orientation(picture: PIL.Image.Image) -> int:
    """The EXIF orientation; 1 where none is given or it cannot be read: the pixels are sound.

    Pillow turns a TIFF by itself when it is loaded, and takes the tag away.
    """
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except _UNREADABLE:
        return 1
    return orientation if isinstance(orientation, int) else 1


def _opaque(picture: PIL.Image.Image) -> PIL.Image.Image:
    """A copy as "L" or "RGB" with what is transparent on black."""
    if picture.mode.startswith("I"):  # 16 bits a pixel, of which PIL would clip all but 8
        return _from_16_bits(picture)
    if picture.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        key = picture.info.get("transparency")
        if isinstance(key, tuple) and max(key) > 255:  # of 16 bits, unlike the decoded pixels
            picture.info["transparency"] = tuple(level >> 8 for level in key)
        clear = picture.convert("LA" if grey else "RGBA")
        plain = PIL.Image.new("L" if grey else "RGB", clear.size)
        plain.paste(clear.convert(plain.mode), mask=clear.getchannel("A"))
        return plain
    return picture.copy() if picture.mode in ("L", "RGB") else picture.convert(
        "L" if grey else "RGB"
    )  # fmt: skip


def _check_size(picture: PIL.Image.Image, name: str, most: int = MAX_PIXELS) -> None:
    width, height = picture.size
    if width * height > most:
        raise ImageError(f"{name}: {width} x {height} pixels are more than {most}")


def _from_16_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    levels = np.asarray(picture).astype(np.int64)
    tags = getattr(picture, "tag_v2", {})  # of a TIFF
    bits = tags.get(_BITS_PER_SAMPLE, (16,))
    most = 4095 if bits == (12,) else 65535
    if levels.min() < 0 or levels.max() > most:
        raise ValueError("its pixels do not fit into 16 bits")
    if tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE:
        levels = most - levels
    shown = (levels * 255 + most // 2) // most
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        shown[levels == clear] = 0
    return PIL.Image.fromarray(shown.astype(np.uint8))


def _what(error: BaseException) -> str:
    """What is wrong, without Pillow's ``<_io.BufferedReader name=...>``."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return "it is not a picture of a supported kind: " + ", ".join(FORMATS)
    return str(error) or type(error).__name__


def _to_chw(picture: PIL.Image.Image) -> UInt8Images:
    array = np.asarray(picture, dtype=np.uint8)
    if array.ndim == 2:
        array = array[..., None]
    return np.ascontiguousarray(np.moveaxis(array, -1, 0))


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
