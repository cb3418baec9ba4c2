"""What `verify` and `resume` say of run folders that someone has been at."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import StoreError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.verify import verify
from evofool.images import decode_png, encode_png


@pytest.fixture
def run(toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    evolve(toy_campaign(stop={"generations": 6}), tmp_path / "run")
    return tmp_path / "run"


def _sql(run: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(run / "run.sqlite") as db:
        db.execute(statement, values)


def _failed(run: Path) -> set[str]:
    return {check.name for check in verify(run) if check.ok is False}


def test_an_untouched_run(run: Path) -> None:
    assert _failed(run) == set()


def test_a_pixel_changed(run: Path) -> None:
    path = run / "images" / "0002.png"
    pixels = decode_png(path.read_bytes()).copy()
    pixels[0, 0, 0] ^= 1
    path.write_bytes(encode_png(pixels))
    assert _failed(run) == {"pictures"}


def test_a_picture_missing(run: Path) -> None:
    (run / "images" / "0002.png").unlink()
    assert _failed(run) == {"pictures"}


def test_a_claim_changed(run: Path) -> None:
    path = run / "elites.csv"
    lines = path.read_text().splitlines()
    cells = lines[3].split(",")
    cells[2] = "0.99999"
    lines[3] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    assert _failed(run) == {"confidences"}


def test_a_genome_changed(run: Path) -> None:
    _sql(run, "UPDATE individuals SET genome = zeroblob(length(genome)) WHERE genome IS NOT NULL")
    with pytest.raises(StoreError, match="does not match its digest"):
        resume(run)
    with pytest.raises(StoreError, match="does not match its digest"):
        list(verify(run))


def test_an_ancestor_changed(run: Path) -> None:
    _sql(run, "UPDATE individuals SET sha256 = zeroblob(32) WHERE generation = 0")
    assert _failed(run) == {"ancestry"}


def test_an_ancestor_that_is_its_own_child(run: Path) -> None:
    _sql(run, "UPDATE individuals SET parents = generation || ':' || idx WHERE genome IS NOT NULL")
    assert _failed(run) == {"ancestry"}


def test_a_foreign_class(run: Path) -> None:
    _sql(run, "UPDATE elites SET class_index = 99 WHERE class_index = 6")
    with pytest.raises(StoreError, match="99"):
        resume(run)


def test_a_digest_changed(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    summary["archive_digest"] = "0" * 64
    (run / "summary.json").write_text(json.dumps(summary))
    assert _failed(run) == {"archive digest"}
