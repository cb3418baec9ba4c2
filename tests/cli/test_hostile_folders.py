"""A run folder that was made to harm, given to every command that reads one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evofool.cli.app import app
from evofool.errors import EvofoolError
from evofool.evolution.campaign import evolve

TOY = Path(__file__).resolve().parents[1] / "toys" / "exact.py"
COMMANDS: dict[str, Callable[[Path, Path], list[str | Path]]] = {
    "status": lambda run, out: ["status", run],
    "verify": lambda run, out: ["verify", run],
    "resume": lambda run, out: ["resume", run, "stop.generations=6"],
    "gallery": lambda run, out: ["gallery", run, "--out", out / "gallery"],
    "export": lambda run, out: ["export", run, "--out", out / "exported"],
    "compare": lambda run, out: ["compare", run, out / "other", "--out", out / "compared"],
    "score": lambda run, out: [
        "score", run / "images" / "0003.png", "--classifier", f"{TOY}:victim"
    ],
    "attack": lambda run, out: ["attack", out / "attack.yaml", "--out", out / "attacked"],
}  # fmt: skip
ATTACK = """kind: attack
classifier: "{toy}:victim"
images: {{folder: "{run}/images"}}
attacks: [{{name: fgsm, eps: 16/255}}]
scoring: {{batch: 8, workers: 1}}
"""
MOST_MEGABYTES = 400
"""More than the commands take of themselves, and far less than what the folders claim."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    config = {
        "classifier": f"{TOY}:victim",
        "encoding": "cppn",
        "evolution": {"initial": 12, "children": 12},
        "stop": {"generations": 4},
        "scoring": {"batch": 8, "workers": 1},
    }
    evolve(config, run)
    evolve({**config, "seed": 2}, run.parent / "other")
    return run


def genome(hidden: int, edges: list[tuple[int, int, float]]) -> bytes:
    """A CPPN of one output as it is stored; nodes from 5 on."""
    data = b"EFC\x01" + struct.pack("<HHI", 1, hidden, len(edges)) + bytes(1 + hidden)
    data += b"".join(struct.pack("<H", a) for a, _, _ in edges)
    data += b"".join(struct.pack("<H", b) for _, b, _ in edges)
    return data + b"".join(struct.pack("<f", w) for _, _, w in edges)


def with_genome(run: Path, data: bytes) -> None:
    with closing(sqlite3.connect(run / "run.sqlite")) as db, db:
        values = (data, hashlib.sha256(data).digest())
        db.execute("UPDATE individuals SET genome = ?, sha256 = ? WHERE genome IS NOT NULL", values)
        db.execute("DELETE FROM meta WHERE key = 'rows_sha256'")


def a_huge_genome(run: Path) -> None:
    with_genome(run, b"EFC\x01" + struct.pack("<HHI", 1, 65535, 2**32 - 1) + bytes(100))


def a_cyclic_genome(run: Path) -> None:
    with_genome(run, genome(1, [(5, 4, 1.0), (5, 5, 1.0)]))


def weights_that_are_nan(run: Path) -> None:
    with_genome(run, genome(0, [(0, 4, float("nan")), (1, 4, float("inf"))]))


def a_blob_that_claims_more(run: Path) -> None:
    """Rows that say 134 MB each, in a file that has none of it."""
    real, claimed = 1 << 20, (1 << 27) - 8
    with closing(sqlite3.connect(run / "run.sqlite")) as db, db:
        db.execute("UPDATE individuals SET genome = zeroblob(?) WHERE genome IS NOT NULL", (real,))
        db.execute("DELETE FROM meta WHERE key = 'rows_sha256'")
    data = (run / "run.sqlite").read_bytes()
    before, after = varint(2 * real + 12), varint(2 * claimed + 12)
    assert before in data
    assert len(before) == len(after)
    (run / "run.sqlite").write_bytes(data.replace(before, after))


