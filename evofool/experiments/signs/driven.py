"""A car that drives by painted signs, as a work, and what the page shows of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.work import work
from evofool.experiments.signs.works import PaintedRow, PaintedSigns
from evofool.images import UInt8Images, decode_png
from evofool.signs.drive import BINS, Aim, Drive, Sight, drive
from evofool.signs.footage import Approach, Footage
from evofool.signs.plates import make_sign

BOARD = "square"
"""The whole picture is printed, as on the print sheet."""


@dataclass(frozen=True)
class DrivenRow(Row):
    """What a net reads on one painted picture while a car drives by.

    Attributes:
        read: its first answer in each frame, the farthest first; -1 where it gave none.
        confidence: in that answer, on [0, 1]; 0 where it gave none.
    """

    type: ClassVar[str] = "driven"

    read: tuple[int, ...]
    confidence: tuple[float, ...]


@work
class SignsDriven(Work):
    """Painted pictures as square boards in drawn streets, each read once a frame.

    The approach is that of `evofool.signs.footage.Approach`: from 40 m to 6 m, a board of 600 mm.

    Attributes:
        painted: the pictures.
        frames: of each drive.
    """

    kind: ClassVar[str] = "signs-driven"
    rows: ClassVar[tuple[type[Row], ...]] = (DrivenRow,)

    painted: PaintedSigns
    frames: int

    @property
    def images(self) -> int:
        """One a frame."""
        return len(self.painted.pictures) * self.frames

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        rows = context.with_pictures(self.painted, PaintedRow)
        net = self.painted.net.load(context)
        with context.scorer(net, self.painted.scoring) as scorer:
            for row in rows:
                film = footage(decode_png(row.png or b""), row.item, self.frames)
                seen = drive(scorer, film, Aim(row.target)).sights
                yield DrivenRow(
                    row.item,
                    tuple(sight.read for sight in seen),
                    tuple(sight.confidence or 0.0 for sight in seen),
                )


def footage(picture: UInt8Images, item: int, frames: int) -> Footage:
    """The drive past `picture`, uint8 C x H x W, which is number `item` of its kind."""
    return Footage(make_sign(picture, BOARD), Approach(frames=frames), item)


def drive_of(row: DrivenRow, picture: UInt8Images, target: int) -> Drive:
    """A drive from its row, `picture` (uint8 C x H x W) and its target: nothing is scored."""
    film = footage(picture, row.item, len(row.read))
    sights = []
    for frame, (read, sure) in enumerate(zip(row.read, row.confidence, strict=True)):
        left, top, right, bottom = film.detected(frame)
        hit = read == target
        sights.append(
            Sight(
                frame, film.approach.distance(frame), film.angle_seen(frame),
                (right - left, bottom - top), read, sure if read >= 0 else None, None, hit,
            )
        )  # fmt: skip
    return Drive(film, Aim(target), tuple(sights))


def metres(frames: int) -> list[float]:
    """The middle of each part of the way that frames are counted in, the farthest first."""
    approach = Approach(frames=frames)
    ways = [[approach.distance(frame) for frame in part] for part in parts(frames)]
    return [(way[0] + way[-1]) / 2 for way in ways]


def parts(frames: int) -> list[Sequence[int]]:
    """The frames of each of up to `BINS` equal parts of the way, the farthest first."""
    count = min(BINS, frames)
    ends = [round(k * frames / count) for k in range(count + 1)]
    return [range(a, b) for a, b in pairwise(ends)]
