"""A sweep as a study: a work a run, its report, and its dry run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from evofool import encodings
from evofool.classifiers import Classifier, load_classifier
from evofool.classifiers.identity.code import code_digest
from evofool.config import Loaded, yaml_lines
from evofool.config.document import plain_document
from evofool.errors import ClassifierError, EncodingError, UsageError
from evofool.experiments.engine import Plan, Planned, Results
from evofool.experiments.engine.spending import Spending, equal_shares
from evofool.experiments.engine.study import Study
from evofool.experiments.sweep.config import (
    SweepConfig,
    base_kind,
    load,
    resolve,
    short_keys,
    shown,
)
from evofool.experiments.sweep.works import SweptRun
from evofool.plugins import in_file
from evofool.report.output import PAGE, Report
from evofool.scoring.devices import pick_device
from evofool.store import Result
from evofool.store.experiment import ExperimentFolder
from evofool.store.fixed import Changeable
from evofool.text import counted

_BY_DIGEST = ("name", "weights", "labels", "prototypes", "ensemble")
"""Options that the digest of the net tells."""
_UNBOUNDED = 100
"""Generations that a campaign without a limit of pictures is taken to last, for time left."""
_FREE = {"name": True, "scoring": {"workers", "ray", "device", "budget"}}
"""Of a campaign's config what does not decide its result."""


class SweepStudy(Study[SweepConfig]):
    """The same run with every combination of some values and seeds.

    Attributes:
        swept: the run of each combination, by its number, and seed, in the order of the plan.
    """

    kind = "sweep"
    config = SweepConfig
    changeable: ClassVar[Changeable] = Changeable(("budget", "most"))
    moved = "a sweep may have several nets; put the file where config.yaml says"
    partial = True
    resolve = staticmethod(resolve)

    def __init__(
        self,
        loaded: Loaded[SweepConfig],
        swept: Mapping[tuple[int, int], SweptRun],
        runs_of: str,
    ) -> None:
        self.swept, self.runs_of = swept, runs_of
        config = loaded.config
        planned, taken = [], set[str]()
        points = config.points
        for (number, seed), work in swept.items():
            title = self.title(config, points[number], seed)
            called = re.sub(r"[^A-Za-z0-9.=-]+", "-", title)[:100].strip("-.")
            if called in taken:
                called = f"{called}-{work.address[:8]}"
            taken.add(called)
            planned.append(Planned(title, work, called))
        super().__init__(loaded, Plan(planned))

    @staticmethod
    def title(config: SweepConfig, point: Sequence[Any], seed: int) -> str:
        """Of a run, for people."""
        pairs = zip(short_keys(list(config.grid)), point, strict=True)
        return ", ".join([*(f"{key}={shown(value)}" for key, value in pairs), f"seed {seed}"])

    @classmethod
    def make(cls, loaded: Loaded[SweepConfig]) -> SweepStudy:
        config = loaded.config
        kind = base_kind(config)
        swept: dict[tuple[int, int], SweptRun] = {}
        known: dict[str, Classifier] = {}
        addresses: dict[str, str] = {}
        for seed in config.seeds:  # all combinations of a seed before the next seed
            for number, point in enumerate(config.points):
                run = load(config, point, seed)
                title = cls.title(config, point, seed)
                if kind.name == "evolve":
                    work = _campaign(run, known)
                else:
                    work = _experiment(kind.name, run)
                if (other := addresses.setdefault(work.address, title)) != title:
                    raise loaded.error_at(
                        "grid", f"{title} is the same run as {other}: leave one of them out"
                    )
                if config.budget is not None:
                    _check_budget(loaded, run, title)
                swept[number, seed] = work
        return cls(loaded, swept, kind.name)

    @classmethod
    def budget_of(cls, config: SweepConfig) -> int | None:
        return config.budget

    def spending(self, run: ExperimentFolder) -> Spending:
        """The budget, shared out to the runs as `equal_shares` says, whatever they have spent."""
        budget = self.loaded.config.budget
        if budget is None:
            return Spending(run.bookings)
        wishes = {
            work.address: work.expected if self.runs_of == "evolve" else None
            for work in self.swept.values()
        }
        return Spending(run.bookings, budget, equal_shares(budget, wishes))

    @classmethod
    def check_resume(
        cls, run: ExperimentFolder, config: SweepConfig, overrides: Sequence[str]
    ) -> None:
        if config.count > config.most:
            raise UsageError(f"{run.path}: {config.count} runs are more than most={config.most}")

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.sweep.report import report  # which imports matplotlib

        return report(self.loaded.config, self.runs_of, self.swept, results, manifest)

    @classmethod
    def plan_lines(cls, plan: Any) -> list[str]:
        """The resolved config, and how much there is to do."""
        images = sum(work.images for work in plan.swept.values())
        config = plan.loaded.config
        grid = " x ".join(
            [*(f"{len(values)} of {key}" for key, values in config.grid.items()),
             counted(len(config.seeds), "seed")]
        )  # fmt: skip
        return [
            *yaml_lines(config),
            f"# {counted(len(plan.swept), 'run')} of kind {plan.runs_of}: {grid}",
            f"# about {images:,} pictures; ready",
        ]

    @classmethod
    def result_lines(cls, result: Result, pages: Sequence[Path]) -> list[str]:
        from evofool.experiments.sweep.summary import grid_table

        return [
            *grid_table(result.summary).plain(),
            f"look at {result.path / PAGE}",
            f"        {result.path / 'grid.csv'}, {result.path / 'sweep.csv'}",
        ]


