"""Nets of digits that are trained on adversarial pictures, as in Tramèr et al. 2018, in small."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from evofool.attacks import Attack, RStepLL, StepLL
from evofool.config import load_model
from evofool.data import Dataset
from evofool.experiments.engine import Planned, Scoring
from evofool.experiments.reproduce.scales import Scale
from evofool.experiments.works.answers import Attacked, Clean, Transferred
from evofool.experiments.works.ensemble_trained import EnsembleTrained
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.trained import Trained
from evofool.training import TrainConfig

EPS, ALPHA = 0.3, 0.05
"""Of Step-LL and R+Step-LL on digits."""


class Adversarial:
    """Net B as it is, trained on its own FGSM pictures, and on those of B, C and D beside them.

    Net A is the attacker's: no net here is trained on its pictures.

    Args:
        scale: how much is done.
        scoring: how images are scored.
        data: the training split.
        pictures: that are attacked.
    """

    def __init__(self, scale: Scale, scoring: Scoring, data: Dataset, pictures: Pictures) -> None:
        self._scale, self._scoring, self._data = scale, scoring, data
        self.pictures = pictures

    @cached_property
    def plain(self) -> Trained:
        """Net B, undefended."""
        return self._trained("mnist-b", self._scale.defended)

    @cached_property
    def fgsm(self) -> Trained:
        """Net B, trained on its own adversarial pictures as well."""
        return self._trained("mnist-b-fgsm", self._scale.defended)

    @cached_property
    def ensemble(self) -> Trained:
        """Net B, trained on the pictures of `plain`, `other` and net D besides."""
        config = _config("mnist-b-ensemble", self._scale.defended)
        return EnsembleTrained.by(config, self._data, (self.plain, self.other, self._last))

    @cached_property
    def other(self) -> Trained:
        """Net C, undefended."""
        return self._trained("mnist-c", self._scale.epochs)

    @cached_property
    def attacker(self) -> Trained:
        """Net A, undefended: the source of black-box pictures."""
        return self._trained("mnist-a", self._scale.epochs)

    @cached_property
    def _last(self) -> Trained:
        return self._trained("mnist-d", self._scale.epochs)

    def clean(self, net: Trained) -> Clean:
        """Pictures as they are."""
        return Clean(net, self.pictures, self._scoring)

    def white(self, net: Trained) -> Attacked:
        """Step-LL on the net itself."""
        return self._attacked(net, StepLL(eps=EPS))

    def random_first(self, net: Trained, seed: int) -> Attacked:
        """R+Step-LL on the net itself."""
        return self._attacked(net, RStepLL(eps=EPS, alpha=ALPHA, seed=seed))

    def black(self, net: Trained) -> Transferred:
        """Step-LL on net A, shown to the net."""
        return Transferred(net, self.white(self.attacker), self._scoring)

    def _attacked(self, net: Trained, attack: Attack) -> Attacked:
        return Attacked(net, self.pictures, attack, self._scoring)

    def _trained(self, name: str, epochs: int) -> Trained:
        return Trained.of(_config(name, epochs), self._data)

    def trainings(self, *nets: Trained) -> Iterator[Planned]:
        """The trainings of some nets, and of those that teach them."""
        for net in nets:
            if isinstance(net, EnsembleTrained):
                yield from self.trainings(*net.taught_by)
            yield Planned(f"training, {net.name}", net, net.name)


def _config(name: str, epochs: int) -> TrainConfig:
    return load_model(f"train/{name}", TrainConfig, (f"epochs={epochs}",)).config
