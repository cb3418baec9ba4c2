"""An experiment on signs as a study: its plan of works, and its dry run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from evofool.attacks import Attack
from evofool.attacks.registry import describe, grid, title
from evofool.classifiers import Classifier
from evofool.classifiers.pictures import fitted
from evofool.config import Loaded, yaml_lines
from evofool.data import inspect_dataset, load_dataset
from evofool.errors import AttackError, DataError, UsageError
from evofool.experiments.attack.sources import Sample, open_source, read_samples
from evofool.experiments.checked import check_like, inspected, loaded_net, told_apart
from evofool.experiments.engine import Plan, Planned, Results
from evofool.experiments.engine.lines import work_lines
from evofool.experiments.engine.study import Study
from evofool.experiments.signs.config import DRAWN, SCALES, SignsConfig, resolve
from evofool.experiments.signs.driven import SignsDriven
from evofool.experiments.signs.painted import Painted, Rows
from evofool.experiments.signs.works import PaintedSigns, SignsSeen
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures
from evofool.randomness import Stream, generator
from evofool.report.output import PAGE, Report
from evofool.store import Result
from evofool.text import bare

Config = Loaded[SignsConfig]
GRADIENTS, EVOLUTION = "sign-embedding", "sign-evolution"


class SignsStudy(Study[SignsConfig]):
    """Rows of pictures, painted by attacks for nets."""

    kind = "signs"
    config = SignsConfig
    resolve = staticmethod(resolve)

    def __init__(self, loaded: Config, rows: Rows) -> None:
        self.rows = rows
        planned = []
        for one in rows.painted:
            what = f"{one.row} for {one.net} by {one.method}"
            planned += [Planned(what, one.painted), Planned(f"{what}, seen", one.seen)]
            if one.driven is not None:
                planned.append(Planned(f"{what}, driven by", one.driven))
        super().__init__(loaded, Plan(planned))

    @classmethod
    def make(cls, loaded: Config) -> SignsStudy:
        config = loaded.config
        attacks = _attacks(loaded)
        nets = [loaded_net(loaded, ("nets", k), spec) for k, spec in enumerate(config.nets)]
        for k, net in enumerate(nets):
            check_like(loaded, ("nets", k), net, nets[0])
            _check_shape(loaded, k, net)
        called = told_apart(nets)
        scoring = config.scoring.resolved()
        notes: list[str] = []
        painted = []
        for row in config.rows:
            pictures, told = _pictures(loaded, row, nets[0])
            notes += told
            targets = tuple(_targets(config.seed, row, pictures, nets[0]))
            for k, (net, name) in enumerate(zip(nets, called, strict=True)):
                spec = config.nets[k].model_dump(mode="json", exclude_none=True)
                given = GivenNet.of(net, spec)
                for index, (method, attack) in attacks:
                    _check_victim(loaded, index, attack, net)
                    work = PaintedSigns(given, pictures, targets, attack, config.seen, scoring)
                    seen = SignsSeen(work, config.held_back, config.sides, config.angles)
                    driven = SignsDriven(work, config.frames) if config.frames else None
                    painted.append(Painted(row, name, method, seen, driven))
        return cls(loaded, Rows(config, tuple(painted), nets[0].labels, tuple(notes)))

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.signs.report import report  # which imports matplotlib

        return report(self.rows, results, manifest)

    @classmethod
    def result_lines(cls, result: Result, pages: Sequence[Path]) -> list[str]:
        from evofool.experiments.signs.summary import rates_table

        return [
            *rates_table(result.summary).plain(),
            *map(bare, result.summary["sentences"]),
            f"look at {result.path / PAGE}",
            f"        {result.path / 'signs.csv'}",
        ]


@dataclass(frozen=True)
class SignsPlan:
    """What a dry run finds out.

    Attributes:
        config: checked.
        missing: what is not on this machine, and how to get it.
        works: None while something is missing.
    """

    config: SignsConfig
    missing: tuple[str, ...]
    works: Plan | None = None


def plan(loaded: Config) -> SignsPlan:
    """Check a config without running it: nets and pictures are loaded if all of them are here.

    Raises:
        ConfigError: whatever can be known to be wrong on this machine.
    """
    config = loaded.config
    _attacks(loaded)
    missing: dict[str, None] = {}
    for k, spec in enumerate(config.nets):
        inspection = inspected(loaded, ("nets", k), spec)
        if not inspection.ready:
            missing[inspection.missing] = None
    if "in-distribution" in config.rows and config.images is not None and config.images.dataset:
        try:
            data = inspect_dataset(config.images.dataset)
        except DataError as error:
            raise loaded.error_at(("images", "dataset"), str(error)) from error
        if not data.present:
            missing[data.missing] = None
    if missing:
        return SignsPlan(config, tuple(missing))
    return SignsPlan(config, (), SignsStudy.make(loaded).plan)


def plan_lines(plan: SignsPlan) -> list[str]:
    """The resolved config, then the works there are to do and what stands in the way."""
    lines = [*yaml_lines(plan.config), *(f"# not ready: {bare(one)}" for one in plan.missing)]
    if plan.works is None:
        return lines
    return [*lines, *(f"# {line}" for line in work_lines(plan.works)), "# ready"]


def _attacks(loaded: Config) -> list[tuple[int, tuple[str, Attack]]]:
    """The attacks, each with its place in the config and its name in tables.

    Raises:
        ConfigError: an unknown one, a wrong parameter, several of one name, or one without targets.
    """
    config = loaded.config
    found: list[tuple[int, tuple[str, Attack]]] = []
    names: set[str] = set()
    equal: int | None = None
    for index, entry in enumerate(config.attacks):
        where = ("attacks", index)
        if entry.targets is not None:
            raise loaded.error_at(where, f"{entry.name}: targets are drawn here; remove targets")
        try:
            described = describe(entry.name)
            if described.aim not in ("targeted", "both"):
                raise AttackError(f"{entry.name} cannot be aimed at a class")
            known = {parameter.name for parameter in described.parameters}
            usual = {k: v for k, v in SCALES[config.scale].items() if k in known}
            if entry.name != GRADIENTS:
                usual = {}
            if entry.name == EVOLUTION and equal is not None:
                usual = {"queries": equal}
            attacks = list(grid(entry.name, {"seed": config.seed, **usual, **entry.options}))
        except AttackError as error:
            raise loaded.option_error_at(where, error, entry.options) from error
        if len(attacks) != 1:
            raise loaded.error_at(
                where, f"{entry.name}: a grid of {len(attacks)}; give one value each"
            )
        attack = attacks[0]
        if entry.name == GRADIENTS and equal is None:
            steps = cast(Any, attack).steps * cast(Any, attack).search_steps
            equal = 3 * steps
        name = title(entry.name)
        if name in names:
            name = f"{name} {index + 1}"
        names.add(name)
        found.append((index, (name, attack)))
    return found


def _check_victim(loaded: Config, index: int, attack: Attack, net: Classifier) -> None:
    try:
        attack.check_victim(net)
    except UsageError as error:
        raise loaded.error_at(("attacks", index), str(error)) from error
    if net.multi_label:
        raise loaded.error_at(
            ("nets", 0),
            f"{net.name} may claim several classes (task: multi-label), and this experiment counts"
            " first answers; attack it with evofool attack",
        )
    if net.output in ("label", "topk") or net.metered:
        raise loaded.error_at(
            ("nets", 0),
            f"{net.name} is asked by the picture; transforms need a net on this machine: leave"
            " answers away, or attack it alone (configs/gtsrb-blackbox.yaml)",
        )


def _check_shape(loaded: Config, index: int, net: Classifier) -> None:
    drawn = [row for row in loaded.config.rows if row in DRAWN]
    if drawn and net.input_shape[0] != 3:
        raise loaded.error_at(
            ("nets", index),
            f"{net.name} takes grey pictures, and drawn {drawn[0]} boards are in colour; leave the"
            " rows logo and custom out",
        )


def _pictures(loaded: Config, row: str, net: Classifier) -> tuple[Pictures, tuple[str, ...]]:
    """The pictures of a row as inputs of the nets, and notes on them.

    Raises:
        ConfigError: there are none, or too few.
    """
    wanted = loaded.config.pictures
    if row in DRAWN:
        data = load_dataset(DRAWN[cast(Any, row)])
        if wanted > len(data):
            raise loaded.error_at(
                "pictures", f"there are {len(data)} drawn pictures for the row {row}; ask for fewer"
            )
        images = fitted(data.images[:wanted], net.input_shape)
        return Pictures.of(images, np.full(wanted, -1, np.int64)), ()
    source = open_source(cast(Any, loaded), net)  # it reads `images` and `seed` alone
    if not source.labelled:
        raise loaded.error_at("images", "have no labels; add labels")
    if wanted > len(source):
        raise loaded.error_at("pictures", f"images has {len(source)} pictures; ask for fewer")
    samples: list[Sample] = []
    faults: list[str] = []
    for k in range(wanted):
        at = k * len(source) // wanted
        some, told = read_samples(source, range(at, at + 1))
        samples += some
        faults += told
    if not samples:
        raise loaded.error_at("images", f"no picture can be used: {faults[0]}")
    images = np.stack([sample.pixels for sample in samples])
    labels = np.array([sample.label for sample in samples], np.int64)
    return Pictures.of(images, labels), (*source.notes, *faults)


def _targets(seed: int, row: str, pictures: Pictures, net: Classifier) -> Iterator[int]:
    """A class for each picture, drawn at random from all but its own and a rejection."""
    number = ("in-distribution", "logo", "custom").index(row)
    for k, label in enumerate(pictures.labels.tolist()):
        others = [c for c in range(net.n_classes) if c not in (label, net.reject)]
        yield others[int(generator(seed, Stream.TARGET, number, k).integers(len(others)))]
