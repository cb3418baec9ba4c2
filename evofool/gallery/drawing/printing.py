"""An elite for print: a CPPN drawn anew at any size, or pixels enlarged as they are."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evofool.config import typed_classes
from evofool.errors import ImageError, UsageError
from evofool.gallery.drawing import films
from evofool.gallery.drawing.sheet import Tile, contact_sheet
from evofool.gallery.page.outlets import FolderOutlet, RunOutlet
from evofool.gallery.reading import ancestry
from evofool.gallery.reading.collect import collect
from evofool.gallery.reading.exhibits import IN_PLACE, Collection, Exhibit, Moved
from evofool.images import MAX_PIXELS, PROVENANCE, UInt8Images, encode_png
from evofool.report.theme import DARK
from evofool.store import Folder

_COLUMNS = 6
"""Pictures a row of a film of several."""


@dataclass(frozen=True)
class Printed:
    """Where a picture or film lies, and how large it is."""

    path: Path
    width: int
    height: int


def enlarge(
    path: Path | str,
    wanted: int | str,
    size: int,
    out: Path | str | None = None,
    *,
    repeat: bool = False,
    moved: Moved = IN_PLACE,
) -> Printed:
    """Draw the elite of a class anew, its longer side `size` pixels.

    Its PNG says that the confidence was that of the small picture: the large one was never scored.

    Args:
        path: a run folder.
        wanted: the class of the elite: its index, its label, or a pattern that fits one class.
        size: of the longer side.
        out: the file; by default in the run folder's ``gallery/``.
        repeat: for a picture made of pixels: repeat each of them, instead of refusing.
        moved: where files of the run are now.

    Raises:
        UsageError: no elite of that class, a picture that has no more than its pixels (without
            `repeat`), or a size that is too large.
        StoreError: no run folder, or `out` cannot be written.
    """
    with ExitStack() as stack:
        run, collection, exhibit = find(path, wanted, stack, moved)
        height, width = collection.size
        longest = max(height, width)
        shape = (max(1, round(height * size / longest)), max(1, round(width * size / longest)))
        if size < 1 or shape[0] * shape[1] > MAX_PIXELS:
            raise ImageError(
                f"--size {size}: {shape[1]} x {shape[0]} pixels are not between 1 and"
                f" {MAX_PIXELS:,}; the largest square has {int(MAX_PIXELS**0.5):,}"
            )
        if repeat:
            image = _repeated(collection.source.render(exhibit, collection.size), shape)
        else:
            image = collection.source.render(exhibit, shape)
        claim = {
            "class_index": exhibit.class_index, "label": exhibit.label,
            "confidence": exhibit.confidence, "scored_at": [height, width],
            "generation": exhibit.generation, "individual": exhibit.individual,
            "classifier": collection.victim, "classifier_digest": collection.digest,
            "encoding": collection.encoding, "run_id": collection.run_id, "seed": collection.seed,
        }  # fmt: skip
        data = encode_png(image, {"Software": "evofool", PROVENANCE: json.dumps(claim)})
        name = f"print-{exhibit.stem}-{size}.png"
        return Printed(_write(run, out, name, data), shape[1], shape[0])


def animate(
    path: Path | str,
    wanted: int | str,
    form: films.FilmFormat,
    out: Path | str | None = None,
    side: int = 448,
    moved: Moved = IN_PLACE,
) -> Printed:
    """A film of an elite's ancestry, from a random individual on.

    Raises:
        UsageError: no elite of that class, no ancestry, or no encoder for `form`.
        StoreError: no run folder, a damaged one, or `out` cannot be written.
    """
    with ExitStack() as stack:
        run, collection, exhibit = find(path, wanted, stack, moved)
        if collection.no_ancestry:
            raise UsageError(f"{run.path}: there is no ancestry to show: {collection.no_ancestry}")
        (strip,) = ancestry.strips(collection, [exhibit])
        data = films.film(strip.frames, form, side)
        return Printed(_write(run, out, f"ancestry-{exhibit.stem}.{form}", data), side, side)


def animate_surest(
    path: Path | str,
    count: int,
    form: films.FilmFormat,
    out: Path | str | None = None,
    moved: Moved = IN_PLACE,
) -> Printed:
    """A film of the surest elites side by side as they come to be, each from a random individual.

    Below each stands the class whose champion it was at the time, and how sure the victim was. The
    ground is dark, as of a screen, which suits light pages and dark ones.

    Args:
        path: a run folder.
        count: elites; fewer where there are not so many.
        form: of the file.
        out: the file; by default in the run folder's ``gallery/``.
        moved: where files of the run are now.

    Raises:
        UsageError: no elite, no ancestry, or no encoder for `form`.
        StoreError: no run folder, a damaged one, or `out` cannot be written.
    """
    with ExitStack() as stack:
        run, collection = _only(path, stack, moved)
        if collection.no_ancestry or not collection.exhibits:
            why = collection.no_ancestry or "the run has no picture yet"
            raise UsageError(f"{run.path}: there is no ancestry to show: {why}")
        surest = sorted(collection.exhibits, key=lambda exhibit: exhibit.rank)[:count]
        found = list(ancestry.strips(collection, surest))
        pages = [
            contact_sheet(
                [_tile(strip, page, collection) for strip in found], _COLUMNS, colours=DARK
            )
            for page in range(max(len(strip.frames) for strip in found))
        ]
        height, width = pages[0].shape[1:]
        name = f"ancestry-surest-{len(found)}.{form}"
        return Printed(_write(run, out, name, films.animation(pages, form)), width, height)


def _tile(strip: ancestry.Strip, page: int, collection: Collection) -> Tile:
    """What a strip shows on a page: its last picture where it has no more."""
    at = min(page, len(strip.frames) - 1)
    step = strip.steps[at]
    return Tile(strip.frames[at], collection.labels[step.class_index], step.confidence)


def find(
    path: Path | str, wanted: int | str, stack: ExitStack, moved: Moved
) -> tuple[Folder, Collection, Exhibit]:
    """The elite of a class in a run of evolve, and the folder, open as long as `stack`.

    Raises:
        UsageError: no elite of that class, or a run of another kind.
        StoreError: no run folder, or a damaged one.
    """
    run, collection = _only(path, stack, moved)
    try:
        classes = typed_classes(str(wanted), collection.labels)
    except LookupError as error:
        raise UsageError(f"--class {wanted}: {error}") from None
    fitting = [exhibit for exhibit in collection.exhibits if exhibit.class_index in classes]
    if len(fitting) == 1:
        return run, collection, fitting[0]
    if not fitting:
        raise UsageError(f"--class {wanted}: {path} has no picture of that class")
    some = ", ".join(f"{e.class_index} {e.label.split(',')[0]}" for e in fitting[:5])
    raise UsageError(f"--class {wanted}: matches {len(fitting)} classes ({some}...); name one")


def _only(path: Path | str, stack: ExitStack, moved: Moved) -> tuple[Folder, Collection]:
    opened: list[Folder] = []
    (collection,) = collect(
        [path], lambda run: opened.append(stack.enter_context(run)), write=False, moved=moved
    )
    if collection.attacks is not None:
        raise UsageError(
            f"{path}: attacked images have no genome to draw again and no ancestors; their"
            " pixels are in its images/"
        )
    return opened[0], collection


def _write(run: Folder, out: Path | str | None, name: str, data: bytes) -> Path:
    if out is None:
        return RunOutlet(run).write(name, data)
    return FolderOutlet.file(FolderOutlet.named(Path(out), name), data)


def _repeated(image: UInt8Images, shape: tuple[int, int]) -> UInt8Images:
    height, width = image.shape[1:]
    rows = (2 * np.arange(shape[0]) + 1) * height // (2 * shape[0])
    columns = (2 * np.arange(shape[1]) + 1) * width // (2 * shape[1])
    return np.ascontiguousarray(image[:, rows[:, None], columns])
