"""A kind of run as another package declares it: it draws squares of random grey."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from evofool.config import Loaded, load_model, yaml_lines
from evofool.config.loading import validate, with_seed
from evofool.errors import Interrupted
from evofool.gallery.reading.exhibits import IN_PLACE, Collection, Exhibit, Moved
from evofool.images import encode_png
from evofool.kinds import Kind
from evofool.randomness import generator
from evofool.store import Check, Folder, Result, head_of, state_of
from evofool.store.checking import check_folder
from evofool.store.manifest import new_manifest

TABLES = {
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    "squares": "CREATE TABLE squares (position INTEGER PRIMARY KEY, grey INTEGER NOT NULL) STRICT",
}


class SurveyConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["survey"] = "survey"
    name: str | None = None
    squares: int = Field(default=3, ge=1, le=9)
    seed: int = Field(default=1, ge=0)


class SurveyFolder(Folder):
    KIND = "survey"

    def add(self, position: int, grey: int) -> None:
        with self._errors(), self._db:
            self._db.execute("INSERT INTO squares VALUES (?, ?)", (position, grey))

    def greys(self) -> list[int]:
        rows = self._rows("SELECT grey FROM squares ORDER BY position", (int,))
        return [grey for (grey,) in rows]


def load(
    source: Path | str, overrides: Sequence[str] = (), seed: int | None = None
) -> Loaded[SurveyConfig]:
    loaded = load_model(source, SurveyConfig, overrides)
    document = with_seed(loaded.document, seed)
    return Loaded(validate(document, SurveyConfig), document)


def plan(loaded: Loaded[SurveyConfig]) -> SurveyConfig:
    return loaded.config


def plan_lines(config: SurveyConfig) -> list[str]:
    return [*yaml_lines(config), f"# squares to be drawn: {config.squares}"]


def run(
    loaded: Loaded[SurveyConfig],
    out: Path,
    *,
    command: str | None = None,
    progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    manifest = new_manifest("survey", None, loaded.config.seed, command)
    with SurveyFolder.create(out, manifest, "\n".join(yaml_lines(loaded.config))) as folder:
        return _draw(folder, loaded.config, progress, should_stop)


def resume(
    path: Path,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    overrides: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    with SurveyFolder.open(path, writable=True) as folder:
        return _draw(folder, load(path / "config.yaml").config, progress, should_stop)


def _draw(
    folder: SurveyFolder,
    config: SurveyConfig,
    progress: Callable[[int], None] | None,
    should_stop: Callable[[], bool] | None,
) -> Result:
    for position in range(len(folder.greys()), config.squares):
        if should_stop is not None and should_stop():
            raise Interrupted(f"{folder.path}: stopped")
        folder.add(position, int(generator(config.seed, 1, position, 0).integers(256)))
        if progress is not None:
            progress(position + 1)
    folder.set_meta({"status": "finished", "stop_reason": "done"})
    return Result(folder.path, {"greys": folder.greys()})


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    return [f"squares: {result.summary['greys']}", *(f"look at {page}" for page in pages)]


def progress() -> Callable[[int], tuple[str, float | None]]:
    return lambda done: (f"square {done}", None)


def status(path: Path) -> dict[str, Any]:
    with SurveyFolder.open(Path(path)) as folder:
        return {**head_of(folder), "squares": len(folder.greys())}


def verify(
    path: Path, *, classifier: str | None = None, encoding: str | None = None
) -> Iterator[Check]:
    with SurveyFolder.open(Path(path)) as folder:
        yield from check_folder(folder)
        seed = load(folder.path / "config.yaml").config.seed
        drawn = [int(generator(seed, 1, k, 0).integers(256)) for k in range(len(folder.greys()))]
        yield Check("squares", drawn == folder.greys(), "are those of the seed")


class Squares:
    """The squares as a source of a gallery."""

    def __init__(self, greys: Sequence[int]) -> None:
        self._greys = greys

    def png(self, exhibit: Exhibit) -> bytes:
        return encode_png(np.full((1, 8, 8), self._greys[int(exhibit.key)], np.uint8), {})

    def describe(self, exhibit: Exhibit) -> Mapping[str, Any]:
        return {}

    def genome_bytes(self, exhibit: Exhibit) -> int:
        return 0


def collection(run: Folder, key: str, *, write: bool, moved: Moved = IN_PLACE) -> Collection:
    assert isinstance(run, SurveyFolder)
    greys = run.greys()
    return Collection(
        key=key,
        name=run.path.name,
        kind="survey",
        victim="nobody",
        digest="0" * 64,
        encoding="",
        algorithm="",
        seed=int(run.manifest["seed"]),
        run_id=str(run.manifest["run_id"]),
        status=state_of(run)[0],
        command="",
        config=run.config_text,
        shape=(1, 8, 8),
        labels=["grey"],
        classes=1,
        exhibits=[Exhibit(str(k), 0, "grey", grey / 255, True) for k, grey in enumerate(greys)],
        source=Squares(greys),  # type: ignore[arg-type]  # without ancestry the rest is not asked
        no_ancestry="Squares have no parents.",
        saved=False,
    )


KIND = Kind(
    name="survey",
    about="a survey of grey",
    keys=frozenset(("squares",)),
    model="survey:SurveyConfig",
    load="survey:load",
    plan="survey:plan",
    plan_lines="survey:plan_lines",
    run="survey:run",
    result_lines="survey:result_lines",
    progress="survey:progress",
    resume="survey:resume",
    status="survey:status",
    verify="survey:verify",
    folder="survey:SurveyFolder",
    manifest="evofool.store.manifest:RunManifest",
    tables="survey:TABLES",
    reader="survey:collection",
)
