"""The ``kind: train`` config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from evofool.classifiers.backbone import BackboneConfig
from evofool.config import ClassifierConfig, Loaded, load_model
from evofool.config.loading import validate, with_seed
from evofool.training.augmenting import AugmentConfig
from evofool.validation import shown

_FRACTION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*")


def _fraction(value: Any) -> Any:
    """``"8/255"`` as a number; anything else as it is."""
    if not isinstance(value, str):
        return value
    match = _FRACTION.fullmatch(value)
    if match is None or float(match[2]) == 0:
        raise ValueError(f"must be a number or a fraction such as 8/255, not {shown(value)}")
    return float(match[1]) / float(match[2])


Radius: TypeAlias = Annotated[
    float, BeforeValidator(_fraction), Field(gt=0, le=1, allow_inf_nan=False)
]
NonNegative: TypeAlias = Annotated[
    float, BeforeValidator(_fraction), Field(ge=0, lt=1, allow_inf_nan=False)
]


class OptimiserConfig(BaseModel):
    """How weights are updated.

    Attributes:
        name: stochastic gradient descent with momentum, Adam, or Adam whose weights decay by
            themselves (AdamW; Loshchilov and Hutter, ICLR 2019, 1711.05101).
        lr: step size at the start, the largest one of ``one-cycle``.
        momentum: of ``sgd`` (Nesterov's where it is not 0).
        weight_decay: L2 penalty; of ``adamw`` the decay.
        schedule: keep the step size, let it fall to 0 along half a cosine, batch by batch, divide
            it by 10 after 60 % and again after 90 % of the steps, or let it rise from a 25th
            along half a cosine for 30 % of the steps and fall to 0 for the rest (``one-cycle``,
            after Smith and Topin 2018, 1708.07120; the momentum stays).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(default=0.02, gt=0, le=10, allow_inf_nan=False)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    schedule: Literal["constant", "cosine", "steps", "one-cycle"] = "cosine"


class _Adversary(BaseModel):
    """What all adversaries have: the loss is alpha J(x) + (1 - alpha) J(x_adv).

    Attributes:
        eps: radius in the maximum norm, a fraction of 1; ``8/255`` works too.
        alpha: weight of the clean images; at 0 they are not shown at all.
        target: whose loss is climbed: that of the true ``label``, or of the class that the source
            itself ``predicted``, which reveals nothing of the label (Kurakin et al., ICLR 2017,
            1611.01236: with one step and the true label, a net may learn to read the label from the
            perturbation, "label leaking").
        warmup: epochs over which the radius and all steps grow from 0 to their values here; with a
            large eps from the first step on, a net may never get better than chance.
        check: number of test images (the first ones) that are attacked after each epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    eps: Radius
    alpha: float = Field(default=0.5, ge=0, lt=1)
    target: Literal["label", "predicted"] = "label"
    warmup: float = Field(default=0, ge=0, le=10_000)
    check: int = Field(default=512, ge=0, le=1_000_000)


class FgsmAdversaryConfig(_Adversary):
    """x + eps sign(grad J) (Goodfellow, Shlens, Szegedy, ICLR 2015, 1412.6572).

    Attributes:
        kind: always ``fgsm``.
        random_step: first a random sign step of this length, then one of the rest of eps along the
            gradient there (R+FGSM, Tramèr et al., ICLR 2018, whose name for it is alpha).
    """

    kind: Literal["fgsm"] = "fgsm"
    random_step: NonNegative = 0


class PgdAdversaryConfig(_Adversary):
    """Steps along the gradient's sign, projected to the ball (Madry et al., ICLR 2018, 1706.06083).

    Attributes:
        kind: always ``pgd``.
        alpha: as above; Madry shows adversarial images only.
        steps: how many.
        step_size: length of each; by default 2.5 eps / steps, so that the border is reached.
        random_start: start from a uniform draw of the ball rather than from the image.
    """

    kind: Literal["pgd"] = "pgd"
    alpha: float = Field(default=0, ge=0, lt=1)
    steps: int = Field(default=10, ge=1, le=1000)
    step_size: Radius | None = None
    random_start: bool = True


class EnsembleAdversaryConfig(_Adversary):
    """FGSM whose source is drawn anew for every batch (Tramèr et al., ICLR 2018, 1705.07204).

    Attributes:
        kind: always ``ensemble``.
        sources: the static nets that are drawn from, beside the one in training.
        random_step: as for ``fgsm``.
    """

    kind: Literal["ensemble"] = "ensemble"
    sources: tuple[ClassifierConfig, ...] = Field(min_length=1, max_length=100)
    random_step: NonNegative = 0

    @field_validator("sources", mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list of classifiers or weights files")
        return tuple({"name": item} if isinstance(item, str) else item for item in value)


AdversaryConfig: TypeAlias = FgsmAdversaryConfig | PgdAdversaryConfig | EnsembleAdversaryConfig


Temperature: TypeAlias = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
LossName: TypeAlias = Literal[
    "cross-entropy", "sigmoid", "softmax-binary", "squared-error", "rbf", "hinge"
]
"""See `evofool.training.losses.COSTS` for what each is."""


class DistillationConfig(BaseModel):
    """Defensive distillation (Papernot et al., S&P 2016, 1511.04508).

    A teacher of the same architecture is trained with the same keys at `temperature`; its
    confidences for the training images at that temperature are the labels of the net, which is
    trained at the same temperature and used at 1.

    Attributes:
        temperature: T; above 1 the labels are softer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: Temperature


class PenaltyConfig(BaseModel):
    """A penalty on the net's slope; see `evofool.training.penalties.Penalty`.

    Attributes:
        kind: ``smoothing``, the loss's slope; ``contractive``, that of all outputs.
        weight: of the squared length, the mean over the images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["smoothing", "contractive"]
    weight: float = Field(gt=0, le=1e6, allow_inf_nan=False)


class TrainConfig(BaseModel):
    """A net to train; unknown keys fail.

    Attributes:
        kind: always ``train``.
        name: file name of what is written (``NAME.safetensors`` and ``NAME.json``).
        architecture: the net. ``backbone`` is a linear layer on the features of a trained net, and
            follows where `backbone` is given; ``hog`` is one on histograms of oriented gradients.
        backbone: the trained net, see `BackboneConfig`; its architecture comes with it.
        dataset: a data set with the splits ``train`` and ``test``.
        limit: most training pictures, evenly spread over the split; None is all.
        start: whose weights it starts from, instead of initial ones: a net of the same architecture
            that was trained into the same folder, or else a bundled victim; or None.
        validation: also trains on the split ``validation`` of a data set that has one. Nothing is
            chosen by it either way; True, or None for not.
        epochs: passes over the training split; the weights after the last are kept.
        batch: images a step.
        optimiser: see `OptimiserConfig`.
        loss: the cost function; it also determines how the net's outputs become confidences.
            ``hinge``, with `optimiser.weight_decay`, makes the last layer a linear support vector
            machine.
        temperature: outputs are divided by it in the loss of ``cross-entropy``. The net is used
            at 1.
        distillation: the net is taught by another of its kind, or None.
        penalty: on the slope at the training images, or None.
        adversary: adversarial training, or None.
        shift: images are moved at random by up to so many pixels in each direction.
        mirror: images are mirrored left to right at random.
        augment: images are turned, scaled, sheared, moved and lit at random, or None.
        smoothing: share of each label that is spread evenly over all classes (Szegedy et al.,
            CVPR 2016), or None.
        stored: ``float16`` halves the weights file: the weights are rounded at the end, before
            they are measured for the card. None keeps them as they were trained, float32.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: a GPU where there is one. The same seed
            gives the same weights on the same kind of device only.
        gpus: GPUs that share each batch (`torch.nn.DataParallel`).
        seed: of initial weights, order, augmentation, dropout and adversaries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["train"] = "train"
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    architecture: Literal[
        "lenet",
        "lenet-rbf",
        "mnist-a",
        "mnist-b",
        "mnist-c",
        "mnist-d",
        "cifar-resnet",
        "sign-cnn",
        "sign-multiscale",
        "sign-plain",
        "efficientnet-lite0",
        "efficientnet-lite1",
        "efficientnet-lite2",
        "backbone",
        "hog",
    ] = "lenet"
    backbone: BackboneConfig | None = None
    dataset: str = Field(min_length=1)
    limit: int | None = Field(default=None, ge=1, le=10_000_000)
    start: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    validation: Literal[True] | None = None
    epochs: int = Field(ge=1, le=10_000)
    batch: int = Field(default=128, ge=1, le=65_536)
    optimiser: OptimiserConfig = OptimiserConfig()
    loss: LossName = "cross-entropy"
    temperature: Temperature = 1
    distillation: DistillationConfig | None = None
    penalty: PenaltyConfig | None = None
    adversary: Annotated[AdversaryConfig, Field(discriminator="kind")] | None = None
    shift: int = Field(default=0, ge=0, le=8)
    mirror: bool = False
    augment: AugmentConfig | None = None
    smoothing: float | None = Field(default=None, gt=0, lt=1, allow_inf_nan=False)
    stored: Literal["float16"] | None = None
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")
    gpus: int = Field(default=1, ge=1, le=64)
    seed: int = Field(default=1, ge=0, lt=2**32)

    @model_validator(mode="before")
    @classmethod
    def _on_backbone(cls, value: Any) -> Any:
        given = isinstance(value, Mapping) and value.get("backbone") is not None
        return {"architecture": "backbone", **value} if given else value

    @field_validator("adversary")
    @classmethod
    def _step_within(cls, value: AdversaryConfig | None) -> AdversaryConfig | None:
        if value is not None and getattr(value, "random_step", 0) >= value.eps:
            raise ValueError(f"random_step must be below eps, {value.eps:g}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.loss == "rbf") != (self.architecture == "lenet-rbf"):
            raise ValueError(
                "loss rbf and architecture lenet-rbf go together: the loss is made for the"
                f" log-confidences of an RBF output layer, not for loss {self.loss} on"
                f" architecture {self.architecture}"
            )
        if self.loss != "cross-entropy" and (self.temperature != 1 or self.distillation):
            key = "distillation" if self.distillation else "temperature"
            raise ValueError(
                f"{key} works only with a softmax: it needs loss cross-entropy, not {self.loss}"
            )
        if self.smoothing is not None and (self.loss != "cross-entropy" or self.distillation):
            raise ValueError(
                "smoothing works only with cross-entropy and classes as labels: remove it"
            )
        if self.distillation is not None and self.temperature != 1:
            raise ValueError("give temperature only in distillation, for teacher and net alike")
        if self.penalty is not None and self.gpus > 1:
            raise ValueError("penalty: its gradient is computed on one GPU; set gpus: 1")
        if (self.backbone is None) != (self.architecture != "backbone"):
            raise ValueError(
                "backbone and architecture: backbone go together: give backbone: {name: ...} and"
                " leave out architecture"
            )
        if self.start is not None and (self.backbone is not None or self.distillation is not None):
            key = "backbone" if self.backbone is not None else "distillation"
            raise ValueError(f"start and {key} both say where the net starts from; remove one")
        if self.loss == "hinge" and self.architecture not in ("backbone", "hog"):
            raise ValueError(
                "loss hinge works only with a linear layer on features: give a backbone, or"
                " architecture: hog"
            )
        self._check_features()
        return self

    def _check_features(self) -> None:
        if not self.on_features:
            return
        for key in ("adversary", "penalty", "distillation", "shift", "mirror", "augment"):
            if getattr(self, key):
                raise ValueError(
                    f"{key} does not work with features that are computed once: remove it, or"
                    " set backbone.frozen: false"
                )
        if self.gpus > 1:
            raise ValueError("gpus: features are computed on one GPU; set gpus: 1")

    @property
    def on_features(self) -> bool:
        """Whether only a linear layer is learnt, on features that are calculated once."""
        frozen = self.backbone is not None and self.backbone.frozen
        return frozen or self.architecture == "hog"

    @property
    def teacher(self) -> TrainConfig | None:
        """How the teacher is trained, where there is one; its name ends in ``-teacher``."""
        if self.distillation is None:
            return None
        return self.model_copy(
            update={
                "name": f"{self.name}-teacher",
                "temperature": self.distillation.temperature,
                "distillation": None,
            }
        )


def load_training(
    source: Path | str | Mapping[str, Any] | TrainConfig,
    overrides: Sequence[str] = (),
    seed: int | None = None,
) -> Loaded[TrainConfig]:
    """A config of kind train; arguments as in `evofool.config.load_campaign`.

    Raises:
        ConfigError: anything is wrong; the message starts with the place.
    """
    loaded = load_model(source, TrainConfig, overrides)
    document = with_seed(loaded.document, seed)
    return Loaded(validate(document, TrainConfig), document)