def blobs_of_gigabytes(run: Path) -> None:
    """Rows that say 2 GB and go round in circles, and one of 4 GB, in a file of 5 MB on disk.

    SQLite takes the size of a row on trust as long as the file is as long as that, and follows its
    chain of pages wherever it leads.
    """
    real = (
        256 * OVERFLOW + 800
    )  # so that more of each row lies in its first page than will be wanted
    with closing(sqlite3.connect(run / "run.sqlite")) as db, db:
        db.execute("UPDATE individuals SET genome = zeroblob(?) WHERE genome IS NOT NULL", (real,))
        db.execute("DELETE FROM meta WHERE key = 'rows_sha256'")
    data = bytearray((run / "run.sqlite").read_bytes())
    rows = [
        at
        for page in range(len(data) // PAGE)
        for at in cells_of(data, page)
        if holds_a_blob(data, at, real)
    ]
    assert len(rows) > 3
    for at in rows:
        claim(data, at, real, 4_000_000_000 if at == rows[-1] else 2_000_000_000)
    pages = 4_400_000_000 // PAGE
    data[28:32] = struct.pack(">I", pages)
    (run / "run.sqlite").write_bytes(data)
    os.truncate(run / "run.sqlite", pages * PAGE)  # a hole


PAGE, OVERFLOW = 4096, 4092
LEAST = (PAGE - 12) * 32 // 255 - 23
"""Bytes of a row that stay in its page when the rest goes to others, at least."""


def cells_of(data: bytearray, page: int) -> list[int]:
    """Where the cells of a page of an index lie, past the number of the page below each."""
    head = page * PAGE + 100 * (page == 0)
    if data[head] not in (2, 10):
        return []
    start = head + (12 if data[head] == 2 else 8)
    count = int.from_bytes(data[head + 3 : head + 5])
    pointers = struct.unpack_from(f">{count}H", data, start)
    return [page * PAGE + pointer + 4 * (data[head] == 2) for pointer in pointers]


def holds_a_blob(data: bytearray, at: int, size: int) -> bool:
    """Whether the cell at `at` is a row with a blob of `size` bytes."""
    whole, begin = read_varint(data, at)
    return whole > size and varint(2 * size + 12) in data[begin : begin + data[begin]]


def claim(data: bytearray, at: int, real: int, claimed: int) -> None:
    """Have the row at `at`, with a blob of `real` bytes, say that it has about `claimed`."""
    size, begin = read_varint(data, at)
    local = LEAST + (size - LEAST) % OVERFLOW
    overflow = bytes(data[begin + local : begin + local + 4])
    header = data[begin : begin + data[begin]]
    claimed += (3000 - claimed) % OVERFLOW  # only the least of it stays in the page
    after = header.replace(varint(2 * real + 12), varint(2 * claimed + 12))
    after[0] = len(after)
    row = after + data[begin + len(header) : begin + local]
    cell = varint(size - len(header) - real + len(after) + claimed) + row[:LEAST] + overflow
    assert at + len(cell) <= begin + local + 4
    data[at : at + len(cell)] = cell
    first = (int.from_bytes(overflow) - 1) * PAGE
    data[first : first + 4] = overflow  # what comes after it is itself


def read_varint(data: bytearray, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    number = 0
    while data[at] & 128:
        number, at = number << 7 | data[at] & 127, at + 1
    return number << 7 | data[at], at + 1


def varint(number: int) -> bytes:
    digits = [number & 127]
    while number := number >> 7:
        digits.append(number & 127 | 128)
    return bytes(reversed(digits))


def a_picture_without_end(run: Path) -> None:
    for path in (run / "images").glob("*.png"):
        path.unlink()
        path.symlink_to("/dev/zero")


def a_picture_of_gigabytes(run: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(10**7))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)
    for path in (run / "images").glob("*.png"):
        path.write_bytes(bomb + chunk(b"IEND", b""))


def pictures_elsewhere(run: Path) -> None:
    (run / "images").rename(run.parent / "elsewhere")
    (run / "images").symlink_to(run.parent / "elsewhere")


def names_that_lead_out(run: Path) -> None:
    table = (run / "elites.csv").read_text()
    (run / "elites.csv").write_text(table.replace("images/", "../../elsewhere/"))


HARM = [
    a_huge_genome, a_cyclic_genome, weights_that_are_nan, a_blob_that_claims_more,
    blobs_of_gigabytes, a_picture_without_end, a_picture_of_gigabytes, pictures_elsewhere,
    names_that_lead_out,
]  # fmt: skip


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_every_command(
    finished: Path, tmp_path: Path, harm: Callable[[Path], None], capsys: Any
) -> None:
    """It does its work or gives the error that it documents, and touches nothing elsewhere."""
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    (tmp_path / "attack.yaml").write_text(ATTACK.format(toy=TOY.with_name("linear.py"), run=run))
    shutil.copytree(finished.parent / "other", tmp_path / "other")
    before = megabytes()
    for name, command in COMMANDS.items():
        for path in (run, elsewhere):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(finished, run)
        harm(run)
        there = {path: path.read_bytes() for path in elsewhere.rglob("*")}
        with contextlib.suppress(EvofoolError):
            app([str(word) for word in command(run, tmp_path)], standalone_mode=False)
        assert {path: path.read_bytes() for path in elsewhere.rglob("*")} == there, name
    assert megabytes() - before < MOST_MEGABYTES
