"""The work of training a net anew with a class of fooling pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evofool.data import Dataset
from evofool.data.base import Split
from evofool.experiments.engine import Artifact, Context, Row, outside
from evofool.experiments.engine.work import work
from evofool.experiments.retrain.base import FOOLING, Base, base_of
from evofool.experiments.retrain.config import RetrainTraining
from evofool.experiments.retrain.fooling import Bred, pictures_of
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.written_net import WEIGHTS, WrittenNet
from evofool.training.config import TrainConfig

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class RetrainedRow(Row):
    """The result of a retraining.

    Attributes:
        digest: of the net, as `evofool.classifiers` counts it.
        fooling_images: pictures of class n + 1 that it was trained on.
    """

    type: ClassVar[str] = "retrained"

    digest: str
    fooling_images: int


@work
class Retrained(WrittenNet):
    """A net of n + 1 classes, trained on clean pictures and on all that fooled the nets before it.

    A training that is broken off begins anew: with the same seed it comes to the same weights.

    Attributes:
        base: the net of n classes.
        before: the net of the round before, whose weights it starts from; None for new ones.
        clean: pictures of the n classes.
        bred: fooling pictures.
        recipe: how it is trained.
        device: ``cpu`` or ``cuda``.
        seed: of weights, order and augmentation.
        architecture: of the base.
        config_device: as the config names it.
        test: clean pictures that are only counted for the card.
        about: round, chain and the like, for the card.
        dataset: name and split of `test`.
    """

    kind: ClassVar[str] = "retrained"
    rows: ClassVar[tuple[type[Row], ...]] = (RetrainedRow,)
    continues: ClassVar[bool] = True

    base: Net
    before: Net | None
    clean: Pictures
    bred: tuple[Bred, ...]
    recipe: RetrainTraining
    device: str
    seed: int
    architecture: str
    config_device: str = outside()
    test: Pictures = outside()
    about: Mapping[str, Any] = outside()
    dataset: tuple[str, Split] = outside()

    @property
    def images(self) -> int:
        """An image that is trained on takes about as long as one that is evolved."""
        return (len(self.clean) + sum(map(len, self.bred))) * self.recipe.epochs

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        yield from self.written(context, lambda: self._train(context))
        yield RetrainedRow(0, self.load(context).digest, sum(map(len, self.bred)))

    def _train(self, context: Context) -> None:
        from evofool.classifiers.nets.architectures import with_scale
        from evofool.training.batches import Batches
        from evofool.training.devices import choose_device, repeatable
        from evofool.training.fitting import FitStep, Fitting
        from evofool.training.growing import weighted
        from evofool.training.weights import write_weights

        began = time.perf_counter()
        wanted, name = self.recipe, context.place(WEIGHTS).stem
        base = base_of(self.base.load(context), self.architecture)
        n, shape = base.net.n_classes, base.net.input_shape
        bare = self._initial(context, base)
        fooling = pictures_of(context, self.bred)
        images = np.concatenate([self.clean.images, fooling])
        labels = np.concatenate([self.clean.labels, np.full(len(fooling), n, np.int64)])
        device = choose_device(self.config_device)

        def after(step: FitStep) -> None:
            context.reached(step.step * wanted.batch)
            context.check_stop()

        with repeatable():
            fitting = Fitting(
                with_scale(self.architecture, bare, shape[0]),
                Batches(images, labels, wanted.batch, self.seed, wanted.shift, wanted.mirror),
                epochs=wanted.epochs,
                optimiser=wanted.optimiser,
                seed=self.seed,
                loss=weighted(n, wanted.weight, len(fooling) / len(images)),
                device=device,
            )
            fitting.run(after)
            fitting.check_weights()
        bare.eval()
        dataset, split = self.dataset
        names = (*base.net.labels, FOOLING)
        write_weights(
            bare,
            TrainConfig(
                name=name,
                architecture=self.architecture,  # type: ignore[arg-type]  # one of them, as was checked
                dataset=dataset,
                epochs=wanted.epochs,
                batch=wanted.batch,
                optimiser=wanted.optimiser,
                shift=wanted.shift,
                mirror=wanted.mirror,
                device=self.config_device,
                seed=self.seed,
            ),
            context.place(WEIGHTS).parent,
            Dataset(dataset, split, self.test.images, self.test.labels, names),
            len(images),
            {
                "retrained": {
                    **self.about,
                    "start": wanted.start,
                    "fooling_images": len(fooling),
                    "weight": wanted.weight,
                },
                "device": device.type,
                "seconds": round(time.perf_counter() - began, 1),
            },
        )

    def _initial(self, context: Context, base: Base) -> nn.Module:
        """The bare net with the weights that it starts from."""
        from evofool.classifiers.nets.architectures import build_architecture
        from evofool.classifiers.nets.checkpoints import load_strictly
        from evofool.training.fitting import initial
        from evofool.training.growing import grown

        n, shape = base.net.n_classes, base.net.input_shape
        if self.before is None:
            return initial(lambda: build_architecture(self.architecture, shape, n + 1), self.seed)
        if not isinstance(self.before, Retrained):
            return grown(self.architecture, shape, n, base.state, self.seed)
        bare = build_architecture(self.architecture, shape, n + 1)
        state = base_of(self.before.load(context), self.architecture).state
        load_strictly(bare, state, "the net of the round before", self.before.kind)
        return bare
