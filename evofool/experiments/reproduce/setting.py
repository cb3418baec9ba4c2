"""What the claims share: nets, pictures, campaigns and whole experiments of one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from evofool.classifiers import load_classifier
from evofool.data import load_dataset
from evofool.experiments.costs.study import CostsStudy
from evofool.experiments.engine import Planned
from evofool.experiments.engine.context import Scoring
from evofool.experiments.retrain.study import RetrainStudy
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.preset_campaign import PresetCampaign
from evofool.experiments.works.trained import Trained
from evofool.training import TrainConfig

ScaleName = Literal["small", "medium", "paper"]


@dataclass(frozen=True)
class Scale:
    """How much is done.

    Attributes:
        seeds: of campaigns.
        digits: generations of a campaign on digits, after the first 200 individuals.
        imagenet: generations of a campaign over the 1000 classes, after the first 400.
        crops: that a picture's scores are averaged over there.
        epochs: of trainings on digits.
        cost_seeds: of the nets of the comparison of cost functions.
        rounds: of retraining.
        retrained: generations of every campaign of the retraining loop.
        retrain_seeds: of the chains of nets.
        pairs: digits that JSMA turns into each of the nine others.
        noise: pictures of noise.
    """

    seeds: tuple[int, ...]
    digits: int
    imagenet: int
    crops: int
    epochs: int
    cost_seeds: tuple[int, ...]
    rounds: int
    retrained: int
    retrain_seeds: tuple[int, ...]
    pairs: int
    noise: int


SCALES: Mapping[ScaleName, Scale] = {
    "small": Scale((1, 2, 3), 200, 12, 1, 1, (1,), 1, 80, (1,), 20, 1000),
    "medium": Scale((1, 2, 3), 1000, 500, 1, 3, (1, 2, 3), 5, 80, (1, 2, 3), 100, 10_000),
    "paper": Scale(
        (1, 2, 3, 4, 5), 1010, 5000, 10, 10, (1, 2, 3), 15, 1000, (1, 2, 3), 100, 10_000
    ),
}  # fmt: skip
"""``small`` is for two CPU cores and minutes, ``paper`` as large as published."""


class Setting:
    """Nets, pictures and works of one scale, made when a claim first asks for them.

    Args:
        scale: how much is done.
        scoring: how images are scored.
        scoring_config: the same as a config says it, for experiments within.
    """

    def __init__(
        self, scale: Scale, scoring: Scoring, scoring_config: Mapping[str, Any], seed: int
    ) -> None:
        self.scale, self.scoring, self.seed = scale, scoring, seed
        self._scoring_config = dict(scoring_config)

    @cached_property
    def lenet(self) -> GivenNet:
        """The digits' net that ships."""
        return GivenNet.of(load_classifier("mnist-lenet"), {"name": "mnist-lenet"})

    @cached_property
    def imagenet(self) -> GivenNet:
        """The net of the 1000 classes that comes with the installation."""
        spec: dict[str, Any] = {"name": "imagenet-efficientnet-lite0"}
        if self.scale.crops > 1:
            spec["crops"] = self.scale.crops
        return GivenNet.of(load_classifier(spec), spec)

    @cached_property
    def sister(self) -> Trained:
        """LeNet trained from another seed; raises DataError where the digits are not here."""
        config = TrainConfig(
            name="sister", architecture="lenet", dataset="mnist", epochs=self.scale.epochs, seed=7
        )
        return Trained.of(config, load_dataset("mnist", "train"))

    @cached_property
    def digits(self) -> Pictures:
        """The hundred test digits that ship."""
        data = load_dataset("mnist-sample")
        return Pictures.of(data.images, data.labels)

    def campaigns(self, on: Literal["digits", "imagenet"], encoding: str) -> list[PresetCampaign]:
        """A campaign a seed with the published code's settings.

        Args:
            on: the victim.
            encoding: ``direct`` or ``cppn``.
        """
        scale, small = self.scale, on == "digits"
        net = self.lenet if small else self.imagenet
        size = 200 if small or encoding == "direct" else 400
        return [
            PresetCampaign(
                net, encoding, size, size, scale.digits if small else scale.imagenet,
                net.classifier.n_classes, self.scoring, seed,
            )
            for seed in scale.seeds
        ]  # fmt: skip

    def planned(self, on: Literal["digits", "imagenet"], encoding: str) -> list[Planned]:
        """The same with titles."""
        return [
            Planned(
                f"evolution, {encoding}, {on}, seed {campaign.seed}", campaign,
                f"{on}-{encoding}-{campaign.seed}",
            )
            for campaign in self.campaigns(on, encoding)
        ]  # fmt: skip

    @cached_property
    def costs(self) -> CostsStudy:
        """The comparison of cost functions, its evolution as short as can be."""
        config = {
            "kind": "costs",
            "training": {"dataset": "mnist", "epochs": self.scale.epochs},
            "nets": [
                "cross-entropy",
                "sigmoid",
                {"loss": "rbf", "optimiser": {"name": "adam", "lr": 0.001}},
            ],
            "seeds": list(self.scale.cost_seeds),
            "images": 500,
            "eps": 0.25,
            "rubbish": {"images": self.scale.noise, "threshold": 0.5},
            "evolution": {"encodings": ["cppn"], "initial": 10, "children": 10, "generations": 1},
            "scoring": self._scoring_config,
            "seed": self.seed,
        }
        return CostsStudy.make(CostsStudy.load(config))

    @cached_property
    def retraining(self) -> RetrainStudy:
        """The retraining loop: a net for each encoding, both attacks on each."""
        scale = self.scale
        config = {
            "kind": "retrain",
            "base": "mnist-lenet",
            "data": {"dataset": "mnist", "split": "test", "train": "train"},
            "rounds": scale.rounds,
            "trained_on": ["direct", "cppn"],
            "images": {"first": 6000, "more": 1000, "first_share": 0.5},
            "training": {
                "epochs": 1,
                "optimiser": {"name": "sgd", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.0005},
                "shift": 1,
            },
            "evolution": {
                "encodings": ["direct", "cppn"],
                "generations": scale.retrained,
                "seeds": list(scale.retrain_seeds),
            },
            "ascent": None,
            "scoring": self._scoring_config,
            "seed": self.seed,
        }
        return RetrainStudy.make(RetrainStudy.load(config))

    def first_of_each_digit(self, count: int) -> Pictures:
        """`count` of the digits that ship, each class as often as any other."""
        pictures = self.digits
        order = np.argsort(pictures.labels, kind="stable").reshape(10, -1).T.ravel()[:count]
        return Pictures.of(pictures.images[order], pictures.labels[order])


def within(name: str, plan: Sequence[Planned] | Any) -> list[Planned]:
    """The works of an experiment that is part of another, their artifacts called after it."""
    return [
        Planned(f"{name}: {p.title}", p.work, f"{name}-{p.called}" if p.called else "")
        for p in plan
    ]