def _campaign(run: Loaded[Any], known: dict[str, Classifier]) -> SweptRun:
    """The work of a campaign, whose net is loaded once for all that have it."""
    config = run.config
    if config.scoring.ray is not None:
        raise run.error_at("scoring.ray", "a sweep spreads whole runs: use evofool sweep --ray")
    spec = config.classifier.model_dump(mode="json", exclude_none=True)
    key = str(spec)
    try:
        if key not in known:
            known[key] = load_classifier(spec)
    except ClassifierError as error:
        raise run.error_at("classifier", str(error)) from error
    net = known[key]
    encoding = config.encoding
    try:
        encodings.load(encoding.name, net.input_shape, encoding.options)
    except EncodingError as error:
        raise run.option_error_at(("encoding",), error) from error
    plain = plain_document(config.model_dump(mode="json", exclude=_FREE), "config").data
    plain["classifier"] = {
        "digest": net.digest,
        **{k: v for k, v in spec.items() if k not in _BY_DIGEST},
    }
    device = pick_device(config.scoring.device).partition(":")[0]
    recipe = {**_by_digest(plain), "device": device, "budget": config.scoring.budget}
    stop, evolution = config.stop, config.evolution
    lasts = stop.generations if stop.generations is not None else _UNBOUNDED
    images = evolution.initial + lasts * evolution.children
    if stop.evaluations is not None:
        images = min(images, stop.evaluations) if stop.generations is not None else stop.evaluations
    return SweptRun("evolve", recipe, run, images, config.scoring.workers)


def _experiment(kind: str, run: Loaded[Any]) -> SweptRun:
    """The work of a run of attacks or the evaluation of a defense: what its own works are."""
    from evofool import kinds

    made: Study[Any] = kinds.find(kind).part("study").make(run)
    budget = made.budget_of(run.config)
    recipe = {"works": [planned.work.address for planned in made.plan], "budget": budget}
    images = sum(planned.work.images for planned in made.plan)
    cores = max([run.config.scoring.workers, *(planned.work.threads for planned in made.plan)])
    return SweptRun(kind, recipe, run, images, cores)


def _by_digest(value: Any) -> Any:
    """A config with code from outside by its digest, not by its path."""
    if isinstance(value, Mapping):
        return {key: _by_digest(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_by_digest(inner) for inner in value]
    if isinstance(value, str) and in_file(value):
        return f"{value.rpartition(':')[2]} {code_digest(value)}"
    return value


def _check_budget(loaded: Loaded[SweepConfig], run: Loaded[Any], title: str) -> None:
    scoring = run.config.scoring
    if not hasattr(scoring, "budget"):
        raise loaded.error_at(
            "budget", "the config of a defense fixes its number of pictures; leave it out"
        )
    if scoring.budget is not None:
        raise loaded.error_at(
            "budget", f"{title} has its own scoring.budget; leave one of them out"
        )
