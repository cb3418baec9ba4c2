"""Each leaf of the manifest, each column of each table and each derived file, changed once.

What is changed is read off the run folder and off the schema, so nothing new can be forgotten: a
new column without a change here fails `test_every_column_is_changed`, a new leaf or file is changed
by itself. What cannot be said is listed, with the reason.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.errors import EvofoolError, StoreError
from evofool.evolution.arrays import pack
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.status import status
from evofool.evolution.verify import verify
from evofool.gallery import build
from evofool.images import decode_png, encode_png
from evofool.seal import SEAL, sealed
from evofool.store.records.lineage import TABLES

LAST = "(SELECT max(generation) FROM generations)"

SOMEONE = (
    "(generation, idx) = (SELECT generation, idx FROM individuals WHERE genome IS NULL"
    " ORDER BY generation DESC LIMIT 1)"
)

CHANGES: dict[tuple[str, str], tuple[str, ...]] = {
    ("meta", "key"): (
        "UPDATE meta SET key = 'x' WHERE key = 'status'",
        "UPDATE meta SET key = 'x' WHERE key = 'stop_reason'",
    ),
    ("meta", "value"): (
        "UPDATE meta SET value = 'interrupted' WHERE key = 'status'",
        "UPDATE meta SET value = 'done' WHERE key = 'status'",
        "UPDATE meta SET value = 'stagnation' WHERE key = 'stop_reason'",
    ),
    ("generations", "generation"): (
        f"UPDATE generations SET generation = 1000000000000000000 WHERE generation = {LAST}",
        f"UPDATE generations SET generation = generation + 1 WHERE generation = {LAST}",
        "UPDATE generations SET generation = -1 WHERE generation = 0",
        "DELETE FROM generations WHERE generation = 3",
    ),
    ("generations", "evaluations"): (
        "UPDATE generations SET evaluations = evaluations + 1 WHERE generation = 3",
        f"UPDATE generations SET evaluations = evaluations - 1 WHERE generation = {LAST}",
        "UPDATE generations SET evaluations = -5",
    ),
    ("generations", "forward_images"): (
        "UPDATE generations SET forward_images = forward_images + 1 WHERE generation = 3",
        f"UPDATE generations SET forward_images = forward_images + 8 WHERE generation = {LAST}",
        "UPDATE generations SET forward_images = -5",
    ),
    ("generations", "batch"): (
        "UPDATE generations SET batch = 0",
        "UPDATE generations SET batch = 16",
        "UPDATE generations SET batch = 1000000000",
        f"UPDATE generations SET batch = 4 WHERE generation = {LAST} - 1",
    ),
    ("generations", "seconds"): (
        "UPDATE generations SET seconds = 9e999",
        f"UPDATE generations SET seconds = 9e999 WHERE generation = {LAST}",
        "UPDATE generations SET seconds = -1.0",
        f"UPDATE generations SET seconds = seconds * 2 + 1 WHERE generation = {LAST}",
    ),
    ("generations", "stats"): (
        *(
            f"UPDATE generations SET stats = json_set(stats, '$.\"{name}\"',"
            f" json_extract(stats, '$.\"{name}\"') + 1) WHERE generation = 3"
            for name in (
                *("median", "min", "max", "improved", "switched", "cells_won"),
                *("share_0.5", "share_0.9", "share_0.99", "share_0.999", "share_0.9999"),
            )
        ),
        "UPDATE generations SET stats = json_remove(stats, '$.switched')",
        "UPDATE generations SET stats = '[]'",
    ),
    ("individuals", "generation"): (
        f"UPDATE individuals SET generation = 1000000000000000000 WHERE {SOMEONE}",
        f"UPDATE individuals SET generation = generation + 100 WHERE {SOMEONE}",
    ),
    ("individuals", "idx"): (
        "UPDATE individuals SET idx = idx + 20 WHERE genome IS NULL",
        "UPDATE individuals SET idx = -1 - idx WHERE genome IS NULL",
    ),
    ("individuals", "parents"): (
        "UPDATE individuals SET parents = '0:0' WHERE generation = 1",
        "UPDATE individuals SET parents = '' WHERE generation = 2",
        "UPDATE individuals SET parents = parents || ' ' || parents || ' 0:0'",
    ),
    ("individuals", "parent_cells"): (
        "UPDATE individuals SET parent_cells = '99' WHERE generation = 1",
        "UPDATE individuals SET parent_cells = '' WHERE generation = 2",
        "UPDATE individuals SET parent_cells = '1 2 3 4' WHERE generation = 2",
        "UPDATE individuals SET parent_cells = (parent_cells + 1) % 7 WHERE generation = 3",
    ),
    ("individuals", "sha256"): (
        "UPDATE individuals SET sha256 = zeroblob(32) WHERE genome IS NULL",
        "UPDATE individuals SET sha256 = zeroblob(31)",
    ),
    ("individuals", "genome"): (
        "UPDATE individuals SET genome = zeroblob(40) WHERE genome IS NOT NULL",
        "UPDATE individuals SET genome = NULL",
        "UPDATE individuals SET genome = (SELECT genome FROM individuals WHERE genome IS NOT NULL),"
        " sha256 = (SELECT sha256 FROM individuals WHERE genome IS NOT NULL) WHERE genome IS NULL",
    ),
    ("wins", "generation"): (
        "UPDATE wins SET generation = generation + 1 WHERE generation = 3",
        "UPDATE wins SET generation = 1000000000000000000 WHERE generation = 3",
    ),
    ("wins", "idx"): ("UPDATE wins SET idx = (idx + 1) % 20 WHERE generation = 3",),
    ("wins", "class_index"): (
        "UPDATE wins SET class_index = 99 WHERE generation = 3",
        "UPDATE wins SET class_index = -1 WHERE generation = 3",
        "UPDATE wins SET class_index = class_index + 10000000000 WHERE generation = 3",
    ),
    ("wins", "log_odds"): (
        "UPDATE wins SET log_odds = 9e999 WHERE generation = 3",
        "UPDATE wins SET log_odds = log_odds + 0.001 WHERE generation = 3",
    ),
    ("wins", "confidence"): (
        "UPDATE wins SET confidence = 9e999 WHERE generation = 3",
        "UPDATE wins SET confidence = confidence * 0.999 WHERE generation = 3",
    ),
    ("wins", "replaced"): (
        "UPDATE wins SET replaced = '' WHERE generation = 3",
        "UPDATE wins SET replaced = '0:19' WHERE generation = 3",
        "UPDATE wins SET replaced = 'x' WHERE generation = 3",
    ),
    ("elites", "class_index"): (
        "UPDATE elites SET class_index = 99 WHERE class_index = 6",
        "DELETE FROM elites WHERE class_index = 6",
    ),
    ("elites", "generation"): (
        "UPDATE elites SET generation = 1000000000000000000 WHERE class_index = 6",
        "UPDATE elites SET generation = 0 WHERE class_index = 6",
    ),
    ("elites", "idx"): ("UPDATE elites SET idx = 1000000000000 WHERE class_index = 6",),
    ("elites", "fitness"): (
        "UPDATE elites SET fitness = 9e999 WHERE class_index = 6",
        "UPDATE elites SET fitness = fitness - 0.001 WHERE class_index = 6",
    ),
    ("elites", "log_odds"): (
        "UPDATE elites SET log_odds = -9e999 WHERE class_index = 6",
        "UPDATE elites SET log_odds = log_odds + 0.001 WHERE class_index = 6",
    ),
    ("elites", "confidence"): (
        "UPDATE elites SET confidence = 2.0 WHERE class_index = 6",
        "UPDATE elites SET confidence = confidence * 0.9999 WHERE class_index = 6",
    ),
    ("elites", "won"): (
        "UPDATE elites SET won = 5 WHERE class_index = 6",
        "UPDATE elites SET won = 1 - won WHERE class_index = 6",
    ),
    # the run of map_elites without lag needs no state; others below
    ("state", "key"): ("INSERT INTO state VALUES ('behind', zeroblob(9))",),
    ("state", "value"): ("INSERT INTO state VALUES ('x', zeroblob(9))",),
}

NOT_SAID_WHEN_SEALED_ANEW = {
    "created": "a time that nothing else tells of",
    "command": "nothing else tells how the run was begun",
    "platform": "nothing else tells where the run was made",
    "versions": "the run may have been made with others than are installed",
    "config.changeable": "stop rules, workers, budget and paths may be others now",
    "classifier.path": "the file may have been moved since",
    "encoding.path": "the file may have been moved since",
    "breeder": "on another machine another one breeds the same",
}
"""Leaves of the manifest whose change goes unnoticed if its digest is written anew as well."""

NOT_DERIVED = {
    ".lock": "held or not, it has no content",
    "config.yaml": "is looked at before anything is resumed or verified",
    "run.sqlite": "its columns are changed one by one",
    "run.sqlite-shm": "SQLite's own",
    "run.sqlite-wal": "SQLite's own",
}
"""Files that the test of derived files leaves out."""

NOT_SAID_OF_STATE = {
    ("cma_es", "cma_es", name): "follows from every score of the run, which are not stored"
    for name in ("centroid", "sigma", "pc", "ps")
}


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, toy_campaign: Callable[..., dict[str, Any]]
) -> dict[str, Path]:
    """Finished runs by name; nobody changes them."""
    folder = tmp_path_factory.mktemp("runs")
    stop = {"generations": 6}
    small = {"initial": 12, "children": 12, "target": 2}
    sections: dict[str, dict[str, Any]] = {
        "map_elites": {},
        "lag": {"evolution": {"initial": 20, "children": 20, "lag": 1}},
        "recent": {"evolution": {"initial": 20, "children": 20, "parents": "recent"}},
        "refined": {"evolution": {"initial": 20, "children": 20, "refine": True}},
        "mu_plus_lambda": {"evolution": {"algorithm": "mu_plus_lambda", "mu": 6, **small}},
        "cma_es": {
            "evolution": {"algorithm": "cma_es", **small},
            "encoding": {"name": "direct", "resolution": [3, 3]},
        },
    }
    for name, own in sections.items():
        evolve(toy_campaign(stop=stop, **own), folder / name)
    return {name: folder / name for name in sections}


@pytest.fixture
def copied(runs: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A fresh copy of one of the runs."""
    count = 0

    def make(name: str = "map_elites") -> Path:
        nonlocal count
        count += 1
        return Path(shutil.copytree(runs[name], tmp_path / f"{name}{count}"))

    return make


