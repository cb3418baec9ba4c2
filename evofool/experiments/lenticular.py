"""``evofool drive --lenticular``: two pictures on one sign, read by angle and by a passing car."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evofool.attacks.runs.statistics import share
from evofool.classifiers import Classifier
from evofool.errors import UsageError
from evofool.evolution.reading import claim_beside, keeping_answers
from evofool.experiments.driving import (
    Driven,
    aim_of,
    free_place,
    known_class,
    victim_of,
    write_all,
)
from evofool.files import is_folder
from evofool.images import UInt8Images, encode_png, picture_to_array, read_picture, to_hwc
from evofool.report.figures import (
    dress,
    grid_lines,
    light_and_dark,
    name_axes,
    new_figure,
    to_png,
    tones,
)
from evofool.report.theme import Colours
from evofool.scoring import Scorer
from evofool.signs import shown
from evofool.signs.drive import Aim, Sight, as_input, ask, drive
from evofool.signs.footage import Approach, Footage
from evofool.signs.lenticular import Glance, Lenses, glances, lenticular_sign
from evofool.store.files import json_bytes
from evofool.text import csv_bytes, shortened

ANGLES = tuple(float(angle) for angle in np.linspace(-5, 36, 83))
"""Degrees of the curve."""
COLUMNS = ("angle_deg", "second_share", "read", "read_label", "first_confidence",
           "second_confidence")  # fmt: skip
_SIDE = 256


def lenticular_drive(
    paths: Sequence[Path | str | os.PathLike[str]],
    out: Path | str | os.PathLike[str],
    *,
    classifier: str | Mapping[str, Any] | Classifier | None = None,
    target: str | None = None,
    true: str | None = None,
    approach: Approach | None = None,
    lenses: Lenses | None = None,
    shape: str = "square",
    film: bool = False,
    stills: int = 6,
    say: Callable[[str], None] | None = None,
) -> Driven:
    """Interlace two pictures behind lenses, look at the sign from every angle, and drive by.

    The folder gets what `evofool.experiments.driving.drive_by` writes, and ``angles.csv`` and
    ``angles.png``: what is read by the angle. ``summary.json`` says how often each picture's
    class was read on its own side of the switch.

    Args:
        paths: two pictures: that seen below the lenses' switch, and that seen above.
        out: a new or empty folder.
        classifier: the victim; None: the one that ships with evofool and that the pictures claim.
        target: the class of the second picture; by default what it claims, else what is read on it.
        true: the same of the first.
        approach: how it is driven by.
        lenses: over the print.
        shape: of the sign.
        film: whether an annotated film is made.
        stills: columns of the strip.
        say: called with a line about each picture.

    Raises:
        UsageError: not two pictures, both of one class, no victim, no such class, or a sign that
            cannot be seen whole.
        ImageError: a file is not a picture.
        FolderError, StoreError: `out` holds something, or cannot be written.
        ScoringError: the victim failed.
    """
    place = free_place(out)
    files = [Path(path) for path in paths]
    if len(files) != 2 or any(is_folder(path) for path in files):
        raise UsageError("a lenticular sign has two pictures: name both, and no run folder")
    pictures = [_square(path) for path in files]
    claims = [claim_beside(path)[0] for path in files]
    victim = victim_of(classifier, claims)
    sheet = lenses or Lenses()
    name = f"{files[0].stem} / {files[1].stem}"
    sign = lenticular_sign(pictures[0], pictures[1], sheet, shape, name)
    footage = Footage(sign, approach or Approach())
    footage.check()
    asked = [aim_of(true, victim, "--true"), aim_of(target, victim, "--target")]
    with Scorer(victim) as scorer, keeping_answers(scorer):
        classes = [
            _class(scorer, own, claim, picture, path)
            for own, claim, picture, path in zip(asked, claims, pictures, files, strict=True)
        ]
        if classes[0] == classes[1]:
            raise UsageError(
                f"both pictures are {victim.labels[classes[0]][:80]!r}: a lenticular sign needs two"
                " that are read differently (--true names the first one's class, --target the"
                " second one's)"
            )
        curve = glances(scorer, sign, (classes[0], classes[1]), sheet, ANGLES)
        one = drive(scorer, footage, Aim(target=classes[1], true=classes[0]))
        summary = shown.summary([one], scorer)
    sides = _sides(one.sights, (classes[0], classes[1]), sheet)
    summary = {**summary, "lenticular": {**asdict(sheet), **sides}}
    if say is not None:
        for words, key in (("below", "first"), ("above", "second")):
            side = sides[key]
            label = victim.labels[side["class"]]
            say(
                f"{words} {sheet.switch:g} degrees: read as {label} in {side['successes']} of"
                f" {side['frames']} frames"
            )
    content = {
        "strip.png": shown.strip([one], victim, stills),
        "angles.csv": _table(curve, victim),
        **light_and_dark("angles", partial(_plot, curve, (classes[0], classes[1]), victim, sheet)),
        "print.png": encode_png(sheet.interlaced(pictures[0], pictures[1])),
    }
    note, film_name = "", None
    if film:
        made = shown.video(one, victim)
        note, film_name = made.note, f"drive.{made.form}"
        content[film_name] = made.data
    content["results.csv"] = shown.table([one], victim)
    content["summary.json"] = json_bytes(summary)
    write_all(place, content)
    return Driven(place, summary, (one,), place / film_name if film_name else None, note)


def _square(path: Path) -> UInt8Images:
    """The picture, stretched to a square as large as a sign is kept; 3 x H x W."""
    import PIL.Image

    picture = read_picture(path).convert("RGB")
    smaller = max(picture.size) < _SIDE
    how = PIL.Image.Resampling.NEAREST if smaller else PIL.Image.Resampling.LANCZOS
    return picture_to_array(picture.resize((_SIDE, _SIDE), how), 3)


def _class(
    scorer: Scorer,
    asked: int | None,
    claim: Mapping[str, Any] | None,
    picture: UInt8Images,
    path: Path,
) -> int:
    """The class of a picture: as asked for, as it claims, or what is read on it, by a query."""
    claimed = None if claim is None else known_class(claim, scorer.classifier)
    for known in (asked, claimed):
        if known is not None:
            return known
    image = as_input(to_hwc(picture), scorer.classifier)
    read, _, _ = ask(scorer, image[None], Aim(target=0))
    if read[0] < 0:
        raise UsageError(
            f"{path}: the classifier has no answer to it; name its class, that of the first by"
            " --true, that of the second by --target"
        )
    return read[0]


def _sides(sights: Sequence[Sight], classes: tuple[int, int], lenses: Lenses) -> dict[str, Any]:
    """How often each picture's class was read where that picture is the one that is seen."""
    sides: dict[str, Any] = {}
    for key, wanted, above in (("first", classes[0], False), ("second", classes[1], True)):
        there = [sight for sight in sights if (sight.angle > lenses.switch) == above]
        sides[key] = {
            "class": wanted,
            "frames": len(there),
            **share(sum(sight.read == wanted for sight in there), len(there)),
        }
    return sides


