"""The tables of a run of kind attack, and the rows that go in and out of them."""

from __future__ import annotations

from dataclasses import dataclass

NONE = -1
"""Stands where there is no class."""

ATTACK_TABLES: dict[str, str] = {
    # status and the like
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    # the clean images, as PNGs: a resume needs nothing from outside
    "images": """CREATE TABLE images (
        idx INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        label INTEGER NOT NULL,
        predicted INTEGER NOT NULL,
        confidence REAL,
        least_likely INTEGER NOT NULL,
        used INTEGER NOT NULL,
        png BLOB NOT NULL) STRICT""",
    # one row an attacked image: what the attack came to, and the picture
    "results": """CREATE TABLE results (
        attack INTEGER NOT NULL,
        item INTEGER NOT NULL,
        image INTEGER NOT NULL,
        target INTEGER NOT NULL,
        predicted INTEGER NOT NULL,
        predicted_float INTEGER NOT NULL,
        confidence REAL,
        sought_confidence REAL,
        success INTEGER NOT NULL,
        success_float INTEGER NOT NULL,
        complete INTEGER NOT NULL,
        eps REAL,
        effective_eps REAL,
        l0 INTEGER NOT NULL,
        l2 REAL NOT NULL,
        linf REAL NOT NULL,
        ssim REAL NOT NULL,
        forward_images INTEGER NOT NULL,
        backward_images INTEGER NOT NULL,
        verify_forward_images INTEGER NOT NULL,
        seconds REAL NOT NULL,
        png BLOB NOT NULL,
        PRIMARY KEY (attack, item)) STRICT, WITHOUT ROWID""",
    # one row a transaction of results, attack -1 the clean images
    "chunks": """CREATE TABLE chunks (
        attack INTEGER NOT NULL,
        chunk INTEGER NOT NULL,
        forward_shared INTEGER NOT NULL,
        notes TEXT NOT NULL,
        PRIMARY KEY (attack, chunk)) STRICT, WITHOUT ROWID""",
}

CLEAN = -1
"""`ChunkRow.attack` of the transactions that hold clean images."""


@dataclass(frozen=True)
class ImageRow:
    """A clean image.

    Attributes:
        index: of the image in this run; keys its random draws and names its files.
        source: where it comes from, for people: a file name or ``mnist-sample:12``.
        label: its class.
        predicted: the victim's answer to it.
        confidence: in that answer (None: the victim gives labels alone).
        least_likely: the class the victim found least likely, or `NONE`.
        used: False if it was left out because the victim gets it wrong.
    """

    index: int
    source: str
    label: int
    predicted: int
    confidence: float | None
    least_likely: int
    used: bool


@dataclass(frozen=True)
class ResultRow:
    """One attacked image; the words are those of `evofool.attacks.AttackResult`.

    Attributes:
        attack: number of the attack in the run.
        item: number of the image, with its target, among those of the attack.
        image: index of the clean image.
    """

    attack: int
    item: int
    image: int
    target: int
    predicted: int
    predicted_float: int
    confidence: float | None
    sought_confidence: float | None
    success: bool
    success_float: bool
    complete: bool
    eps: float | None
    effective_eps: float | None
    l0: int
    l2: float
    linf: float
    ssim: float
    forward_images: int
    backward_images: int
    verify_forward_images: int
    seconds: float


@dataclass(frozen=True)
class ChunkRow:
    """One transaction: which images of which attack, and what a person should know of them.

    `forward_shared` are images that went forward for all of them together.
    """

    attack: int
    chunk: int
    forward_shared: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counts:
    """What the whole run has used so far; `batch` is smaller than the config's after a halving."""

    queries: int = 0
    forward_images: int = 0
    backward_images: int = 0
    batch: int = 0
    seconds: float = 0.0
