"""What the claims share: nets, pictures, campaigns and whole experiments of one scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evofool.classifiers import load_classifier
from evofool.data import Dataset, DataSets
from evofool.experiments.costs.study import CostsStudy
from evofool.experiments.defend.study import DefendStudy
from evofool.experiments.engine import Planned
from evofool.experiments.engine.context import Scoring
from evofool.experiments.reproduce.adversarial import Adversarial
from evofool.experiments.reproduce.imagenets import ImageNets
from evofool.experiments.reproduce.scales import Scale
from evofool.experiments.retrain.study import RetrainStudy
from evofool.experiments.works.nets import GivenNet, Net, quickest
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.preset_campaign import PresetCampaign
from evofool.experiments.works.trained import Trained
from evofool.training import TrainConfig


class Setting:
    """Nets, pictures and works of one scale, made when a claim first asks for them.

    Args:
        scale: how much is done.
        scoring: how images are scored.
        scoring_config: the same as a config says it, for experiments within.
        seed: of noise and attacks.
        imagenet_folder: of labelled pictures of ImageNet; None for the one among the data sets.
        picbreeder: folder of recognisable pictures of CPPNs, or None.
    """

    def __init__(
        self,
        scale: Scale,
        scoring: Scoring,
        scoring_config: Mapping[str, Any],
        seed: int,
        imagenet_folder: Path | None = None,
        picbreeder: Path | None = None,
    ) -> None:
        self.scale, self.scoring, self.seed = scale, scoring, seed
        self.scoring_config = dict(scoring_config)
        self._pictures: dict[str, Pictures] = {}
        self.data = DataSets()
        self.imagenet_folder, self.picbreeder = imagenet_folder, picbreeder

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
    def one_crop(self) -> GivenNet:
        """`imagenet` with one crop, as a net that is trained further needs it."""
        if self.scale.crops == 1:
            return self.imagenet
        name = "imagenet-efficientnet-lite0"
        return GivenNet.of(load_classifier(name), {"name": name})

    def once(self, key: str, make: Callable[[], Pictures]) -> Pictures:
        """What `make` gives, read once for all claims."""
        if key not in self._pictures:
            self._pictures[key] = make()
        return self._pictures[key]

    @cached_property
    def digits_to_train(self) -> Dataset:
        """MNIST's training split; raises DataError where it is not here."""
        return self.data.load("mnist", "train")

    @cached_property
    def sisters(self) -> tuple[Trained, ...]:
        """LeNet trained from two other seeds; raises DataError where the digits are not here."""
        return tuple(
            Trained.of(
                TrainConfig(
                    name=f"sister-{seed}", architecture="lenet", dataset="mnist",
                    epochs=self.scale.epochs, seed=seed,
                ),
                self.digits_to_train,
            )
            for seed in (7, 8)
        )  # fmt: skip

    @cached_property
    def shown(self) -> Pictures:
        """Test digits; raises DataError where they are not here."""
        data = self.data.load("mnist", "test")
        return Pictures.of(data.images, data.labels).first(self.scale.shown)

    @cached_property
    def adversarial(self) -> Adversarial:
        """Nets trained on adversaries, and those around them."""
        return Adversarial(self.scale, self.scoring, self.digits_to_train, self.shown)

    @cached_property
    def imagenets(self) -> ImageNets:
        """Several nets of ImageNet; raises EvofoolError where they or pictures are not here."""
        return ImageNets(self.scale, self.scoring, self.seed, self.imagenet_folder)

    @cached_property
    def digits(self) -> Pictures:
        """The hundred test digits that ship."""
        data = self.data.load("mnist-sample")
        return Pictures.of(data.images, data.labels)

    def campaigns(self, on: Literal["digits", "imagenet"], encoding: str) -> list[PresetCampaign]:
        """A campaign a seed with the published code's settings.

        Args:
            on: the victim.
            encoding: ``direct`` or ``cppn``.
        """
        small = on == "digits"
        net: Net = self.lenet if small else self.imagenet
        return self._campaigns(net, encoding, 10 if small else 1000, small)

    def campaigns_against(self, net: Net, encoding: str) -> list[PresetCampaign]:
        """The same against another net, over the 1000 classes of ImageNet."""
        return self._campaigns(net, encoding, 1000, small=False)

    def _campaigns(
        self, net: Net, encoding: str, classes: int, small: bool
    ) -> list[PresetCampaign]:
        scale = self.scale
        size = 200 if small or encoding == "direct" else 400
        return [
            PresetCampaign(
                net, encoding, size, size, scale.digits if small else scale.imagenet,
                classes, quickest(net, self.scoring), seed,
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
        """The comparison of cost functions."""
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
            "evolution": {
                "encodings": ["direct", "cppn"],
                "initial": 200,
                "children": 200,
                "generations": max(1, self.scale.retrained // 2),
            },
            "scoring": self.scoring_config,
            "seed": self.seed,
        }
        return CostsStudy.make(CostsStudy.load(config), self.data)

    @cached_property
    def retraining(self) -> RetrainStudy:
        """The retraining loop, both encodings attacking every net."""
        scale = self.scale
        config = {
            "kind": "retrain",
            "base": "mnist-lenet",
            "data": {"dataset": "mnist", "split": "test", "train": "train"},
            "rounds": scale.rounds,
            "trained_on": list(scale.chains),
            "images": {
                "first": min(6000, 200 * (1 + scale.retrained)),  # no more than are scored
                "more": min(1000, 200 * (1 + scale.retrained)),
                "first_share": 0.5,
            },
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
            "scoring": self.scoring_config,
            "seed": self.seed,
        }
        return RetrainStudy.make(RetrainStudy.load(config), self.data)

    @cached_property
    def denoising(self) -> DefendStudy:
        """A denoiser before LeNet, guided by its logits, and the attacks on both."""
        scale = self.scale
        config = {
            "kind": "defend",
            "base": "mnist-lenet",
            "defense": {
                "name": "denoiser",
                "loss": "logits",
                "width": 8,
                "levels": 4,
                "epochs": scale.denoiser_epochs,
                "images": scale.denoised,
            },
            "data": {"dataset": "mnist", "split": "test", "limit": scale.shown, "start": 100},
            "threats": {"eps": 0.25, "step_size": 0.025, "steps": 20, "restarts": 1},
            "evolution": None,
            "scoring": self.scoring_config,
            "seed": self.seed,
        }
        return DefendStudy.make(DefendStudy.load(config), self.data)

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
