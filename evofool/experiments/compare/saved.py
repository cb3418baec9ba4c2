"""The pictures that methods left, with all that was measured of them; and these as tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evofool.experiments.compare.likeness import Likeness, likeness
from evofool.experiments.compare.measures import MethodResults, estimate
from evofool.experiments.compare.searches import Arm, Compared
from evofool.experiments.compare.works import BARS, SearchRow
from evofool.experiments.engine import Results
from evofool.experiments.transfer.works import AimRow
from evofool.experiments.works.nearest import NearRow
from evofool.files import read_file
from evofool.images import decode_png
from evofool.report.columns import Cell
from evofool.report.tables import Column, Confidence, Count, Number, Rate, Table, Text
from evofool.scoring.ranking import sigmoid
from evofool.store import Check
from evofool.text import counted

FOLDER = "pictures"
"""Of the run folder, in which all pictures lie."""


@dataclass(frozen=True)
class Saved:
    """The best picture of a class that a method came to.

    Attributes:
        arm: the method on a net.
        seed: of the search.
        row: what it came to; its PNG is the picture.
        label: of the class.
        file: where the picture lies, relative to the run folder; empty of a natural picture that is
            not to be published.
        like: what it is like.
        near: how far it is from natural pictures, where that was measured.
        shown: what other nets make of it, by their names.
    """

    arm: Arm
    seed: int
    row: SearchRow
    label: str
    file: str
    like: Likeness
    near: NearRow | None
    shown: Mapping[str, AimRow] = field(default_factory=dict)

    @property
    def png(self) -> bytes:
        """The picture."""
        return self.row.png or b""

    @property
    def confidence(self) -> float:
        """Of the net, in the class."""
        return float(sigmoid(np.array(self.row.final)))


def saved_pictures(compared: Compared, results: Results) -> Iterator[Saved]:
    """All pictures, by net, method, seed and class.

    Raises:
        StoreError: a row is damaged.
    """
    for n, (net, labels) in enumerate(compared.labels.items()):
        for a, arm in enumerate(compared.of(net)):
            for seed, work in arm.runs.items():
                near: dict[int, NearRow] = {}
                shown: dict[str, dict[int, AimRow]] = {}
                for measure in compared.measures_of(arm, seed):
                    if measure.target:
                        aims = results.rows(measure.work, AimRow)
                        shown[measure.target] = {row.item: row for row in aims}
                    else:
                        near = {row.item: row for row in results.rows(measure.work, NearRow)}
                hidden = _hidden(compared, arm)
                for row in results.with_pictures(work, SearchRow):
                    png = row.png or b""
                    yield Saved(
                        arm,
                        seed,
                        row,
                        labels[row.item],
                        "" if hidden else _file(n, a, seed, row.item),
                        likeness(decode_png(png), png),
                        near.get(row.item),
                        {name: rows[row.item] for name, rows in shown.items()},
                    )


def check_pictures(compared: Compared, results: Results) -> Check:
    """Whether the files are the stored pictures."""
    wrong, count = [], 0
    for n, net in enumerate(compared.labels):
        for a, arm in enumerate(compared.of(net)):
            if _hidden(compared, arm):
                continue
            for seed, work in arm.runs.items():
                for row in results.with_pictures(work, SearchRow):
                    count += 1
                    file = _file(n, a, seed, row.item)
                    try:
                        same = read_file(results.folder.path / file) == row.png
                    except OSError:
                        same = False
                    if not same:
                        wrong.append(file)
    if not wrong:
        return Check(FOLDER, True, f"{counted(count, 'file')} as stored")
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return Check(FOLDER, False, f"{wrong[0]}{more} differs or is missing")


def pictures_table(pictures: Sequence[Saved]) -> Table:
    """``pictures.csv``: a line per picture."""
    columns: list[Column] = [
        Text("net"), Text("method"), Count("seed"), Count("class_index"), Text("label"),
        Text("file"), Text("sha256"), Number("confidence"), Number("variation"), Number("slope"),
        Number("edges"), Count("colours"), Count("png_bytes"), Count("nearest"),
        Number("nearest_rms"), Number("nearest_features"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            one.arm.victim, one.arm.title, one.seed, one.row.item, one.label, one.file or None,
            hashlib.sha256(one.png).hexdigest(), one.confidence, one.like.variation,
            None if np.isnan(one.like.slope) else one.like.slope, one.like.edges, one.like.colours,
            one.like.png,
            *((None,) * 3 if one.near is None
              else (one.near.natural, one.near.rms, one.near.features)),
        ]
        for one in pictures
    ]  # fmt: skip
    return Table(columns, rows)


def shown_table(pictures: Sequence[Saved]) -> Table:
    """``shown.csv``: a line per picture and other net that it was shown to."""
    columns: list[Column] = [
        Text("net"), Text("method"), Count("seed"), Count("class_index"), Text("target"),
        Count("target_class"), Number("confidence"), Count("predicted"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [one.arm.victim, one.arm.title, one.seed, one.row.item, target, row.aim, row.aimed,
         row.predicted]
        for one in pictures
        for target, row in one.shown.items()
    ]  # fmt: skip
    return Table(columns, rows)


def likeness_table(pictures: Sequence[Saved]) -> Table:
    """``likeness.csv``: what the pictures of a net and method are like, medians over all."""
    near = any(one.near is not None for one in pictures)
    columns: list[Column] = [
        Text("net"), Text("method"), Number("total variation", "variation", form=".3f"),
        Number("slope of the spectrum", "slope", form="+.2f"), Rate("edges"),
        Number("colours", form=",.0f"), Number("bytes as PNG", "png_bytes", form=",.0f"),
    ]  # fmt: skip
    if near:
        columns += [
            Number("pixels from the nearest natural picture", "nearest_rms", form=".1f"),
            Number("in the net's features", "nearest_features", form=".3g"),
        ]
    rows: list[list[Cell]] = []
    for arm, own in by_arm(pictures):
        slopes = [one.like.slope for one in own if not np.isnan(one.like.slope)]
        cells: list[Cell] = [
            arm.victim, arm.title, _median([one.like.variation for one in own]), _median(slopes),
            _median([one.like.edges for one in own]), _median([one.like.colours for one in own]),
            _median([one.like.png for one in own]),
        ]  # fmt: skip
        if near:
            far = [one.near for one in own if one.near is not None]
            cells.append(_median([each.rms for each in far]))
            cells.append(_median([v for each in far if (v := each.features) is not None]))
        rows.append([*cells, len(own)])
    return Table([*columns, Count("pictures")], rows, grouped_by="net")


def transfer_table(
    pictures: Sequence[Saved], outcomes: Sequence[MethodResults], seed: int
) -> Table:
    """``transfer.csv``: how many pictures other nets take for their class, too.

    Shares are of all classes that were sought, averaged over the seeds; a class without a picture
    is none that is kept. Intervals are bootstrapped over the seeds.

    Args:
        pictures: all of them.
        outcomes: of all methods.
        seed: of the bootstrap.
    """
    many = all(len(one.seeds) > 1 for one in outcomes)
    columns: list[Column] = [Text("net"), Text("shown to", "target"), Text("method")]
    columns.append(Confidence("median confidence there", "median_confidence"))
    classes = {(one.arm.victim, one.arm.title): one.final.shape[1] for one in outcomes}
    most = max(classes.values(), default=0)
    for bar in BARS:
        ends = (f"share_{bar:g}_low", f"share_{bar:g}_high") if many else None
        columns.append(Rate(f"classes kept at {bar:g}", f"share_{bar:g}", bounds=ends, of=most))
    rows: list[list[Cell]] = []
    for arm, own in by_arm(pictures):
        n = classes[arm.victim, arm.title]
        for target in dict.fromkeys(name for one in own for name in one.shown):
            sure = np.zeros((len(arm.runs), n))
            for s, of_seed in enumerate(arm.runs):
                for one in own:
                    if one.seed == of_seed and target in one.shown:
                        sure[s, one.row.item] = one.shown[target].aimed or 0.0
            cells: list[Cell] = [arm.victim, target, arm.title]
            cells.append(float(np.median(np.median(sure, axis=1))))
            for bar in BARS:
                share = estimate((sure >= bar).mean(axis=1), seed, np.mean)
                cells.append(share if many else share.value)
            rows.append(cells)
    rows.sort(key=lambda row: list(classes).index((str(row[0]), str(row[2]))))
    return Table(columns, rows, grouped_by="net")


def by_arm(pictures: Sequence[Saved]) -> Iterator[tuple[Arm, list[Saved]]]:
    """The pictures of each method on each net, in their order."""
    grouped: dict[tuple[str, str], list[Saved]] = {}
    for one in pictures:
        grouped.setdefault((one.arm.victim, one.arm.title), []).append(one)
    for own in grouped.values():
        yield own[0].arm, own


def _file(net: int, method: int, seed: int, item: int) -> str:
    return f"{FOLDER}/{net}-{method:02d}-{seed}-{item:04d}.png"


def _hidden(compared: Compared, arm: Arm) -> bool:
    """Whether the pictures of a method stay out of the folder."""
    return arm.family == "natural" and not compared.config.pictures


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
