"""What searches spent, whether they were run here or are taken over from other run folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evofool.experiments.engine import Results, Row, Work
from evofool.store.records.works import Cost


@dataclass(frozen=True)
class SpentRow(Row):
    """What a search sent and took where it was run, of a work that only takes it over.

    Attributes:
        forward_images: that went forward.
        backward_images: that gradients were taken of.
        seconds: active ones.
    """

    type: ClassVar[str] = "spent"

    forward_images: int
    backward_images: int
    seconds: float


def spent_by(results: Results, work: Work) -> Cost:
    """What a search cost, all that it stands on included.

    Raises:
        StoreError: its row is missing or damaged.
    """
    if SpentRow not in work.rows:
        return results.whole_cost([work])
    row = results.only(work, SpentRow)
    return Cost(row.forward_images, row.forward_images, row.backward_images, row.seconds)
