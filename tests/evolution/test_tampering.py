"""What `verify` and `resume` say of run folders that someone has been at."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import Interrupted, StoreError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.status import status
from evofool.evolution.verify import verify
from evofool.gallery import build
from evofool.images import decode_png, encode_png


@pytest.fixture
def run(toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    evolve(toy_campaign(stop={"generations": 6}), tmp_path / "run")
    return tmp_path / "run"


def _sql(run: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(run / "run.sqlite") as db:
        db.execute(statement, values)
        db.execute("DELETE FROM meta WHERE key = 'rows_sha256'")  # as whoever means it would


def _failed(run: Path) -> set[str]:
    return {check.name for check in verify(run) if check.ok is False}


def test_an_untouched_run(run: Path) -> None:
    assert _failed(run) == set()


def test_a_pixel_changed(run: Path) -> None:
    path = run / "images" / "0002.png"
    pixels = decode_png(path.read_bytes()).copy()
    pixels[0, 0, 0] ^= 1
    path.write_bytes(encode_png(pixels))
    assert "pictures" in _failed(run)


def test_a_picture_missing(run: Path) -> None:
    (run / "images" / "0002.png").unlink()
    assert "pictures" in _failed(run)


def test_a_claim_changed(run: Path) -> None:
    path = run / "elites.csv"
    lines = path.read_text().splitlines()
    cells = lines[3].split(",")
    cells[2] = "0.99999"
    lines[3] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    assert "confidences" in _failed(run)


def test_a_genome_changed(run: Path) -> None:
    _sql(run, "UPDATE individuals SET genome = zeroblob(length(genome)) WHERE genome IS NOT NULL")
    with pytest.raises(StoreError, match="does not match its digest"):
        resume(run)
    with pytest.raises(StoreError, match="does not match its digest"):
        list(verify(run))


def test_an_ancestor_changed(run: Path) -> None:
    _sql(run, "UPDATE individuals SET sha256 = zeroblob(32) WHERE generation = 0")
    assert "ancestry" in _failed(run)


def test_an_ancestor_that_is_its_own_child(run: Path) -> None:
    _sql(run, "UPDATE individuals SET parents = generation || ':' || idx WHERE genome IS NOT NULL")
    assert "ancestry" in _failed(run)


def test_a_foreign_class(run: Path) -> None:
    _sql(run, "UPDATE elites SET class_index = 99 WHERE class_index = 6")
    with pytest.raises(StoreError, match="99"):
        resume(run)


def test_a_digest_changed(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    summary["archive_digest"] = "0" * 64
    (run / "summary.json").write_text(json.dumps(summary))
    assert "archive digest" in _failed(run)


def test_a_confidence_changed_in_the_database(run: Path) -> None:
    _sql(run, "UPDATE elites SET confidence = 0.123 WHERE class_index = 1")
    assert "confidences" in _failed(run)


def test_log_odds_changed_in_the_database(run: Path) -> None:
    _sql(run, "UPDATE elites SET log_odds = 9e999 WHERE class_index = 1")
    assert "confidences" in _failed(run)


def test_a_cell_said_to_be_won(run: Path) -> None:
    _sql(run, "UPDATE elites SET won = 1 - won WHERE class_index = 1")
    assert "summary" in _failed(run)


def test_a_summary_that_says_more(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    summary["cells_won"] += 1
    (run / "summary.json").write_text(json.dumps(summary))
    assert "summary" in _failed(run)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("classifier", None),
        ("classifier", []),
        ("encoding", "x"),
        ("seed", "1"),
        ("run_id", 5),
        ("kind", "attack"),
    ],
)
def test_a_manifest_of_other_types(run: Path, key: str, value: object) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest[key] = value
    (run / "manifest.json").write_text(json.dumps(manifest))
    for look in (status, resume, build, lambda path: list(verify(path))):
        with pytest.raises(StoreError):
            look(run)


def test_an_impossible_confidence(run: Path) -> None:
    _sql(run, "UPDATE elites SET confidence = 2.0")
    for look in (status, resume, build):
        with pytest.raises(StoreError, match="confidence"):
            look(run)


def test_odd_statistics(run: Path) -> None:
    _sql(run, 'UPDATE generations SET stats = \'{"median": "x", "improved": []}\'')
    assert "median" not in status(run)["confidence"]
    resume(run)


def test_pictures_are_drawn_anew_for_a_gallery(run: Path) -> None:
    for path in (run / "images").iterdir():
        path.unlink()
    (run / "elites.csv").unlink()
    build(run)
    assert _failed(run) == set()


def test_a_gallery_shows_the_elites_of_now(run: Path) -> None:
    """An extension that was killed left pictures of before; the page must not mix the two."""
    picture = run / "images" / "0001.png"
    before = picture.read_bytes()
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 300

    with pytest.raises(Interrupted):
        resume(run, overrides=["stop.generations=900"], should_stop=stop)
    assert picture.read_bytes() == before
    build(run)
    assert picture.read_bytes() != before
    resume(run, overrides=[f"stop.generations={status(run)['generations']}"])
    assert _failed(run) == set()


def test_a_damaged_picture_is_drawn_anew(run: Path) -> None:
    (run / "images" / "0001.png").write_bytes(b"junk")
    build(run)
    assert _failed(run) == set()


def test_a_temporary_file_is_no_foreign_picture(run: Path) -> None:
    """Of a process that was killed while it wrote one; it is gone once the run is gone on with."""
    left = run / "images" / ".0001.png.abcd1234.tmp"
    left.write_bytes(b"half of")
    assert _failed(run) == set()
    os.utime(left, (1.0, 1.0))
    resume(run)
    assert not left.exists()
    assert _failed(run) == set()