def said(run: Path) -> list[str]:
    """Of what `verify` speaks: failed checks, an error, a renderer that is not here."""
    try:
        return [
            f"{check.name}: {check.detail}"
            for check in verify(run)
            if check.ok is False or (check.ok is None and check.name == "renderer")
        ]
    except EvofoolError as error:
        return [str(error)]


def is_said(run: Path) -> bool:
    """Whether `verify` speaks of anything; what follows that is not looked at."""
    try:
        return any(
            check.ok is False or (check.ok is None and check.name == "renderer")
            for check in verify(run)
        )
    except EvofoolError:
        return True


def sql(run: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(run / "run.sqlite") as db:
        changed = db.execute(statement, values).rowcount
        db.execute("DELETE FROM meta WHERE key = 'rows_sha256'")  # as whoever means it would
    assert changed, f"changes nothing: {statement}"


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all that is no container."""
    if not isinstance(value, dict | list):
        yield at
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(inner, (*at, key))


def changed(value: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """`value` with another leaf of the same type at `path`."""
    result = copy.deepcopy(value)
    inner: Any = result
    for key in path[:-1]:
        inner = inner[key]
    leaf = inner[path[-1]]
    if isinstance(leaf, str):
        # of digests one letter, so that they stay well-formed
        leaf = ("1" if leaf[:1] == "0" else "0") + leaf[1:] if leaf else "x"
    elif isinstance(leaf, bool):
        leaf = not leaf
    elif isinstance(leaf, int | float):
        leaf = leaf + 1 if isinstance(leaf, int) else (leaf / 2 if leaf > 0.1 else leaf + 0.3)
    else:
        leaf = "x"
    inner[path[-1]] = leaf
    return result


def dotted(path: tuple[Any, ...]) -> str:
    return ".".join(str(key) for key in path if not isinstance(key, int))


def rewrite(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "name", ["map_elites", "lag", "recent", "refined", "mu_plus_lambda", "cma_es"]
)
def test_nothing_is_said_of_an_untouched_run(runs: dict[str, Path], name: str) -> None:
    assert said(runs[name]) == []


def test_every_column_is_changed() -> None:
    with sqlite3.connect(":memory:") as db:
        for statement in TABLES.values():
            db.execute(statement)
        tables = [name for name, text in TABLES.items() if text.startswith("CREATE TABLE")]
        columns = {
            (table, row[1]) for table in tables for row in db.execute(f"PRAGMA table_info({table})")
        }
    assert columns == set(CHANGES)


@pytest.mark.parametrize(
    "statement", [each for statements in CHANGES.values() for each in statements]
)
def test_a_column(copied: Callable[[], Path], statement: str) -> None:
    run = copied()
    sql(run, statement)
    assert is_said(run)


@pytest.mark.parametrize("statement", [statements[0] for statements in CHANGES.values()])
def test_whoever_reads_such_a_row_raises_nothing_else(
    copied: Callable[[], Path], statement: str
) -> None:
    """status, resume and gallery may do without the row; what they raise is a StoreError."""
    run = copied()
    sql(run, statement)
    for look in (status, build, resume):
        with contextlib.suppress(StoreError):
            look(run)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE generations SET batch = 1000000000", "batch outside its range"),
        ("UPDATE generations SET batch = 16", "a batch of 16 after one of 8"),
        ("UPDATE generations SET seconds = 9e999", "seconds outside its range"),
        ("UPDATE generations SET generation = 7 WHERE generation = 6", "generation 7 is stored"),
        ("UPDATE individuals SET parents = '0:0 0:1 0:2'", "more than 2 parents"),
    ],
)
def test_resume_refuses(copied: Callable[[], Path], statement: str, message: str) -> None:
    run = copied()
    sql(run, statement)
    with pytest.raises(StoreError, match=message):
        resume(run, overrides=["stop.generations=9"])


def test_every_leaf_of_the_manifest(copied: Callable[[], Path]) -> None:
    run = copied()
    manifest = json.loads((run / "manifest.json").read_text())
    unsaid = []
    for path in leaves(manifest):
        rewrite(run / "manifest.json", changed(manifest, path))
        unsaid += [] if is_said(run) else [dotted(path)]
    assert unsaid == []


def test_every_leaf_of_the_manifest_missing(copied: Callable[[], Path]) -> None:
    run = copied()
    manifest = json.loads((run / "manifest.json").read_text())
    unsaid = []
    for path in leaves(manifest):
        other = copy.deepcopy(manifest)
        inner: Any = other
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        rewrite(run / "manifest.json", other)
        unsaid += [] if is_said(run) else [dotted(path)]
    assert unsaid == [SEAL]  # as in runs of before; then only what is compared is said


def test_every_leaf_of_a_manifest_that_was_sealed_anew(copied: Callable[[], Path]) -> None:
    run = copied()
    manifest = json.loads((run / "manifest.json").read_text())
    unsaid = set()
    for path in leaves(manifest):
        if path != (SEAL,):
            rewrite(run / "manifest.json", sealed(changed(manifest, path)))
            unsaid |= set() if is_said(run) else {dotted(path)}
    groups = ("versions", "config.changeable")
    found = {next((g for g in groups if name.startswith(f"{g}.")), name) for name in unsaid}
    assert found == set(NOT_SAID_WHEN_SEALED_ANEW)


def test_swapped_labels_are_said_whatever_the_digest(copied: Callable[[], Path]) -> None:
    run = copied()
    manifest = json.loads((run / "manifest.json").read_text())
    labels = manifest["classifier"]["labels"]
    labels[0], labels[1] = labels[1], labels[0]
    rewrite(run / "manifest.json", sealed(manifest))
    assert any("2 labels are not the classifier's" in line for line in said(run))


def test_a_manifest_that_was_edited_is_not_sealed_by_a_resume(copied: Callable[[], Path]) -> None:
    run = copied()
    manifest = json.loads((run / "manifest.json").read_text())
    rewrite(run / "manifest.json", {**manifest, "command": "another"})
    resume(run, overrides=["stop.generations=7"])
    assert any(line.startswith("manifest:") for line in said(run))


@pytest.mark.parametrize("name", ["summary.json", "images/provenance.json"])
def test_every_leaf_of_derived_json(copied: Callable[[], Path], name: str) -> None:
    run = copied()
    content = json.loads((run / name).read_text())
    unsaid = []
    for path in leaves(content):
        rewrite(run / name, changed(content, path))
        unsaid += [] if is_said(run) else [dotted(path)]
    for extra in ({**content, "more": 1}, {}):
        rewrite(run / name, extra)
        unsaid += [] if is_said(run) else [str(extra)[:20]]
    assert unsaid == []


@pytest.mark.parametrize("name", ["elites.csv", "curve.csv"])
def test_every_cell_of_derived_tables(copied: Callable[[], Path], name: str) -> None:
    run = copied()
    lines = list(csv.reader(io.StringIO((run / name).read_text(), newline="")))
    unsaid = []
    for row in (0, 3):
        for column, title in enumerate(lines[0]):
            other = [list(line) for line in lines]
            cell = other[row][column]
            other[row][column] = f"{float(cell) + 1}" if _is_number(cell) else f"{cell}0"
            text = io.StringIO(newline="")
            csv.writer(text, lineterminator="\n").writerows(other)
            (run / name).write_text(text.getvalue())
            unsaid += [] if is_said(run) else [title]
    assert unsaid == []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_every_derived_file_missing_or_changed(copied: Callable[[], Path]) -> None:
    run = copied()
    unsaid = []
    for path in [path for path in sorted(run.rglob("*")) if path.is_file()]:
        name = str(path.relative_to(run))
        if name in NOT_DERIVED:
            continue
        data = path.read_bytes()
        path.unlink()
        unsaid += [] if is_said(run) else [f"{name} missing"]
        if path.suffix == ".png":  # of the others every leaf and cell is changed above
            middle = len(data) // 2
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
            unsaid += [] if is_said(run) else [name]
        path.write_bytes(data)
    assert unsaid == []
    (run / "images" / "9999.png").write_bytes(b"x")
    assert is_said(run)


def test_another_claim_inside_a_picture(copied: Callable[[], Path]) -> None:
    """With its sha256 written anew into the table."""
    run = copied()
    picture = run / "images" / "0003.png"
    before = picture.read_bytes()
    picture.write_bytes(encode_png(decode_png(before), {"evofool": '{"class_index": 3}'}))
    old, new = (hashlib.sha256(data).hexdigest() for data in (before, picture.read_bytes()))
    table = run / "elites.csv"
    table.write_text(table.read_text().replace(old, new))
    assert [line.partition(":")[0] for line in said(run)] == ["provenance"]


# what algorithms store beside the archive


def arrays_of(run: Path) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    with sqlite3.connect(run / "run.sqlite") as db:
        rows = db.execute("SELECT key, value FROM state").fetchall()
    found = {}
    for key, value in rows:
        with np.load(io.BytesIO(value)) as file:
            found[key] = {name: file[name] for name in file.files}
    return found


@pytest.mark.parametrize("name", ["lag", "mu_plus_lambda", "cma_es"])
def test_a_state_that_cannot_be_gone_on_from(copied: Callable[[str], Path], name: str) -> None:
    run = copied(name)
    sql(run, "UPDATE state SET value = x'00ff'")
    assert any(line.startswith("state: the run cannot be resumed") for line in said(run))
    with pytest.raises(StoreError, match="damaged"):
        resume(run, overrides=["stop.generations=8"])
    sql(run, "UPDATE state SET key = key || 'x'")
    assert any(line.startswith("state:") for line in said(run))
    sql(run, "DELETE FROM state")
    assert any(line.startswith("state:") for line in said(run)) or name == "lag"


@pytest.mark.parametrize("name", ["lag", "mu_plus_lambda", "cma_es"])
def test_every_array_of_the_state(copied: Callable[[str], Path], name: str) -> None:
    run = copied(name)
    unsaid = set()
    state = arrays_of(run)
    assert state
    for key, arrays in state.items():
        for array_name, array in arrays.items():
            if not array.size:
                continue
            other = array.copy()
            flat = other.reshape(-1)
            flat[-1] = flat[-1] + 1 if flat.dtype.kind in "iu" else flat[-1] * 1.5 + 0.1
            blob = pack(**{**arrays, array_name: other})
            sql(run, "UPDATE state SET value = ? WHERE key = ?", blob, key)
            unsaid |= set() if is_said(run) else {(name, key, array_name)}
        sql(run, "UPDATE state SET value = ? WHERE key = ?", pack(**arrays), key)
    assert unsaid == {entry for entry in NOT_SAID_OF_STATE if entry[0] == name}
