"""The work of giving a net a class of fooling pictures by a new last layer on frozen features."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.data import Dataset
from evofool.experiments.engine import Artifact, Context, Row
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.retrain.base import FOOLING, base_of
from evofool.experiments.retrain.fooling import Bred, pictures_of
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.written_net import WEIGHTS, WrittenNet
from evofool.training.config import OptimiserConfig, TrainConfig

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class GrownRow(Row):
    """The result of a training.

    Attributes:
        digest: of the net, as `evofool.classifiers` counts it.
        fooling_images: pictures of class n + 1 that it was trained on.
    """

    type: ClassVar[str] = "grown"

    digest: str
    fooling_images: int


@dataclass(frozen=True)
class HeadRecipe:
    """How a last layer is trained.

    Attributes:
        epochs: passes over all pictures.
        batch: pictures a step.
        lr: of Adam.
        weight: how much the loss of a fooling picture counts against that of a clean one. The mean
            weight stays 1.
    """

    epochs: int
    batch: int = 128
    lr: float = 0.001
    weight: float = 7.0

    @property
    def optimiser(self) -> OptimiserConfig:
        """As a training says it."""
        return OptimiserConfig(name="adam", lr=self.lr, weight_decay=0)


@work
class GrownHead(WrittenNet):
    """A net of n + 1 classes: another net's features, frozen, and its last layer one row larger.

    `Retrained` trains all weights instead, which takes a GPU for nets of ImageNet.

    Attributes:
        base: the net of n classes.
        architecture: of the base.
        clean: pictures of the n classes.
        bred: fooling pictures.
        recipe: how the last layer is trained.
        seed: of its new row and of the order of the pictures.
        scoring: how features are taken; every picture counts.
    """

    kind: ClassVar[str] = "grown-head"
    rows: ClassVar[tuple[type[Row], ...]] = (GrownRow,)

    base: GivenNet
    architecture: str
    clean: Pictures
    bred: tuple[Bred, ...]
    recipe: HeadRecipe
    seed: int
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a picture."""
        return len(self.clean) + sum(map(len, self.bred))

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        yield from self.written(context, lambda: self._train(context))
        yield GrownRow(0, self.load(context).digest, sum(map(len, self.bred)))

    def _train(self, context: Context) -> None:
        from evofool.classifiers.nets.architectures import ARCHITECTURES
        from evofool.classifiers.nets.penultimate import penultimate
        from evofool.training.devices import repeatable
        from evofool.training.growing import grown
        from evofool.training.weights import write_weights

        began = time.perf_counter()
        base = base_of(self.base.load(context), self.architecture)
        net = base.net
        with context.scorer(penultimate(net), self.scoring) as scorer:
            features = [
                scorer.logits(self.clean.images),
                *(scorer.logits(pictures_of(context, (each,))) for each in self.bred),
            ]
        fooling = sum(map(len, self.bred))
        labels = np.concatenate([self.clean.labels, np.full(fooling, net.n_classes, np.int64)])
        with repeatable():
            bare = grown(self.architecture, net.input_shape, net.n_classes, base.state, self.seed)
            last = ARCHITECTURES[self.architecture].last_bias.rpartition(".")[0]
            self._fit(context, bare.get_submodule(last), np.concatenate(features), labels)
        bare.eval()
        recipe = self.recipe
        write_weights(
            bare,
            TrainConfig(
                name=context.place(WEIGHTS).stem,
                architecture=self.architecture,  # type: ignore[arg-type]  # a bundled net's own
                dataset="imagenet",
                epochs=recipe.epochs,
                batch=recipe.batch,
                optimiser=recipe.optimiser,
                seed=self.seed,
            ),
            context.place(WEIGHTS).parent,
            Dataset(
                "imagenet", "train", self.clean.images, self.clean.labels, (*net.labels, FOOLING)
            ),
            len(labels),
            {
                "retrained": {
                    "layers": "the last",
                    "fooling_images": fooling,
                    "weight": recipe.weight,
                },
                "seconds": round(time.perf_counter() - began, 1),
            },
        )

    def _fit(
        self,
        context: Context,
        layer: nn.Module,
        features: NDArray[np.floating[Any]],
        labels: NDArray[np.int64],
    ) -> None:
        """Train `layer` on features n x d float32 with their classes (n,)."""
        import torch

        from evofool.training.growing import weighted
        from evofool.training.optimising import Optimiser

        x, y = (
            torch.from_numpy(np.ascontiguousarray(features, np.float32)),
            torch.from_numpy(labels),
        )
        fooling = int(y.max())
        losses = weighted(fooling, self.recipe.weight, float((y == fooling).float().mean()))
        optimiser = Optimiser(layer.parameters(), self.recipe.optimiser)
        shuffle = np.random.default_rng(self.seed)
        for _ in range(self.recipe.epochs):
            context.check_stop()
            order = torch.from_numpy(shuffle.permutation(len(labels)))
            for first in range(0, len(labels), self.recipe.batch):
                rows = order[first : first + self.recipe.batch]
                optimiser.zero_grad()
                loss = losses(layer(x[rows]), y[rows]).mean()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
