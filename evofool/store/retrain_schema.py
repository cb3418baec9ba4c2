"""The tables of a run of kind retrain, and the rows that go in and out of them."""

from __future__ import annotations

from dataclasses import dataclass

RETRAIN_TABLES: dict[str, str] = {
    # status, active seconds
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    # one row a net; its weights are a file
    "nets": """CREATE TABLE nets (
        round INTEGER NOT NULL,
        trained_on TEXT NOT NULL,
        seed INTEGER NOT NULL,
        file TEXT NOT NULL,
        digest TEXT NOT NULL,
        images INTEGER NOT NULL,
        seconds REAL NOT NULL,
        PRIMARY KEY (round, trained_on, seed)) STRICT, WITHOUT ROWID""",
    # one row a share that was counted
    "measures": """CREATE TABLE measures (
        round INTEGER NOT NULL,
        trained_on TEXT NOT NULL,
        seed INTEGER NOT NULL,
        part TEXT NOT NULL,
        measure TEXT NOT NULL,
        encoding TEXT NOT NULL,
        other TEXT NOT NULL,
        hits INTEGER NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (round, trained_on, seed, part, measure, encoding, other))
        STRICT, WITHOUT ROWID""",
}


@dataclass(frozen=True)
class NetRow:
    """One net of the loop.

    Attributes:
        round: 0 for the base.
        trained_on: encodings whose pictures it was trained on, in a word; ``base`` for the base.
        seed: of its chain.
        file: its weights, relative to the run folder; empty for a base from outside.
        digest: of its weights.
        images: fooling pictures that it was trained on.
        seconds: of its training.
    """

    round: int
    trained_on: str
    seed: int
    file: str
    digest: str
    images: int
    seconds: float


@dataclass(frozen=True)
class MeasureRow:
    """A share: `hits` of `n`.

    Attributes:
        round: of the net.
        trained_on: of the net.
        seed: of the net.
        part: what was measured together, in one transaction.
        measure: what is counted.
        encoding: of the pictures, or empty.
        other: the other net that they were shown to, or empty.
        hits: how many.
        n: of how many.
    """

    round: int
    trained_on: str
    seed: int
    part: str
    measure: str
    encoding: str
    other: str
    hits: int
    n: int

    @property
    def share(self) -> float:
        """`hits` over `n`."""
        return self.hits / self.n
