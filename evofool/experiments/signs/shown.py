"""The page's sections on a drive past the signs and on their print sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evofool.classifiers import Classifier
from evofool.experiments.engine import Results
from evofool.experiments.signs.driven import DrivenRow, drive_of
from evofool.experiments.signs.painted import Painted, Rows, file_name
from evofool.experiments.signs.works import PaintedRow, SeenRow
from evofool.experiments.works.nets import GivenNet
from evofool.images import UInt8Images, decode_png, encode_png
from evofool.report.paper import layout_of, pdf_bytes, resampled, shape_of
from evofool.report.sections import Picture, Section
from evofool.signs.drive import Drive
from evofool.signs.shown import strip

STILLS = 5
"""Columns of a strip."""


@dataclass(frozen=True)
class Best:
    """The sign of a net that holds best.

    Attributes:
        painted: its row of the tables.
        row: the painted picture, with its PNG.
        frames: of its drive that are read as the target.
        drive: None without a drive.
    """

    painted: Painted
    row: PaintedRow
    frames: int
    drive: Drive | None

    @property
    def picture(self) -> UInt8Images:
        """C x H x W."""
        return decode_png(self.row.png or b"")


def best(results: Results, lines: Sequence[Painted]) -> Best:
    """The sign that is read in most frames of its drive; of equals, or without a drive, the one
    that holds under most transforms, then the surest.

    Args:
        results: of the works.
        lines: rows of the tables whose signs are looked at.
    """
    found: list[tuple[tuple[int, int, float], Painted, int]] = []
    for one in lines:
        targets = [row.target for row in results.rows(one.painted, PaintedRow)]
        read = [0] * len(targets)
        if one.driven is not None:
            for driven in results.rows(one.driven, DrivenRow):
                read[driven.item] = sum(label == targets[driven.item] for label in driven.read)
        found += [
            ((read[seen.item], seen.held, seen.confidence), one, seen.item)
            for seen in results.rows(one.seen, SeenRow)
        ]
    score, one, item = max(found, key=lambda each: each[0])
    (row,) = (r for r in results.with_pictures(one.painted, PaintedRow) if r.item == item)
    drive = None
    if one.driven is not None:
        way = results.rows(one.driven, DrivenRow)[item]
        drive = drive_of(way, decode_png(row.png or b""), row.target)
    return Best(one, row, score[0], drive)


def strips(
    experiment: Rows, results: Results, told: Mapping[str, Any], files: dict[str, bytes]
) -> list[Picture]:
    """A strip of stills for each net, a line for each kind of picture, as `files`."""
    pictures = []
    for number, net in enumerate(told["nets"]):
        lines = _publishable(experiment, net)
        kinds = dict.fromkeys(one.row for one in lines)
        chosen = [best(results, [one for one in lines if one.row == kind]) for kind in kinds]
        drives = [one.drive for one in chosen if one.drive is not None]
        name = f"drive-{number}.png"
        files[name] = strip(drives, _victim(lines[0]), min(STILLS, told["frames"]))
        targets = ", ".join(experiment.labels[one.row.target] for one in chosen)
        pictures.append(Picture(name, net, f"targets, from the top: {targets}"))
    return pictures


def on_paper(
    experiment: Rows, results: Results, told: Mapping[str, Any]
) -> tuple[Section, dict[str, bytes]]:
    """The section on the print sheets, and the sheets by their names in the run folder."""
    asked = experiment.config.print
    beside: dict[str, bytes] = {}
    parts = []
    for net in told["nets"]:
        one = best(results, _publishable(experiment, net))
        picture = one.picture
        shape = shape_of(picture.shape[1:], asked.width_mm, asked.dpi)
        image, how = resampled(picture, shape, "nearest")
        size = (asked.width_mm, asked.width_mm * shape[0] / shape[1])
        layout = layout_of(size, asked.paper)
        label = experiment.labels[one.row.target]
        name = f"print/{file_name(net)}"
        beside[f"{name}.png"] = encode_png(image, {"Software": "evofool"}, asked.dpi)
        beside[f"{name}.pdf"] = pdf_bytes(image, size, layout, f"{label}, {net}", how)
        read = f", read in {one.frames} of {told['frames']} frames" if told["frames"] else ""
        parts.append(
            f"{name}.pdf: {label} for {net} ({one.painted.row}, {one.painted.method}{read}),"
            f" {size[0]:g} x {size[1]:g} mm on {layout.pages} pages of {asked.paper.upper()}."
        )
    note = (
        "For each net, the sign that is read as its target most often: as a PDF at true size, on"
        " pages with crop marks and a bar of 100 mm to check the scale, and as a PNG with"
        f" {asked.dpi} dots per inch. Print at 100 %. The files are linked at the foot of the page."
        f" {' '.join(parts)}"
    )
    return Section("On paper", note), beside


def shows(experiment: Rows, one: Painted) -> bool:
    """Whether the page may show what was painted: photographs are not everybody's to publish."""
    return experiment.config.shown or one.row != "in-distribution"


def _publishable(experiment: Rows, net: str) -> list[Painted]:
    return [one for one in experiment.painted if one.net == net and shows(experiment, one)]


def _victim(one: Painted) -> Classifier:
    net = one.painted.net
    assert isinstance(net, GivenNet)  # `SignsStudy` makes no other
    return net.classifier
