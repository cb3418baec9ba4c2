"""A comparison of cost functions: its plan, and what a dry run tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evofool import encodings
from evofool.attacks import FGSM
from evofool.config import Loaded
from evofool.data import Dataset, inspect_dataset, load_dataset
from evofool.errors import DataError, UsageError
from evofool.experiments.costs.config import CostsConfig, load_costs
from evofool.experiments.costs.noise import NoiseAnswers
from evofool.experiments.engine import Plan, Planned, Results, Work
from evofool.experiments.engine.study import Study
from evofool.experiments.works.answers import Attacked, Clean
from evofool.experiments.works.campaign import Campaign, evaluations_of
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.trained import Trained
from evofool.randomness import Stream, generator
from evofool.report.output import Report

CLEAN, FLOATS, PICTURES = "no attack", "noise N(0, I)", "noise N(0, I) as pictures"
FGSM_ROW = "FGSM"
MEASURES = (CLEAN, FLOATS, PICTURES, FGSM_ROW)
"""What is measured of every net, in this order."""


@dataclass(frozen=True)
class JudgedNet:
    """The works of one net.

    Attributes:
        loss: that it is trained with.
        seed: of its training and of the campaigns.
        trained: the net.
        measures: by name, see `MEASURES`.
        campaigns: by encoding.
    """

    loss: str
    seed: int
    trained: Trained
    measures: Mapping[str, Work]
    campaigns: Mapping[str, Campaign]

    @property
    def name(self) -> str:
        """What it is called in files and folders."""
        return f"{self.loss}-{self.seed}"


class CostsStudy(Study[CostsConfig]):
    """One net under several cost functions.

    Attributes:
        nets: every loss with every seed, the seeds of a loss side by side.
        labels: names of the classes.
    """

    kind = "costs"
    moved = "a comparison of costs trains its own nets"
    load = staticmethod(load_costs)

    def __init__(self, loaded: Loaded[CostsConfig], nets: Sequence[JudgedNet], data: Dataset):
        self.nets, self.labels = tuple(nets), data.label_names
        by_seed = sorted(nets, key=lambda net: loaded.config.seeds.index(net.seed))
        trainings = [Planned(f"training, {n.name}", n.trained, n.name) for n in by_seed]
        judgings = [planned for net in by_seed for planned in _judging(net)]
        super().__init__(loaded, Plan([*trainings, *judgings]))

    @classmethod
    def make(cls, loaded: Loaded[CostsConfig]) -> CostsStudy:
        config = loaded.config
        _check_encodings(loaded)
        train_set, test_set = (_load(loaded, split) for split in ("train", "test"))
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
                    encoding: Campaign.of(
                        trained, encoding, config.evolution, classes, scoring, seed
                    )
                    for encoding in config.evolution.encodings
                }
                nets.append(JudgedNet(net.loss, seed, trained, measures, campaigns))
        return cls(loaded, nets, test_set)

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.costs.report import report

        return report(self, results, manifest)


def _judging(net: JudgedNet) -> list[Planned]:
    return [
        *(Planned(f"{name}, {net.name}", work) for name, work in net.measures.items()),
        *(
            Planned(f"evolution, {encoding}, {net.name}", campaign, f"{net.name}-{encoding}")
            for encoding, campaign in net.campaigns.items()
        ),
    ]


@dataclass(frozen=True)
class CostsPlan:
    """What a dry run finds out.

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
    _check_encodings(loaded)
    nets = len(config.nets) * len(config.seeds)
    evolved = nets * len(config.evolution.encodings) * evaluations_of(config.evolution)
    return CostsPlan(config, nets, evolved, () if data.present else (data.missing,))


def _load(loaded: Loaded[CostsConfig], split: str) -> Dataset:
    try:
        return load_dataset(loaded.config.training.dataset, split)
    except DataError as error:
        raise loaded.error_at("training.dataset", str(error)) from error


def _check_encodings(loaded: Loaded[CostsConfig]) -> None:
    for index, name in enumerate(loaded.config.evolution.encodings):
        try:
            encodings.find(name)
        except UsageError as error:
            raise loaded.error_at(("evolution", "encodings", index), str(error)) from error
