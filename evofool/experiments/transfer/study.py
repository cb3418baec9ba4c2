"""A transfer matrix: its plan, and what a dry run tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evofool.config import ClassifierConfig
from evofool.data import inspect_dataset
from evofool.errors import DataError
from evofool.experiments.checked import check_encodings, inspected
from evofool.experiments.engine import Plan, Results
from evofool.experiments.engine.study import Study
from evofool.experiments.transfer.config import (
    TrainedNet,
    TransferConfig,
    resolve,
    singles,
)
from evofool.experiments.transfer.matrix import Matrix, attacks_of, make_matrix
from evofool.experiments.transfer.nets import (
    Config,
    load_training,
)
from evofool.report.output import Report
from evofool.training.plan import plan as plan_training
from evofool.validation import KeyPath


class TransferStudy(Study[TransferConfig]):
    """Pictures made on every source, shown to every target."""

    kind = "transfer"
    config = TransferConfig
    moved = "a matrix names several nets; put the file where config.yaml says"
    resolve = staticmethod(resolve)

    def __init__(self, loaded: Config, matrix: Matrix) -> None:
        self.matrix = matrix
        super().__init__(loaded, Plan(list(matrix.planned())))

    @classmethod
    def make(cls, loaded: Config) -> TransferStudy:
        return cls(loaded, make_matrix(loaded))

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.transfer.report import report  # which imports matplotlib

        return report(self.matrix, results, manifest)


@dataclass(frozen=True)
class TransferPlan:
    """What a dry run finds out.

    Attributes:
        config: checked.
        missing: what is not on this machine, and how to get it.
        works: of the whole matrix; None while something is missing.
        notes: on cells that are left out, and on images.
    """

    config: TransferConfig
    missing: tuple[str, ...]
    works: Plan | None = None
    notes: tuple[str, ...] = ()


def plan(loaded: Config) -> TransferPlan:
    """Check a config without running it: nets and pictures are loaded if all of them are here.

    Raises:
        ConfigError: whatever can be known to be wrong on this machine.
    """
    config = loaded.config
    check_encodings(loaded)
    attacks_of(loaded)
    missing: dict[str, None] = {}
    for section, nets in (("sources", config.sources), ("targets", config.targets or ())):
        for index, net in enumerate(nets):
            for where, single in singles((section, index), net):
                missing.update(dict.fromkeys(_missing_for(loaded, where, single)))
    if config.images is not None and config.images.dataset is not None:
        try:
            data = inspect_dataset(config.images.dataset)
        except DataError as error:
            raise loaded.error_at("images.dataset", str(error)) from error
        if not data.present:
            missing[data.missing] = None
    if missing:
        return TransferPlan(config, tuple(missing))
    study = TransferStudy.make(loaded)
    return TransferPlan(config, (), study.plan, study.matrix.notes)


def _missing_for(
    loaded: Config, at: KeyPath, net: TrainedNet | ClassifierConfig
) -> tuple[str, ...]:
    if isinstance(net, ClassifierConfig):
        inspection = inspected(loaded, at, net)
        return () if inspection.ready else (inspection.missing,)
    where: KeyPath = (*at, "train")
    try:
        return tuple(plan_training(load_training(loaded, where, net)).missing)
    except DataError as error:
        raise loaded.error_at(where, str(error)) from error
