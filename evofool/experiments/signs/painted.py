"""The rows of an experiment on signs: what was painted for which net by which attack."""

from __future__ import annotations

import re
from dataclasses import dataclass

from evofool.experiments.signs.config import SignsConfig
from evofool.experiments.signs.driven import SignsDriven
from evofool.experiments.signs.works import PaintedSigns, SignsSeen


@dataclass(frozen=True)
class Painted:
    """One row of the tables.

    Attributes:
        row: what was painted.
        net: its name.
        method: the attack's name.
        seen: the work that shows what it painted.
        driven: the one that drives by; None without a drive.
    """

    row: str
    net: str
    method: str
    seen: SignsSeen
    driven: SignsDriven | None = None

    @property
    def painted(self) -> PaintedSigns:
        """The work that paints."""
        return self.seen.painted


@dataclass(frozen=True)
class Rows:
    """All of them.

    Attributes:
        config: of the experiment.
        painted: in the order of tables.
        labels: of the nets' classes.
        notes: on the pictures.
    """

    config: SignsConfig
    painted: tuple[Painted, ...]
    labels: tuple[str, ...]
    notes: tuple[str, ...]


def file_name(*parts: object) -> str:
    """Parts of a title as a file name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(map(str, parts))).strip("-.")
