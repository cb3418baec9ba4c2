"""The tables of a run of kind defend, and the rows that go in and out of them."""

from __future__ import annotations

from dataclasses import dataclass

RIGHT, WRONG, DECLINED = ".", "x", "r"
"""Letters of `ThreatRow.outcomes`."""

DEFEND_TABLES: dict[str, str] = {
    # status, active seconds, the defended net's digest
    "meta": "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    # one row a threat to a net, one letter an image: errors can be counted on any of them
    "threats": """CREATE TABLE threats (
        net TEXT NOT NULL,
        position INTEGER NOT NULL,
        threat TEXT NOT NULL,
        grp TEXT NOT NULL,
        outcomes TEXT NOT NULL,
        queries INTEGER NOT NULL,
        backward_images INTEGER NOT NULL,
        seconds REAL NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (net, position)) STRICT, WITHOUT ROWID""",
    # the diagnostics of the verdict; NULL where there was nothing to measure
    "diagnostics": """CREATE TABLE diagnostics (
        key TEXT PRIMARY KEY,
        value REAL,
        detail TEXT NOT NULL) STRICT""",
}


@dataclass(frozen=True)
class ThreatRow:
    """One attack on one net.

    Attributes:
        net: ``defended`` or ``undefended``.
        threat: the attack, in words.
        group: what the attacker knows: clean, white, adaptive, transfer or black.
        outcomes: a letter for each image, in order: ``.`` called its class, ``x`` called another
            (an error), ``r`` rejected.
        queries: images sent to the net itself, judging included.
        backward_images: gradients taken of the net itself.
        seconds: spent.
        detail: parameters and notes.
    """

    net: str
    threat: str
    group: str
    outcomes: str
    queries: int
    backward_images: int
    seconds: float
    detail: str = ""

    @property
    def n(self) -> int:
        """Images."""
        return len(self.outcomes)

    @property
    def errors(self) -> int:
        """Images that are wrong and not rejected."""
        return self.outcomes.count(WRONG)

    @property
    def rejected(self) -> int:
        """Images that the net declined to answer."""
        return self.outcomes.count(DECLINED)

    @property
    def rate(self) -> float:
        """Errors among the images."""
        return self.errors / self.n

    def rate_of_first(self, n: int) -> float:
        """Errors among the first `n` images (among all, if there are fewer)."""
        first = self.outcomes[:n]
        return first.count(WRONG) / len(first)


@dataclass(frozen=True)
class DiagnosticRow:
    """One diagnostic: a number, None where it could not be had, and what it is made of."""

    key: str
    value: float | None
    detail: str
