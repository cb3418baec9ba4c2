"""Videos: frames through OpenCV where one of its encoders opens, animated WebP by Pillow else."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from evofool.errors import UsageError
from evofool.images import UInt8Images

CODECS = {"webm": ("VP80", "VP90"), "mp4": ("mp4v", "avc1")}
"""What is tried for each kind of file, the faster encoder first."""
_LEAST_BYTES = 1000
"""A file with less is one of an encoder that opened and wrote nothing but a header."""

Frames = Callable[[], Iterable[UInt8Images]]
"""Gives the frames from the first on, H x W x 3 uint8 each: once for each encoder that is tried."""


@dataclass(frozen=True)
class Video:
    """An encoded film.

    Attributes:
        data: the file.
        form: how its name ends: ``webm``, ``mp4`` or ``webp``.
        note: what was tried before, where it is not the first choice; "" where it is.
    """

    data: bytes
    form: str
    note: str = ""


def film(frames: Frames, rate: float, quality: int = 70) -> Video:
    """The frames as a WebM, where OpenCV has no encoder for one as an MP4, else as a WebP.

    Args:
        frames: all of one size.
        rate: of frames a second.
        quality: of the pictures in a WebP, Pillow's, 0 to 100.

    Raises:
        ValueError: no frames.
    """
    tried: list[str] = []
    for form in CODECS:
        try:
            data = encoded(frames, form, rate)
        except UsageError:
            tried.append(f"{form} ({', '.join(CODECS[form])})")
            continue
        note = f"OpenCV has no encoder for {tried[0]}; this is an MP4" if tried else ""
        return Video(data, form, note)
    note = f"OpenCV has no encoder for {' or '.join(tried)}; this is an animated WebP"
    return Video(_webp(frames, rate, quality), "webp", note)


def encoded(frames: Frames, form: str, rate: float, codecs: Sequence[str] | None = None) -> bytes:
    """The frames as a ``webm`` or ``mp4``; odd sides get a black line more, as encoders want them.

    Args:
        frames: all of one size.
        form: of the file.
        rate: of frames a second.
        codecs: to be tried, in their order; by default those of `CODECS`.

    Raises:
        UsageError: no encoder opens; the message names those that were tried.
        ValueError: no frames.
    """
    import cv2

    tried = codecs or CODECS[form]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"film.{form}"
        for codec in tried:
            pages = _even(frames())
            first = next(pages, None)
            if first is None:
                raise ValueError("a film needs at least one frame")
            fourcc = cv2.VideoWriter.fourcc(*codec)
            size = (first.shape[1], first.shape[0])
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, rate, size)
            if not writer.isOpened():
                continue
            writer.write(first)
            for page in pages:
                writer.write(page)
            writer.release()
            data = path.read_bytes() if path.is_file() else b""
            if len(data) > _LEAST_BYTES:
                return data
    raise UsageError(f"this OpenCV has no encoder for {form} ({', '.join(tried)} were tried)")


def _even(frames: Iterable[UInt8Images]) -> Iterator[UInt8Images]:
    """Blue before green before red, with even sides."""
    for frame in frames:
        odd = tuple((0, side % 2) for side in frame.shape[:2])
        yield np.ascontiguousarray(np.pad(frame[..., ::-1], (*odd, (0, 0))))


def _webp(frames: Frames, rate: float, quality: int) -> bytes:
    pages = [PIL.Image.fromarray(np.ascontiguousarray(frame)) for frame in frames()]
    if not pages:
        raise ValueError("a film needs at least one frame")
    buffer = io.BytesIO()
    pages[0].save(
        buffer, "WEBP", quality=quality, method=1, minimize_size=False, save_all=True,
        append_images=pages[1:], duration=round(1000 / rate), loop=0,
    )  # fmt: skip
    return buffer.getvalue()
