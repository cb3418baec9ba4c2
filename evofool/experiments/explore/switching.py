"""The work of counting goal switches: new champions whose parents were champions of other classes.

Nguyen, Yosinski and Clune (Innovation Engines, 2015 and 2016) call it goal switching.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.work import work
from evofool.experiments.works.campaign import FOLDER, Campaign
from evofool.store import CampaignFolder, Check
from evofool.store.records.lineage import IndividualId, IndividualRow, WinRow


@dataclass(frozen=True)
class ClassSwitches(Row):
    """The new champions of a class, which `item` numbers, over a whole campaign.

    Attributes:
        champions: individuals with parents that became its champion.
        switched: those among them whose parents were all drawn as champions of other classes.
    """

    type: ClassVar[str] = "class-switches"

    champions: int
    switched: int


@dataclass(frozen=True)
class GenerationSwitches(Row):
    """The new champions of a generation, which `item` numbers, over all classes.

    Attributes:
        champions: as in `ClassSwitches`; whoever wins several classes counts in each.
        switched: likewise.
    """

    type: ClassVar[str] = "generation-switches"

    champions: int
    switched: int


@work
class GoalSwitching(Work):
    """Counts from the lineage of a campaign; nothing is sent to a net.

    The random individuals of generation 0 have no parents and do not count.

    Attributes:
        campaign: whose lineage.
    """

    kind: ClassVar[str] = "goal-switching"
    rows: ClassVar[tuple[type[Row], ...]] = (ClassSwitches, GenerationSwitches)

    campaign: Campaign

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        yield from self._counted(context)

    def verify(self, context: Context) -> Iterator[Check]:
        """Count again."""
        stored = {type: context.rows(self, type) for type in (ClassSwitches, GenerationSwitches)}
        again = list(self._counted(context))
        same = all([r for r in again if type(r) is kind] == rows for kind, rows in stored.items())
        detail = "the lineage gives the stored counts" if same else "the lineage gives other counts"
        yield Check(f"{context.planned.title}, again", same, detail)

    def _counted(self, context: Context) -> Iterator[Row]:
        with CampaignFolder.open(context.artifact(self.campaign, FOLDER)) as run:
            lineage = {row.id: row for row in run.lineage()}
            wins = run.wins()
            last = run.last_generation()
        cells, generations = counted(wins, lineage)
        for c in self.campaign.goals:
            yield ClassSwitches(c, *cells.get(c, (0, 0)))
        for g in range(1, 1 + (0 if last is None else last.generation)):
            yield GenerationSwitches(g, *generations.get(g, (0, 0)))


Counts = Mapping[int, tuple[int, int]]
"""New champions, and how many of them switched, by class or generation."""


def counted(
    wins: Iterable[WinRow], lineage: Mapping[IndividualId, IndividualRow]
) -> tuple[Counts, Counts]:
    """Counts by class and by generation.

    Args:
        wins: every cell that changed hands.
        lineage: whoever won one, by id.
    """
    champions: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    switched: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    for win in wins:
        row = lineage.get(win.id)
        if row is None or not row.parent_cells:
            continue
        for n, key in enumerate((win.class_index, win.id.generation)):
            champions[n][key] += 1
            switched[n][key] += win.class_index not in row.parent_cells
    cells, generations = (
        {key: (n, switched[k][key]) for key, n in champions[k].items()} for k in (0, 1)
    )
    return cells, generations
