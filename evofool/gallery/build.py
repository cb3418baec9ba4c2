"""``evofool gallery``: from run folders to a page with everything beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.config import typed_classes
from evofool.errors import StoreError, UsageError
from evofool.evolution.reading import claim_in
from evofool.gallery.drawing import films, plots
from evofool.gallery.drawing.graph import graph_svg
from evofool.gallery.drawing.sheet import Tile, contact_sheet_png
from evofool.gallery.page.document import RunView, table
from evofool.gallery.page.html import html_page
from evofool.gallery.page.outlets import FolderOutlet, Outlet, RunOutlet
from evofool.gallery.page.single import inlined
from evofool.gallery.reading import ancestry
from evofool.gallery.reading.collect import collect
from evofool.gallery.reading.exhibits import IN_PLACE, Collection, Exhibit, Moved, StagedSource
from evofool.gallery.reading.scores import FILE, AskVictim, LazyVictim, VictimAnswers
from evofool.images import UInt8Images, decode_png
from evofool.scoring.scorer import usable_cores
from evofool.store import Folder
from evofool.store.files import json_bytes, read_json
from evofool.text import csv_bytes

THUMB = 176
"""Side of a thumbnail; small pictures are their own."""
FRAME, LARGE_FRAME = 112, 224
"""Side of a frame in an ancestry strip: of small pictures and inside a page, and of others."""
FILM = 224
MAX_GRAPHS = 2000
"""Elites of a run, the surest first, whose graph is drawn."""
MAX_STAGES = 16
"""Steps in which a picture is put together that are shown of it; WebP has a largest width."""
MAX_TILES = 1000
"""On a contact sheet."""
_CHUNK = 64

Say = Callable[[str, float | None], None]
"""What is being done, and the share that is done of it."""


@dataclass(frozen=True)
class Options:
    """What a gallery shows.

    Attributes:
        top: only so many exhibits of each run, the surest first.
        ancestry: of how many exhibits, the surest first, the ancestors are drawn; None: as many
            as are quick (`evofool.gallery.reading.ancestry`).
        scores: whether the victim is asked for the top classes of each picture.
        single_file: one page with everything inside.
        moved: where files of the run are now.
        classes: only pictures of these: indices, labels, ranges and patterns; empty: of all.
        title: of the page; None: one that names the victim.
    """

    top: int | None = None
    ancestry: int | None = None
    scores: AskVictim = "auto"
    single_file: bool = False
    moved: Moved = IN_PLACE
    classes: tuple[str, ...] = ()
    title: str | None = None


@dataclass(frozen=True)
class Gallery:
    """Where the parts of a gallery lie; `contact_sheet` is None where there is no picture."""

    page: Path
    contact_sheet: Path | None
    pictures: int


def build(
    paths: Path | str | Sequence[Path | str],
    out: Path | str | None = None,
    options: Options | None = None,
    say: Say = lambda _, __: None,
) -> Gallery:
    """Write a gallery of one or more runs, finished or not.

    Into the folder ``gallery/`` of a single run, whose pictures it then points to, or into `out`,
    which can be moved and mailed. Pictures that are missing or older than the elites are drawn
    anew; the victim is not needed.

    Args:
        paths: run folders.
        out: a folder, new, empty or an older gallery (with ``single_file``: the page).
        options: see `Options`.
        say: told what is being done.

    Raises:
        StoreError: no run folder, a damaged one, or `out` cannot be written.
        UsageError: several runs without `out`, or a single file that would be too large.
        ConfigError: an encoding cannot be had.
    """
    runs = [paths] if isinstance(paths, Path | str) else list(paths)
    options = options or Options()
    if not runs:
        raise UsageError("a gallery needs at least one run folder")
    if len(runs) > 1 and out is None:
        raise UsageError("a gallery of several runs needs a folder of its own: give --out")
    with ExitStack() as stack:
        opened: list[Folder] = []

        def keep(run: Folder) -> None:
            opened.append(stack.enter_context(run))

        inside = out is None
        collections = collect(runs, keep, write=inside, moved=options.moved)
        if options.single_file:
            path = _single_path(runs, out)
            html = inlined(
                lambda outlet: _write_views(collections, opened, outlet, options, say),
                options.title,
            )
            written = (
                RunOutlet(opened[0]).write(path.name, html.page)
                if inside
                else FolderOutlet.file(path, html.page)
            )
            return Gallery(written, None, html.pictures)
        outlet = RunOutlet(opened[0]) if inside else FolderOutlet.open(Path(out or ""))
        views = _write_views(collections, opened, outlet, options, say)
        rows = table(views)
        if rows:
            outlet.write("elites.csv", _csv(rows))
        index = outlet.write(
            "index.html", html_page(views, heading=options.title).encode("utf-8", "replace")
        )
        count = sum(len(view.shown) for view in views)
        return Gallery(index, outlet.path("contact-sheet.png") if count else None, count)


def _single_path(runs: Sequence[Path | str], out: Path | str | None) -> Path:
    if out is None:
        return Path(runs[0]) / "gallery" / "gallery.html"
    return FolderOutlet.named(Path(out), "gallery.html", (".html", ".htm"))


def _write_views(
    collections: Sequence[Collection],
    opened: Sequence[Folder],
    outlet: Outlet,
    options: Options,
    say: Say,
) -> list[RunView]:
    """Write everything but the page itself."""
    tiles: list[Tile] = []
    views = []
    several = len(collections) > 1
    for collection, run in zip(collections, opened, strict=True):
        views.append(_ViewWriter(collection, run, outlet, options, say, several).view(tiles))
    if tiles and not outlet.inline:
        say("the contact sheet", None)
        if several:
            tiles.sort(key=lambda tile: -(tile.confidence or 0.0))
        outlet.write("contact-sheet.png", contact_sheet_png(tiles[:MAX_TILES]))
        for view in views:
            view.files["contact sheet"] = "contact-sheet.png"
            view.files["table of all pictures"] = "elites.csv"
    return views


class _ViewWriter:
    """Writes the files of one run's gallery and makes the view that its page shows."""

    def __init__(
        self,
        collection: Collection,
        run: Folder,
        outlet: Outlet,
        options: Options,
        say: Say,
        several: bool,
    ) -> None:
        self._collection = collection
        self._run = run
        self._outlet = outlet
        self._options = options
        self._say = say
        self._folder = f"{collection.key}/" if several else ""
        self._claims: dict[str, Any] = {}
        self._clean: set[int] = set()
        ranked = sorted(_of_classes(collection, options.classes), key=lambda e: e.rank)
        self._view = RunView(collection, ranked[: options.top], chosen=bool(options.classes))
        inside = isinstance(outlet, RunOutlet) and collection.status != "running"
        self._points_inside = inside and collection.saved

    def view(self, tiles: list[Tile]) -> RunView:
        view, collection = self._view, self._collection
        cache = f"{self._folder}{FILE}"
        answers = self._cached()
        victim = LazyVictim(collection, answers, self._options.scores)
        try:
            self._pictures(victim, tiles)
            self._graphs()
            self._stages()
            self._ancestry(victim)
        finally:
            victim.close()
        view.answers = answers
        if victim.changed and isinstance(self._outlet, RunOutlet):
            self._outlet.write_json(cache, answers.to_json())
        if not self._outlet.inline:
            self._plots()
            self._take_along()
        return view

    def _cached(self) -> VictimAnswers:
        path = self._run.path / "gallery" / FILE
        if not path.is_file():
            return VictimAnswers(self._collection.digest)
        try:
            return VictimAnswers.from_json(read_json(path), self._collection)
        except StoreError:  # derived: asked anew
            return VictimAnswers(self._collection.digest)

    def _pictures(self, victim: LazyVictim, tiles: list[Tile]) -> None:
        view, collection = self._view, self._collection
        own = not self._points_inside
        view.paths["picture"] = f"{self._folder}pictures/{{}}.png" if own else "../images/{}.png"
        if not collection.small and not self._outlet.inline:
            view.paths["thumb"] = f"{self._folder}thumbs/{{}}.webp"
        if collection.attacks is not None:
            view.paths["clean"] = f"{self._folder}clean/{{}}.png"
            view.paths["change"] = (
                f"{self._folder}perturbations/{{}}.png" if own else "../perturbations/{}.png"
            )
        claims = self._folder + "pictures/provenance.json"
        with ThreadPoolExecutor(usable_cores()) as pool:
            for start, part in _chunks(view.shown, _CHUNK):
                self._say(f"{collection.name}: pictures", start / len(view.shown))
                pixels = list(pool.map(self._picture, part))
                victim.pictures(part, pixels)
                for exhibit, image in zip(part, pixels, strict=True):
                    if len(tiles) < MAX_TILES:
                        caption = collection.caption(exhibit)
                        tiles.append(Tile(image, caption, exhibit.confidence, exhibit.won))
                    self._before(exhibit)
        if own and not self._outlet.inline and self._claims:
            self._outlet.write(claims, json_bytes(dict(sorted(self._claims.items()))))

    def _picture(self, exhibit: Exhibit) -> UInt8Images:
        data = self._collection.source.png(exhibit)
        image = decode_png(data)
        claim = claim_in(data)
        if claim is not None:
            self._claims[f"{exhibit.stem}.png"] = claim
        paths = self._view.paths
        if not self._points_inside:
            self._outlet.write(paths["picture"].format(exhibit.stem), data)
        if "thumb" in paths:
            small = films.webp(ancestry.square(image, THUMB), 78)
            self._outlet.write(paths["thumb"].format(exhibit.stem), small)
        return image

    def _before(self, exhibit: Exhibit) -> None:
        """The clean picture of an attacked one, once for all attacks on it, and the change."""
        attacks, paths = self._collection.attacks, self._view.paths
        if attacks is None or exhibit.result is None:
            return
        image = exhibit.result.image
        if image not in self._clean:
            self._clean.add(image)
            self._outlet.write(paths["clean"].format(f"{image:05d}"), attacks.clean(exhibit))
        if not self._points_inside:
            self._outlet.write(paths["change"].format(exhibit.stem), attacks.change(exhibit))

    def _graphs(self) -> None:
        view, collection = self._view, self._collection
        view.paths["graph"] = f"{self._folder}graphs/{{}}.svg"
        for at, exhibit in enumerate(view.shown[:MAX_GRAPHS]):
            if at % 100 == 0:
                self._say(f"{collection.name}: graphs", at / len(view.shown))
            svg = graph_svg(collection.source.describe(exhibit), collection.channels)
            if svg is not None:
                self._outlet.write(view.paths["graph"].format(exhibit.stem), svg)
                view.graphs.add(exhibit.key)

    def _stages(self) -> None:
        """The steps in which a picture is put together, in a row."""
        view, collection = self._view, self._collection
        if not isinstance(source := collection.source, StagedSource):
            return
        view.paths["stages"] = f"{self._folder}stages/{{}}.webp"

        def drawn(exhibit: Exhibit) -> tuple[list[str], bytes]:
            stages = source.stages(exhibit)[:MAX_STAGES]
            if not stages:
                return [], b""  # of an encoding that has none
            row = ancestry.side_by_side([image for _, image in stages], FRAME)
            return [words for words, _ in stages], films.webp(row, 80)

        shown = view.shown[:MAX_GRAPHS]
        with ThreadPoolExecutor(usable_cores()) as pool:
            for at, (exhibit, (words, row)) in enumerate(
                zip(shown, pool.map(drawn, shown), strict=True)
            ):
                if not words:
                    continue
                if at % 100 == 0:
                    self._say(f"{collection.name}: layers", at / len(view.shown))
                self._outlet.write(view.paths["stages"].format(exhibit.stem), row)
                view.stages[exhibit.key] = words

    def _ancestry(self, victim: LazyVictim) -> None:
        view, collection = self._view, self._collection
        if self._options.ancestry == 0 or collection.no_ancestry:
            view.ancestry_note = "Its ancestors were not drawn (--ancestry)."
            return
        self._say(f"{collection.name}: ancestors", None)
        shown = {exhibit.key for exhibit in view.shown}
        chosen = [
            exhibit
            for exhibit in ancestry.affordable(collection, self._options.ancestry)
            if exhibit.key in shown
        ]
        if len(chosen) < len(view.shown):
            surest = "picture" if len(chosen) == 1 else f"{len(chosen):,} pictures"
            view.ancestry_note = (
                f"Ancestors are drawn for the {surest} pictures with the highest confidence;"
                " --ancestry all draws them for every picture."
            )
        view.paths["strip"] = f"{self._folder}ancestry/{{}}.webp"
        if not self._outlet.inline:
            view.paths["film"] = f"{self._folder}ancestry/{{}}-film.webp"
        side = FRAME if collection.small or self._outlet.inline else LARGE_FRAME
        for at, strip in enumerate(ancestry.strips(collection, chosen)):
            self._say(f"{collection.name}: ancestors", at / len(chosen))
            stem = strip.exhibit.stem
            row = ancestry.side_by_side(strip.frames, side)
            self._outlet.write(view.paths["strip"].format(stem), films.webp(row, 80))
            if "film" in view.paths:
                self._outlet.write(
                    view.paths["film"].format(stem), films.film(strip.frames, "webp", FILM)
                )
            victim.strip(strip)
            view.lines[strip.exhibit.key] = (strip.steps, strip.generations)

    def _plots(self) -> None:
        view, collection = self._view, self._collection
        if collection.attacks is not None:  # a table says it
            return
        self._say(f"{collection.name}: plots", None)
        for name, stem in (
            ("The course of the run", "convergence"),
            ("Confidence by class", "by-class"),
        ):
            names = (f"{self._folder}{stem}.png", f"{self._folder}{stem}-dark.png")
            for file, colours in zip(names, (plots.LIGHT, plots.DARK), strict=True):
                if stem == "convergence":
                    data = plots.convergence(collection.course, colours)
                else:
                    data = plots.by_class(view.shown, colours)
                if data is not None:
                    self._outlet.write(file, data)
                    view.plots[name] = names

    def _take_along(self) -> None:
        view, collection = self._view, self._collection
        if isinstance(self._outlet, RunOutlet):
            view.files["config"] = "../config.yaml"
            return
        name = f"{self._folder}config.yaml"
        self._outlet.write(name, collection.config.encode("utf-8", "replace"))
        view.files["config"] = name


def _of_classes(collection: Collection, classes: Sequence[str]) -> Sequence[Exhibit]:
    if not classes:
        return collection.exhibits
    chosen: set[int] = set()
    for text in classes:
        try:
            chosen.update(typed_classes(text, collection.labels))
        except LookupError as error:
            raise UsageError(f"--classes {text}: {collection.name}: {error}") from None
    return [exhibit for exhibit in collection.exhibits if exhibit.class_index in chosen]


def _chunks(items: Sequence[Exhibit], size: int) -> Iterator[tuple[int, Sequence[Exhibit]]]:
    for start in range(0, len(items), size):
        yield start, items[start : start + size]


def _csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return csv_bytes(columns, ([row.get(name, "") for name in columns] for row in rows))
