"""The schema of ``kind: defend``: which net, which defense, judged on what and how hard."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    WrapValidator,
    field_validator,
    model_validator,
)

from evofool.config import ClassifierConfig, Model, find
from evofool.config.attack import AttackEntry
from evofool.config.document import Document
from evofool.config.loading import absolute_classifier, absolute_code, absolute_pictures
from evofool.config.values import Count, listed
from evofool.defenses.victims import BitDepthConfig, JpegConfig, MedianConfig, foreign
from evofool.errors import ConfigError
from evofool.experiments.sections import EvolutionThreat, ExperimentScoring, Sources
from evofool.files import is_file
from evofool.training.config import Radius
from evofool.validation import KeyPath


class NoDefenseConfig(Model):
    """None at all: the control of the verdict."""

    name: Literal["none"]


class _Calibrated(Model):
    """A detector, whose threshold is given or found on clean pictures.

    Attributes:
        threshold: of its score.
        false_alarms: share of clean pictures that it may reject; .05 without a threshold.
    """

    threshold: float | None = None
    false_alarms: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.threshold is not None and self.false_alarms is not None:
            raise ValueError("give threshold or false_alarms, not both")
        return self


class MaxSoftmaxDefense(_Calibrated):
    """`evofool.defenses.detectors.MaxSoftmax`."""

    name: Literal["max-softmax"]


class EnergyDefense(_Calibrated):
    """`evofool.defenses.detectors.Energy`.

    Attributes:
        temperature: T.
    """

    name: Literal["energy"]
    temperature: Annotated[float, Field(gt=0)] = 1.0


class TrainedDefense(Model):
    """A defense in the weights.

    Attributes:
        weights: a safetensors file that ``evofool train`` wrote.
        train: or a training config, file or shipped name, that is run first.
    """

    name: Literal["trained"]
    weights: Annotated[str, Field(pattern=r"\.safetensors$")] | None = None
    train: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.weights is None) == (self.train is None):
            raise ValueError("give weights (a .safetensors file) or train (a training config)")
        return self


class DenoiserDefense(Model):
    """A U-net before the frozen base, trained first (`evofool.defenses.denoising`; HGD).

    The defaults of width, levels, lr and loss are the paper's.

    Attributes:
        weights: a denoiser that a run of this kind wrote, instead of all that follows.
        loss: what it is to bring back: the net's ``logits`` (LGD), the ``feature`` maps of its last
            convolution (FGD), the ``pixel`` values (PGD), or the ``class`` (CGD).
        width: maps of the first level.
        levels: of the U-net; fewer for small pictures.
        epochs: passes over all pictures, clean and attacked.
        batch: pictures a step.
        lr: of Adam, at the start.
        images: clean pictures that are attacked, drawn from the training split by the seed.
        attacks: made on every source; lists of values are grids. They make all their steps, unless
            `early_stop` is given. By default FGSM and I-FGSM at half of the threats' eps and at it.
        sources: nets they are made on; the base by default.
        device: where to train.
    """

    name: Literal["denoiser"]
    weights: Annotated[str, Field(pattern=r"\.safetensors$")] | None = None
    loss: Literal["logits", "feature", "pixel", "class"] = "logits"
    width: Annotated[int, Field(ge=1, le=1024)] = 64
    levels: Annotated[int, Field(ge=2, le=5)] = 5
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    batch: Annotated[int, Field(ge=2, le=65_536)] = 64
    lr: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 0.01
    images: Annotated[int, Field(ge=2, le=10_000_000)] = 10_000
    attacks: (
        Annotated[tuple[AttackEntry, ...], BeforeValidator(listed), Field(min_length=1)] | None
    ) = None
    sources: Sources | None = None
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")] = "auto"

    @model_validator(mode="after")
    def _alone(self) -> Self:
        # not "was written": a run folder's config has everything written
        others = [
            key
            for key, field in type(self).model_fields.items()
            if key not in ("name", "weights") and getattr(self, key) != field.default
        ]
        if self.weights is not None and others:
            raise ValueError(f"weights: are already trained; leave out {', '.join(others)}")
        return self


DefenseChoice: TypeAlias = Annotated[
    NoDefenseConfig
    | BitDepthConfig
    | MedianConfig
    | JpegConfig
    | MaxSoftmaxDefense
    | EnergyDefense
    | TrainedDefense
    | DenoiserDefense,
    Field(discriminator="name"),
    WrapValidator(foreign),
    SerializeAsAny(),
]


class DataConfig(Model):
    """What is attacked, and other pictures.

    Attributes:
        dataset: a name that ``evofool list datasets`` shows.
        split: of the images that are attacked.
        limit: how many of them, drawn by the seed; None is all.
        start: other pictures, drawn likewise from the training split (or, where there is none,
            from the rest of `split`): a substitute starts from the first of them, and a detector's
            threshold is set on all.
    """

    dataset: Annotated[str, Field(min_length=1)]
    split: Literal["train", "validation", "test"] = "test"
    limit: Count | None = 200
    start: Annotated[int, Field(ge=1, le=1_000_000)] = 500


class ThreatsConfig(Model):
    """How hard the attacks try; the words are those of the attacks.

    Attributes:
        eps: radius in the maximum norm; ``8/255`` works too.
        step_size: of PGD; a tenth of eps by default.
        steps: of PGD.
        restarts: of PGD.
        alpha: random part of R+FGSM; half of eps by default.
        black_images: images that Square is run on and that the verdict is measured on.
        square_queries: most queries an image.
        substitute_initial: pictures that a substitute starts from.
        substitute_rounds: of its training.
        random_points: pictures of the ball that random search tries for each image.
    """

    eps: Radius
    step_size: Radius | None = None
    steps: Annotated[int, Field(ge=1, le=100_000)] = 40
    restarts: Annotated[int, Field(ge=1, le=1000)] = 2
    alpha: Radius | None = None
    black_images: Count = 100
    square_queries: Count = 1000
    substitute_initial: Count = 150
    substitute_rounds: Annotated[int, Field(ge=1, le=20)] = 6
    random_points: Count = 100

    @property
    def step(self) -> float:
        """Step size of PGD."""
        return self.eps / 10 if self.step_size is None else self.step_size

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.alpha is not None and self.alpha >= self.eps:
            raise ValueError(f"alpha must be below eps, {self.eps:g}")
        return self


class DefendConfig(Model):
    """An evaluation of a defense, checked and complete.

    Attributes:
        base: the undefended net, a white box.
        defense: what is judged.
        data: labelled images of the net's size and classes.
        sources: undefended nets whose adversarial pictures are tried on it; the base by default.
        threats: how hard the attacks try.
        evolution: evolution as an attacker, or None.
        pictures: whether the page shows pictures of the data set; false for a page to be published
            where their licence does not allow that.
        scoring: how images are scored.
        seed: of the choice of images and everything random but evolution.
    """

    kind: Literal["defend"] = "defend"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    base: ClassifierConfig
    defense: DefenseChoice
    data: DataConfig
    sources: Sources | None = None
    threats: ThreatsConfig
    evolution: EvolutionThreat | None = None
    pictures: bool = True
    scoring: ExperimentScoring = Field(default_factory=ExperimentScoring)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("base", "defense", mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("base")
    @classmethod
    def _bare(cls, value: ClassifierConfig) -> ClassifierConfig:
        if value.name.endswith((".yaml", ".yml")):
            raise ValueError(
                f"{value.name} is a defended victim, which cannot be defended again; name its base"
            )
        return value


def resolve(config: DefendConfig, document: Document, check_files: bool) -> Document:
    """`document` with all files that it names absolute, see `evofool.experiments.engine.study`.

    Raises:
        ConfigError: a file is missing.
    """
    document = absolute_classifier(document, ("base",), check_files)
    for index in range(len(config.sources or ())):
        document = absolute_classifier(document, ("sources", index), check_files)
    defense = config.defense
    for index in range(len(getattr(defense, "sources", None) or ())):
        document = absolute_classifier(document, ("defense", "sources", index), check_files)
    if (weights := getattr(defense, "weights", None)) is not None:
        document = _weights(document, weights, check_files)
    if (train := getattr(defense, "train", None)) is not None:
        document = _training(document, train, check_files)
    document = absolute_code(document, ("defense",), check_files)
    document = absolute_pictures(document, ("defense",), check_files)
    document = absolute_pictures(document, ("evolution", "encodings"), check_files)
    return absolute_code(document, ("evolution", "encodings"), check_files)


def _weights(document: Document, weights: str, check: bool) -> Document:
    """`document` with the weights of a defense absolute."""
    where: KeyPath = ("defense", "weights")
    path = document.resolve(where, weights)
    if check and not is_file(path):
        raise document.error(where, f"no such file: {path}")
    return document.replaced(where, str(path), document.place(where))


def _training(document: Document, train: str, check: bool) -> Document:
    """`document` with a training config absolute; shipped ones keep their names."""
    where: KeyPath = ("defense", "train")
    path = document.resolve(where, train)
    if is_file(path):
        return document.replaced(where, str(path), document.place(where))
    if check:
        try:
            find(train)
        except ConfigError as error:
            raise document.error(where, str(error)) from error
    return document
