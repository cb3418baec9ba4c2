"""Single bits of a finished run flip: `verify` finds it, or no row has changed.

SQLite's own check sees bits of its structure, never those of a number, a text or a blob.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.errors import StoreError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.verify import verify
from evofool.store.checking import check_folder
from evofool.store.folder import Folder

FLIPS = 150
DIGEST = re.compile(r", '[0-9a-f]{64}'\)")
PICTURES = 12


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, toy_campaign: Callable[..., dict[str, Any]]
) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    evolve(toy_campaign(stop={"generations": 6}), run)
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def flipped(data: bytes, flips: int, seed: int) -> Iterator[bytes]:
    """`data` with one bit changed, each time in another byte; of 0 few, since they fill pages."""
    rng = np.random.default_rng(seed)
    used = np.flatnonzero(np.frombuffer(data, np.uint8)).tolist()
    for at in [*rng.choice(used, flips - flips // 8), *rng.choice(len(data), flips // 8)]:
        other = bytearray(data)
        other[at] ^= 1 << int(rng.integers(8))
        yield bytes(other)


def rows(run: Path) -> list[object]:
    """All but the digests themselves: a flip in the name of one takes it away, and no more."""
    with closing(sqlite3.connect(run / "run.sqlite")) as db:
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        tables = [name for (name,) in names]
        found = [sorted(map(repr, db.execute(f"SELECT * FROM {table}"))) for table in tables]
        return [[row for row in each if not DIGEST.search(row)] for each in found]


def sound(run: Path) -> bool:
    """As `evofool verify` begins."""
    try:
        with Folder.open(run) as folder:
            return not any(check.ok is False for check in check_folder(folder))
    except StoreError:
        return False


def test_bits_of_the_database(run: Path) -> None:
    whole, content = (run / "run.sqlite").read_bytes(), rows(run)
    files = sorted(path.name for path in run.rglob("*"))
    found, harmless = 0, 0
    for data in flipped(whole, FLIPS, 1):
        (run / "run.sqlite").write_bytes(data)
        if not sound(run):
            found += 1
            with pytest.raises(StoreError):  # and nothing is written over it
                resume(run)
            assert (run / "run.sqlite").read_bytes() == data
        else:
            harmless += 1
            try:
                assert rows(run) == content
            except sqlite3.DatabaseError:
                pytest.fail("it cannot be read, and nobody says so")
        for suffix in ("-wal", "-shm"):
            Path(f"{run / 'run.sqlite'}{suffix}").unlink(missing_ok=True)
    assert found > FLIPS / 2, f"{harmless} changed no row"
    assert sorted(path.name for path in run.rglob("*")) == files


def test_bits_of_pictures(run: Path) -> None:
    path = run / "images" / "0003.png"
    whole = path.read_bytes()
    for data in flipped(whole, PICTURES, 2):
        path.write_bytes(data)
        assert "pictures" in {check.name for check in verify(run) if check.ok is False}
    path.write_bytes(whole[: len(whole) // 2])
    assert "pictures" in {check.name for check in verify(run) if check.ok is False}
    resume(run)  # draws it again from its genome
    assert path.read_bytes() == whole
    assert all(check.ok is not False for check in verify(run))
