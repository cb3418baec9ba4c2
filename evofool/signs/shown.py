"""What a drive leaves: the annotated film, the strip of stills, the table, the summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from evofool.attacks.runs.statistics import share
from evofool.classifiers import Classifier
from evofool.images import UInt8Images, encode_png
from evofool.report.video import Video, film
from evofool.scoring import Scorer
from evofool.signs.drive import Drive, Sight, as_input, by_distance
from evofool.text import csv_bytes, percent, shortened

COLUMNS = (
    "sign", "target", "true", "frame", "distance_m", "angle_deg", "width_px", "height_px", "read",
    "read_label", "confidence", "aimed_confidence", "fooled",
)  # fmt: skip
RATE = 20.0
"""Frames of a film a second."""
FILM_WIDTH = 640

_PAPER, _INK, _SOFT = (255, 255, 255), (28, 27, 25), (118, 114, 108)
_YES, _NO = (36, 138, 61), (176, 58, 46)
_INSET = 96


def table(drives: Sequence[Drive], victim: Classifier) -> bytes:
    """``results.csv``: a line a frame and sign."""

    def rows() -> Iterator[tuple[object, ...]]:
        for one in drives:
            name = one.footage.sign.name
            for s in one.sights:
                yield (
                    name, _cell(one.aim.target), _cell(one.aim.true), s.frame, round(s.distance, 3),
                    round(s.angle, 2), *s.pixels, _cell(s.read if s.read >= 0 else None),
                    label_of(s.read, victim), _cell(s.confidence), _cell(s.aimed), int(s.fooled),
                )  # fmt: skip

    return csv_bytes(COLUMNS, rows())


def summary(drives: Sequence[Drive], scorer: Scorer) -> dict[str, Any]:
    """``summary.json``: shares of frames fooled, of all signs, by distance and of each sign."""
    victim = scorer.classifier
    frames = sum(len(one.sights) for one in drives)
    fooled = sum(one.fooled for one in drives)
    first = drives[0].footage
    return {
        "made_by": "evofool drive",
        "classifier": {"name": victim.name, "digest": victim.digest},
        "signs": len(drives),
        "frames": frames,
        **share(fooled, frames),
        "by_distance": [asdict(each) for each in by_distance(drives)],
        "each": [
            {
                "sign": one.footage.sign.name,
                "target": one.aim.target,
                "true": one.aim.true,
                "frames": len(one.sights),
                **share(one.fooled, len(one.sights)),
            }
            for one in drives
        ],
        "approach": asdict(first.approach),
        "camera": asdict(first.camera),
        "detector": "simulated: the sign's own box, jittered; resized to the input",
        "queries": scorer.queries,
        "forward_images": scorer.forward_images,
    }


def video(one: Drive, victim: Classifier) -> Video:
    """The film of a drive, each frame with what is read in it."""

    def frames() -> Iterator[UInt8Images]:
        for sight in one.sights:
            yield annotated(one, sight, victim)

    return film(frames, RATE)


def annotated(one: Drive, sight: Sight, victim: Classifier) -> UInt8Images:
    """A frame as the film shows it, H x W x 3: the detector's box, what it cut out, the answer."""
    frame = one.footage.frame(sight.frame)
    left, top, right, bottom = one.footage.detected(sight.frame)
    crop = frame[top:bottom, left:right]
    scale = FILM_WIDTH / frame.shape[1]
    size = (FILM_WIDTH, round(frame.shape[0] * scale))
    page = PIL.Image.fromarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
    draw = PIL.ImageDraw.Draw(page)
    colour = _YES if sight.fooled else _NO
    box = [round(side * scale) for side in (left - 2, top - 2, right + 2, bottom + 2)]
    draw.rectangle(box, outline=colour, width=2)
    page.paste(_inset(crop, victim), (12, size[1] - _INSET - 12))
    draw.rectangle(
        (11, size[1] - _INSET - 13, 12 + _INSET, size[1] - 12), outline=_PAPER, width=1
    )  # fmt: skip
    x, y = _INSET + 24, size[1] - 58
    draw.rectangle((x - 6, y - 6, size[0] - 12, size[1] - 12), fill=(20, 20, 20))
    font, small = _font(17), _font(13)
    width = size[0] - x - 26
    draw.text((x, y), _answer(sight, victim, width, font), font=font, fill=_PAPER)
    verdict = "fooled" if sight.fooled else "not fooled"
    about = f"{sight.distance:.1f} m   {sight.angle:.0f}°   {right - left} x {bottom - top} pixels"
    draw.text((x, y + 24), about, font=small, fill=(200, 200, 200))
    draw.text(
        (size[0] - 20, y + 24), verdict, font=small, fill=(120, 220, 140) if sight.fooled else
        (250, 150, 140), anchor="ra",
    )  # fmt: skip
    return np.asarray(page, dtype=np.uint8)


