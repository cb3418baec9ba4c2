"""Films: the first kind that can be written, and a word where it is not a WebM."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import PIL.Image
import pytest

from evofool.errors import UsageError
from evofool.report import video

FRAMES = [np.full((35, 50, 3), level, np.uint8) for level in (0, 90, 255)]


class NoEncoder:
    """What OpenCV gives where no encoder opens."""

    tried: list[str] = []  # noqa: RUF012

    def __init__(self, path: str, *_: Any) -> None:
        self.tried.append(path.rpartition(".")[2])

    fourcc = staticmethod(lambda *letters: 0)
    isOpened = staticmethod(lambda: False)  # noqa: N815


def test_without_encoders_it_is_a_webp_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.VideoWriter", NoEncoder)
    NoEncoder.tried.clear()
    made = video.film(lambda: FRAMES, 10)
    assert (made.form, NoEncoder.tried) == ("webp", ["webm", "webm", "mp4", "mp4"])
    assert made.note == (
        "OpenCV has no encoder for webm (VP80, VP90) or mp4 (mp4v, avc1); this is an animated WebP"
    )
    with PIL.Image.open(io.BytesIO(made.data)) as picture:
        assert (picture.size, getattr(picture, "n_frames", 1)) == ((50, 35), 3)
    with pytest.raises(UsageError, match=r"webm \(VP80, VP90 were tried\)"):
        video.encoded(lambda: FRAMES, "webm", 10)


def test_without_a_webm_it_is_an_mp4_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def encoded(frames: Any, form: str, rate: float) -> bytes:
        if form == "webm":
            raise UsageError("none")
        return b"a film"

    monkeypatch.setattr(video, "encoded", encoded)
    made = video.film(lambda: FRAMES, 10)
    assert (made.form, made.data) == ("mp4", b"a film")
    assert "no encoder for webm" in made.note


def test_no_frames() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        video.film(list, 10)


def test_a_film_holds_its_frames(tmp_path: Any) -> None:
    import cv2

    made = video.film(lambda: [frame for frame in FRAMES for _ in range(5)], 10)
    if made.form == "webp":
        pytest.skip(made.note)
    (tmp_path / "film").write_bytes(made.data)
    film = cv2.VideoCapture(str(tmp_path / "film"))
    read = []
    while (frame := film.read())[0]:
        read.append(frame[1])
    assert len(read) == 15
    assert read[0].shape == (36, 50, 3)
    assert read[0].mean() < 20
    assert read[-1][:35].mean() > 235
