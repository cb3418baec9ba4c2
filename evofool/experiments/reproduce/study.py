"""A reproduction: the works of its claims as one plan, and what came of each claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evofool.config import Loaded
from evofool.errors import EvofoolError, UsageError
from evofool.experiments.engine import Plan, Results
from evofool.experiments.engine.study import Study
from evofool.experiments.reproduce import lines
from evofool.experiments.reproduce.claims import Claim
from evofool.experiments.reproduce.config import ReproduceConfig, resolve
from evofool.experiments.reproduce.outcomes import Outcome, PlannedClaim, own_seconds
from evofool.experiments.reproduce.registry import chosen
from evofool.experiments.reproduce.scales import SCALES
from evofool.experiments.reproduce.setting import Setting
from evofool.report.output import Report
from evofool.store import Result


class ReproduceStudy(Study[ReproduceConfig]):
    """Claims of the literature, put to the test.

    Attributes:
        rows: one a claim, in the order of the suite.
    """

    kind = "reproduce"
    config = ReproduceConfig
    moved = "a reproduction takes nets that ship and trains the others itself"
    resolve = staticmethod(resolve)

    def __init__(
        self, loaded: Loaded[ReproduceConfig], setting: Setting, rows: Sequence[PlannedClaim]
    ) -> None:
        super().__init__(loaded, Plan([each for row in rows for each in row.works]))
        self.setting, self.rows = setting, tuple(rows)

    @classmethod
    def make(cls, loaded: Loaded[ReproduceConfig]) -> ReproduceStudy:
        study = cls.planned(loaded)
        if not len(study.plan):
            reasons = "; ".join(dict.fromkeys(row.missing for row in study.rows))
            raise UsageError(f"none of these claims can be tested here: {reasons}")
        return study

    @classmethod
    def planned(cls, loaded: Loaded[ReproduceConfig]) -> ReproduceStudy:
        """As `make`, with no objection if nothing of it can be done on this machine."""
        config = loaded.config
        scoring = config.scoring.model_dump(mode="json")
        folders = (None if f is None else Path(f) for f in (config.imagenet, config.picbreeder))
        setting = Setting(
            SCALES[config.scale], config.scoring.resolved(), scoring, config.seed, *folders
        )
        return cls(loaded, setting, [_row(claim, setting) for claim in chosen(config.claims)])

    def outcomes(self, results: Results) -> list[Outcome]:
        """What came of each claim."""
        own = own_seconds(self.rows, results)
        return [
            Outcome(
                row,
                None if row.missing else row.claim.measure(self.setting, results),
                results.whole_cost([each.work for each in row.works]),
                seconds,
            )
            for row, seconds in zip(self.rows, own, strict=True)
        ]

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.reproduce.report import report

        scale = self.loaded.config.scale
        return report(self.outcomes(results), self.setting, scale, results, manifest)

    @classmethod
    def plan_lines(cls, plan: Any) -> list[str]:
        return lines.plan_lines(plan.loaded.config, plan.rows, plan.plan)

    @classmethod
    def result_lines(cls, result: Result, pages: Sequence[Path]) -> list[str]:
        return lines.result_lines(result, pages)


def _row(claim: Claim, setting: Setting) -> PlannedClaim:
    try:
        return PlannedClaim(claim, tuple(claim.works(setting)))
    except EvofoolError as error:  # a data set or a net that is not on this machine
        return PlannedClaim(claim, (), str(error))


def plan(loaded: Loaded[ReproduceConfig]) -> ReproduceStudy:
    """What a dry run tells of: what is missing is said and is no error."""
    return ReproduceStudy.planned(loaded)
