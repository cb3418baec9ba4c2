"""Animations of an ancestry: WebP by default, GIF, WebM, and MP4 where OpenCV finds an encoder."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias, get_args

import PIL.Image

from evofool.errors import UsageError
from evofool.gallery.reading.ancestry import square
from evofool.images import UInt8Images, to_hwc
from evofool.report import video

FilmFormat: TypeAlias = Literal["webp", "gif", "webm", "mp4"]
FORMATS: tuple[str, ...] = get_args(FilmFormat)
FRAME_SECONDS, LAST_SECONDS = 0.45, 1.8
"""How long a step is shown, and the elite at the end."""
_CODECS = {"webm": ("VP90", "VP80"), "mp4": ("mp4v", "avc1")}
_RATE = 20


def film(
    frames: Sequence[UInt8Images], form: FilmFormat = "webp", side: int = 224, quality: int = 72
) -> bytes:
    """The frames one after another as a film that repeats, `side` pixels wide.

    Args:
        frames: C x H x W uint8, the oldest first.
        form: of the file.
        side: of the square picture; small pictures are enlarged pixel by pixel.
        quality: of the pictures in a WebP.

    Raises:
        ValueError: no frames.
        UsageError: this OpenCV has no encoder for `form`; the message names what works.
    """
    if not frames:
        raise ValueError("a film needs at least one frame")
    return animation([square(frame, side) for frame in frames], form, quality)


def animation(
    pictures: Sequence[UInt8Images], form: FilmFormat = "webp", quality: int = 72
) -> bytes:
    """The pictures as they are, one after another, as a film that repeats.

    Args:
        pictures: 3 x H x W uint8, all of one size.
        form: of the file.
        quality: of the pictures in a WebP.

    Raises:
        UsageError: this OpenCV has no encoder for `form`; the message names what works.
    """
    if form in _CODECS:
        return _video(pictures, form)
    pages = [PIL.Image.fromarray(to_hwc(picture)) for picture in pictures]
    times = [round(1000 * FRAME_SECONDS)] * (len(pages) - 1) + [round(1000 * LAST_SECONDS)]
    buffer = io.BytesIO()
    common = {"save_all": True, "append_images": pages[1:], "duration": times, "loop": 0}
    if form == "webp":
        pages[0].save(buffer, "WEBP", quality=quality, method=1, minimize_size=False, **common)
    else:
        pages[0].save(buffer, "GIF", optimize=False, **common)
    return buffer.getvalue()


def webp(image: UInt8Images, quality: int = 80) -> bytes:
    """A lossy WebP of `image`, uint8 3 x H x W; `quality` is Pillow's, 0 to 100."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(to_hwc(image)).save(buffer, "WEBP", quality=quality, method=1)
    return buffer.getvalue()


def _video(pictures: Sequence[UInt8Images], form: str) -> bytes:
    def frames() -> Iterator[UInt8Images]:
        for index, picture in enumerate(pictures):
            shown = LAST_SECONDS if index == len(pictures) - 1 else FRAME_SECONDS
            for _ in range(round(shown * _RATE)):
                yield to_hwc(picture)

    try:
        return video.encoded(frames, form, _RATE, _CODECS[form])
    except UsageError as error:
        raise UsageError(f"{error}; use webp or gif") from None
