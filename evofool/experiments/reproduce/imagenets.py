"""Nets of ImageNet that come with the installation, and labelled pictures to attack them with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from evofool.attacks import Attack, RStepLL, StepLL
from evofool.classifiers import inspect_classifier, load_classifier
from evofool.errors import ClassifierError, UsageError
from evofool.experiments.engine import Scoring
from evofool.experiments.reproduce.folders import imagenet_folder, labelled_pictures
from evofool.experiments.reproduce.scales import Scale
from evofool.experiments.transfer.works import Ranked
from evofool.experiments.works.answers import Attacked
from evofool.experiments.works.nets import GivenNet, quickest
from evofool.experiments.works.pictures import Pictures

NAMES = tuple(f"imagenet-efficientnet-lite{k}" for k in range(3))
EPS = 16 / 256
"""Of Step-LL and R+Step-LL, as in the paper."""


class ImageNets:
    """The nets of `NAMES` that are installed, at least two of them.

    Args:
        scale: how much is done.
        scoring: how images are scored.
        seed: of random steps.
        folder: of labelled pictures; None for the one among the data sets.

    Raises:
        UsageError: fewer than two are here; the message says what to install.
        DataError: the pictures are not here.
    """

    def __init__(self, scale: Scale, scoring: Scoring, seed: int, folder: Path | None) -> None:
        self._scoring, self._seed = scoring, seed
        self._folder, self._count = imagenet_folder(folder), scale.pictures
        ready: list[str] = []
        missing: list[str] = []
        for name in NAMES:
            try:
                lacks = inspect_classifier(name).missing
            except ClassifierError as error:
                lacks = str(error)
            (missing if lacks else ready).append(lacks or name)
        if len(ready) < 2:
            raise UsageError(
                f"two ImageNet nets are needed, but there is {', '.join(ready) or 'none'}:"
                f" {'; '.join(missing)}"
            )
        self.names = tuple(ready)

    @cached_property
    def nets(self) -> Mapping[str, GivenNet]:
        """By name."""
        nets = {name: GivenNet.of(load_classifier(name), {"name": name}) for name in self.names}
        labels = {net.classifier.labels for net in nets.values()}
        if len(labels) > 1:
            raise UsageError(f"{', '.join(nets)} differ in the names or order of their classes")
        return nets

    @cached_property
    def _pictures(self) -> Mapping[str, Pictures]:
        return {
            name: labelled_pictures(self._folder, net.classifier, self._count)
            for name, net in self.nets.items()
        }

    def clean(self, name: str) -> Ranked:
        """A net on pictures as they are."""
        return self._ranked(name, self._pictures[name])

    def step_ll(self, source: str) -> Attacked:
        """Step-LL on a net."""
        return self._attacked(source, StepLL(eps=EPS))

    def random_first(self, source: str) -> Attacked:
        """R+Step-LL on a net."""
        return self._attacked(source, RStepLL(eps=EPS, seed=self._seed))

    def shown(self, crafted: Attacked, name: str) -> Ranked:
        """An attack, shown to a net."""
        return self._ranked(name, crafted)

    def _attacked(self, source: str, attack: Attack) -> Attacked:
        return Attacked(self.nets[source], self._pictures[source], attack, self._scoring)

    def _ranked(self, name: str, shown: Pictures | Attacked) -> Ranked:
        net = self.nets[name]
        classes = tuple(range(net.classifier.n_classes)) if isinstance(shown, Attacked) else ()
        scoring = quickest(net, self._scoring)
        return Ranked(net, shown, classes, net.classifier.input_shape, scoring)
