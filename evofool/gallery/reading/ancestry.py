"""From a random ancestor to the elite: which steps are shown, their strip and their film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evofool.gallery.reading.exhibits import Collection, Exhibit, Step
from evofool.images import UInt8Images
from evofool.store import IndividualId

STEPS = 12
"""Ancestors that a strip shows: the first, the last, changes of class, and some between."""
MOST = 48
"""Elites, the surest first, whose ancestry is drawn unless more are asked for."""
QUICK_SECONDS = 20.0
"""... as long as breeding their families again is estimated to take no longer."""
_STEP_SECONDS, _BYTE_SECONDS = 1e-4, 4e-9
"""To breed and to hash an individual, and for each byte of its genome, on one core."""
_CHUNK = 48


@dataclass(frozen=True)
class Strip:
    """Steps that are shown of an exhibit's ancestry, each with its picture.

    Attributes:
        steps: the oldest first; the last is the exhibit.
        generations: how many steps the whole line has.
        frames: of the steps, C x H x W uint8.
    """

    exhibit: Exhibit
    steps: Sequence[Step]
    generations: int
    frames: Sequence[UInt8Images]


def choose(line: Sequence[Step], most: int = STEPS) -> list[Step]:
    """At most `most` steps: both ends, changes of class before others, evenly spread."""
    if len(line) <= most:
        return list(line)
    last = len(line) - 1
    switches = [k for k in range(1, last) if line[k].class_index != line[k - 1].class_index]
    room = most - 2
    chosen = {0, last, *_spread(switches, room)}
    others = [k for k in range(1, last) if k not in chosen]
    chosen |= set(_spread(others, most - len(chosen)))
    return [line[k] for k in sorted(chosen)]


def affordable(collection: Collection, most: int | None) -> list[Exhibit]:
    """The exhibits whose ancestry is drawn, the surest first.

    Args:
        collection: of which.
        most: how many; None leaves it to `MOST` and `QUICK_SECONDS`.
    """
    ranked = sorted(collection.exhibits, key=lambda e: e.rank)
    if collection.no_ancestry or not ranked:
        return []
    if most is not None:
        return ranked[:most]
    source = collection.source
    cost = _STEP_SECONDS + _BYTE_SECONDS * source.genome_bytes(ranked[0])
    known: set[IndividualId] = set()
    chosen: list[Exhibit] = []
    for exhibit in ranked[:MOST]:
        known |= source.family(exhibit)
        if len(known) * cost > QUICK_SECONDS:
            break
        chosen.append(exhibit)
    return chosen


def strips(collection: Collection, exhibits: Sequence[Exhibit]) -> Iterator[Strip]:
    """The strip of each exhibit, a few dozen bred at a time.

    Raises:
        StoreError: an ancestor is missing or comes out different when it is bred again.
    """
    for start in range(0, len(exhibits), _CHUNK):
        part = exhibits[start : start + _CHUNK]
        lines = {exhibit.key: collection.source.line(exhibit) for exhibit in part}
        chosen = {key: choose(line) for key, line in lines.items()}
        ids = dict.fromkeys(step.id for steps in chosen.values() for step in steps)
        frames = collection.source.frames(list(ids))
        for exhibit in part:
            steps = chosen[exhibit.key]
            yield Strip(
                exhibit, steps, len(lines[exhibit.key]), [frames[step.id] for step in steps]
            )


def side_by_side(frames: Sequence[UInt8Images], side: int) -> UInt8Images:
    """The frames in a row, each `side` pixels wide: one 3 x side x (n side) uint8 image."""
    return np.concatenate([square(frame, side) for frame in frames], axis=2)


def square(frame: UInt8Images, side: int) -> UInt8Images:
    """C x H x W as 3 x side x side: pixels stay squares when they are enlarged."""
    import cv2

    rows = np.moveaxis(np.broadcast_to(frame, (3, *frame.shape[1:])), 0, -1)
    grown = max(rows.shape[:2]) < side
    how = cv2.INTER_NEAREST if grown else cv2.INTER_AREA
    small = cv2.resize(np.ascontiguousarray(rows), (side, side), interpolation=how)
    return np.ascontiguousarray(np.moveaxis(small, -1, 0)).astype(np.uint8)


def _spread(items: Sequence[int], most: int) -> list[int]:
    if most <= 0:
        return []
    if len(items) <= most:
        return list(items)
    return [items[k] for k in np.linspace(0, len(items) - 1, most).round().astype(int).tolist()]