def strip(drives: Sequence[Drive], victim: Classifier, stills: int = 6) -> bytes:
    """Stills of drives as a PNG, a row a drive, the farthest first.

    Above what the camera sees around the sign, below what the victim gets and reads.
    """
    tall, wide, gap = 148, 148, 10
    height = tall + 70
    count = min(stills, max(len(one.sights) for one in drives))
    page = PIL.Image.new(
        "RGB", (gap + count * (wide + gap), gap + len(drives) * (height + gap)), _PAPER
    )
    draw = PIL.ImageDraw.Draw(page)
    for row, one in enumerate(drives):
        y = gap + row * (height + gap)
        chosen = np.linspace(0, len(one.sights) - 1, count).round().astype(int).tolist()
        for column, frame in enumerate(chosen):
            x, sight = gap + column * (wide + gap), one.sights[frame]
            page.paste(_surroundings(one, frame, wide, tall), (x, y))
            inset = _inset(one.footage.crop(frame)[0], victim, 52)
            page.paste(inset, (x, y + tall + 6))
            colour = _YES if sight.fooled else _NO
            draw.rectangle((x - 1, y - 1, x + wide, y + tall), outline=colour, width=2)
            left, font = x + 58, _font(11)
            draw.text((left, y + tall + 4), f"{sight.distance:.0f} m, {sight.angle:.0f}°",
                      font=font, fill=_SOFT)  # fmt: skip
            name = shortened(label_of(sight.read, victim), wide - 58, font.getlength)
            draw.text((left, y + tall + 20), name, font=font, fill=_INK)
            sure = "" if sight.confidence is None else percent(sight.confidence)
            draw.text((left, y + tall + 36), sure, font=font, fill=colour)
    return encode_png(np.ascontiguousarray(np.asarray(page, np.uint8).transpose(2, 0, 1)))


def label_of(read: int, victim: Classifier) -> str:
    """The name of a class; of none, that there is none."""
    return victim.labels[read] if read >= 0 else "no answer"


def _answer(sight: Sight, victim: Classifier, width: float, font: Any) -> str:
    sure = "" if sight.confidence is None else f"  {percent(sight.confidence)}"
    room = width - font.getlength(sure)
    return shortened(label_of(sight.read, victim), room, font.getlength) + sure


def _surroundings(one: Drive, frame: int, width: int, height: int) -> PIL.Image.Image:
    """The sign with as much around it, as large as a still."""
    left, top, right, bottom = one.footage.place(frame).box
    camera = one.footage.camera
    half = min(1.1 * max(right - left, bottom - top), camera.height / 2)
    x = float(np.clip((left + right) / 2, half, camera.width - half))
    y = float(np.clip((top + bottom) / 2, half, camera.height - half))
    window = (int(x - half), int(y - half), int(x + half), int(y + half))
    part = PIL.Image.fromarray(one.footage.part(frame, window))
    return part.resize((width, height), PIL.Image.Resampling.BICUBIC)


def _inset(crop: UInt8Images, victim: Classifier, side: int = _INSET) -> PIL.Image.Image:
    """What the victim gets of a crop, h x w x 3."""
    pixels = as_input(crop, victim)
    rows = np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0)
    larger = max(pixels.shape[1:]) < side
    how = PIL.Image.Resampling.NEAREST if larger else PIL.Image.Resampling.LANCZOS
    return PIL.Image.fromarray(np.ascontiguousarray(rows)).resize((side, side), how)


def _font(size: int) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    return PIL.ImageFont.load_default(size)


def _cell(value: float | None) -> object:
    return "" if value is None else value
