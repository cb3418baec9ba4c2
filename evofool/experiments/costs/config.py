"""The schema of ``kind: costs``: one net trained under several cost functions, judged alike."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from evofool.config import Model
from evofool.config.document import Document
from evofool.config.loading import absolute_code, absolute_pictures
from evofool.config.values import Count, listed
from evofool.experiments.sections import EvolutionBudget, ExperimentScoring, no_repeats
from evofool.training import TrainConfig
from evofool.training.config import LossName, OptimiserConfig, Radius


class CostNet(Model):
    """One of the nets.

    Attributes:
        loss: that it is trained with.
        optimiser: where it needs another than the rest.
    """

    loss: LossName
    optimiser: OptimiserConfig | None = None


class CostTraining(Model):
    """What is the same for all nets; the keys are those of a training config.

    Attributes:
        dataset: with the splits ``train`` and ``test``.
        epochs: passes over the training split.
        batch: images a step.
        optimiser: of the nets that name none.
        shift: images are moved at random by up to so many pixels each way.
        device: where to train.
    """

    dataset: Annotated[str, Field(min_length=1)] = "mnist"
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 3
    batch: Annotated[int, Field(ge=1, le=65_536)] = 128
    optimiser: OptimiserConfig = OptimiserConfig()
    shift: Annotated[int, Field(ge=0, le=8)] = 0
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")] = "auto"


class RubbishTest(Model):
    """Noise that some class is claimed for (Goodfellow et al., ICLR 2015, section 7).

    Attributes:
        images: draws from N(0, I).
        threshold: confidence from which a claim counts.
    """

    images: Count = 1000
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.5


class CostsConfig(Model):
    """A comparison of cost functions, checked and complete.

    Attributes:
        training: what is the same for all nets.
        nets: the losses.
        seeds: of the trainings; every net is trained once with each, and attacked with it.
        images: test images, drawn by `seed`, that FGSM is run on; None is all.
        eps: radius of FGSM in the maximum norm; ``8/255`` works too.
        rubbish: the test with noise.
        evolution: against every net.
        scoring: how images are scored.
        seed: of the choice of images, and of the noise.
    """

    kind: Literal["costs"] = "costs"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    training: CostTraining = Field(default_factory=CostTraining)
    nets: Annotated[tuple[CostNet, ...], BeforeValidator(listed), Field(min_length=1)]
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**32)], ...],
        BeforeValidator(listed),
        Field(min_length=1, max_length=100),
    ] = (1, 2, 3)
    images: Count | None = 500
    eps: Radius = 0.25
    rubbish: RubbishTest = Field(default_factory=RubbishTest)
    evolution: EvolutionBudget = Field(default_factory=EvolutionBudget)
    scoring: ExperimentScoring = Field(default_factory=ExperimentScoring)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("nets", mode="before")
    @classmethod
    def _shorthands(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return tuple({"loss": item} if isinstance(item, str) else item for item in value)

    @field_validator("nets")
    @classmethod
    def _losses_once(cls, value: tuple[CostNet, ...]) -> tuple[CostNet, ...]:
        no_repeats(tuple(net.loss for net in value))
        return value

    @field_validator("seeds")
    @classmethod
    def _once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        no_repeats(value)
        return value

    def training_of(self, net: CostNet, seed: int) -> TrainConfig:
        """How one net is trained: LeNet, which an RBF layer ends where the loss is ``rbf``."""
        same = self.training
        return TrainConfig(
            name=f"{net.loss}-{seed}",
            architecture="lenet-rbf" if net.loss == "rbf" else "lenet",
            dataset=same.dataset,
            epochs=same.epochs,
            batch=same.batch,
            optimiser=net.optimiser or same.optimiser,
            loss=net.loss,
            shift=same.shift,
            device=same.device,
            seed=seed,
        )


def resolve(config: CostsConfig, document: Document, check_files: bool) -> Document:
    """`document` with the files of encodings absolute, see `evofool.experiments.engine.study`.

    Raises:
        ConfigError: a file is missing.
    """
    document = absolute_pictures(document, ("evolution", "encodings"), check_files)
    return absolute_code(document, ("evolution", "encodings"), check_files)