def _table(curve: Sequence[Glance], victim: Classifier) -> bytes:
    rows = (
        (
            round(g.angle, 2), round(g.share, 4), g.read if g.read >= 0 else "",
            shown.label_of(g.read, victim), "" if g.first is None else g.first,
            "" if g.second is None else g.second,
        )
        for g in curve
    )  # fmt: skip
    return csv_bytes(COLUMNS, rows)


def _plot(
    curve: Sequence[Glance],
    classes: tuple[int, int],
    victim: Classifier,
    lenses: Lenses,
    colours: Colours,
) -> bytes | None:
    """Confidence in both classes over the angle; None where the victim gives labels only."""
    if all(glance.first is None for glance in curve):
        return None
    figure = new_figure((6.4, 3.2), colours)
    axes = figure.add_subplot()
    hues = tones(2, colours)
    angles = [glance.angle for glance in curve]
    for k, hue in enumerate(hues):
        values = [g.second if k else g.first for g in curve]
        label = shortened(victim.labels[classes[k]], 40, len)
        axes.plot(angles, [np.nan if v is None else v for v in values], color=hue, linewidth=2,
                  label=label)  # fmt: skip
    axes.axvline(lenses.switch, color=colours["soft"], linewidth=1, linestyle=":")
    axes.set_ylim(-0.02, 1.02)
    grid_lines(axes, colours)
    name_axes(axes, colours, "angle from the sign's normal, degrees", "confidence")
    legend = axes.legend(frameon=False, fontsize=8.5, labelcolor=colours["ink"], loc="center left")
    for text in legend.get_texts():
        text.set_parse_math(False)
    dress(axes, colours, "A lenticular sign, read from every angle")
    return to_png(figure, colours)
