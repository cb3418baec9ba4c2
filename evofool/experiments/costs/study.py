"""A comparison of cost functions as a study: its plan of works, and its dry run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evofool.attacks import FGSM
from evofool.config import Loaded
from evofool.data import Dataset, DataSets, inspect_dataset
from evofool.errors import DataError
from evofool.experiments.checked import check_encodings
from evofool.experiments.costs.config import CostsConfig, resolve
from evofool.experiments.costs.nets import CLEAN, FGSM_ROW, FLOATS, PICTURES, Compared, JudgedNet
from evofool.experiments.engine import Plan, Planned, Results, Work
from evofool.experiments.engine.study import Study
from evofool.experiments.works.answers import Attacked, Clean
from evofool.experiments.works.campaign import Campaign, evaluations_of
from evofool.experiments.works.noise import NoiseAnswers
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.trained import Trained
from evofool.randomness import Stream, generator
from evofool.report.output import Report


class CostsStudy(Study[CostsConfig]):
    """One net under several cost functions."""

    kind = "costs"
    config = CostsConfig
    moved = "a comparison of costs trains its own nets"
    resolve = staticmethod(resolve)

    def __init__(self, loaded: Loaded[CostsConfig], compared: Compared) -> None:
        self.compared = compared
        seeds = loaded.config.seeds
        by_seed = sorted(compared.nets, key=lambda net: seeds.index(net.seed))
        trainings = [Planned(f"training, {n.name}", n.trained, n.name) for n in by_seed]
        super().__init__(loaded, Plan([*trainings, *(p for n in by_seed for p in n.planned())]))

    @classmethod
    def make(cls, loaded: Loaded[CostsConfig], data: DataSets | None = None) -> CostsStudy:
        """As every study; `data` holds what was read before."""
        sets = data or DataSets()
        config = loaded.config
        check_encodings(loaded)
        train_set, test_set = (_load(loaded, split, sets) for split in ("train", "test"))
        scoring = config.scoring.resolved()
        order = generator(config.seed, Stream.CHOICE, 0, 0).permutation(len(test_set))
        chosen = order[: config.images]
        tested = Pictures.of(test_set.images, test_set.labels)
        attacked = Pictures.of(test_set.images[chosen], test_set.labels[chosen])
        fgsm = FGSM(eps=config.eps, seed=config.seed)
        noise, classes = config.rubbish.images, len(test_set.label_names)
        nets = []
        for net in config.nets:
            for seed in config.seeds:
                trained = Trained.of(config.training_of(net, seed), train_set)
                measures: dict[str, Work] = {
                    CLEAN: Clean(trained, tested, scoring),
                    FLOATS: NoiseAnswers(trained, "floats", noise, config.seed, scoring),
                    PICTURES: NoiseAnswers(trained, "pictures", noise, config.seed, scoring),
                    FGSM_ROW: Attacked(trained, attacked, fgsm, scoring),
                }
                campaigns = {
                    name: Campaign.of(trained, encoding, config.evolution, classes, scoring, seed)
                    for name, encoding in config.evolution.named.items()
                }
                nets.append(JudgedNet(net.loss, seed, trained, measures, campaigns))
        return cls(loaded, Compared(config, tuple(nets), test_set.label_names))

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.costs.report import report  # which imports matplotlib

        return report(self.compared, results, manifest)


@dataclass(frozen=True)
class CostsPlan:
    """The result of a dry run: what would be run, and what is missing for it.

    Attributes:
        config: checked.
        trainings: nets that are trained.
        evolved: images that evolution scores, over all nets.
        missing: what is not on this machine, and how to get it.
    """

    config: CostsConfig
    trainings: int
    evolved: int
    missing: tuple[str, ...]


def plan(loaded: Loaded[CostsConfig]) -> CostsPlan:
    """Check a config without running it.

    Raises:
        ConfigError: whatever can be known to be wrong without data.
    """
    config = loaded.config
    try:
        data = inspect_dataset(config.training.dataset)
    except DataError as error:
        raise loaded.error_at("training.dataset", str(error)) from error
    for split in ("train", "test"):
        if split not in data.splits:
            raise loaded.error_at("training.dataset", f"{data.name} has no split {split}")
    check_encodings(loaded)
    nets = len(config.nets) * len(config.seeds)
    evolved = nets * len(config.evolution.encodings) * evaluations_of(config.evolution)
    return CostsPlan(config, nets, evolved, () if data.present else (data.missing,))


def _load(loaded: Loaded[CostsConfig], split: str, sets: DataSets) -> Dataset:
    try:
        return sets.load(loaded.config.training.dataset, split)
    except DataError as error:
        raise loaded.error_at("training.dataset", str(error)) from error
