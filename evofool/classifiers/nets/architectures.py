"""The nets that are built here, without their weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from evofool.classifiers.base import Link, Output, Resize
from evofool.classifiers.build import check_shape, normalised
from evofool.errors import ClassifierError
from evofool.images import Shape
from evofool.text import suggestion

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """A net that is built here.

    Attributes:
        input_shape: the usual one.
        fixed_shape: whether no other is taken.
        last_bias: key whose length is the number of classes.
        labels: list that ships and fits the usual number of classes.
        build: input shape and number of classes to the bare net.
        mean: normalisation of its usual weights, or None.
        std: the same.
        resize: for natural pictures.
        preprocessing: one line for people, or None to have it made.
        output: what the net gives.
        link: how that becomes confidences; None is the usual one of `output`.
    """

    input_shape: Shape
    fixed_shape: bool
    last_bias: str
    labels: str
    build: Callable[[Shape, int], nn.Module]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: Resize | None = None
    preprocessing: str | None = None
    output: Output = "logits"
    link: Link | None = None

    def scale(self, channels: int) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
        """`mean` and `std` for so many channels: grey images take the average of three."""

        def fit(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
            if values is None or len(values) in (1, channels):
                return values
            return (sum(values) / len(values),)

        return fit(self.mean), fit(self.std)


def _build(module: str, name: str, input_shape: Shape, n_classes: int) -> nn.Module:
    # imported on demand: a listing or a dry run needs no torch
    factory = getattr(import_module(f"evofool.classifiers.nets.{module}"), name)
    net: nn.Module = factory(input_shape, n_classes)
    return net


def _build_lite(scale: str, _input_shape: Shape, n_classes: int) -> nn.Module:
    nets = import_module("evofool.classifiers.nets.efficientnet_lite")
    net: nn.Module = nets.EfficientNetLite(getattr(nets, scale), n_classes)
    return net


def _lite(number: int, side: int) -> Architecture:
    larger = round(side / 0.875)
    return Architecture(
        input_shape=(3, side, side),
        fixed_shape=True,
        last_bias="_fc.bias",
        labels="imagenet",
        build=partial(_build_lite, f"LITE{number}"),
        mean=(127 / 255,),  # with std: (255 x - 127) / 128
        std=(128 / 255,),
        resize=Resize(larger, "bicubic"),
        preprocessing=f"shorter side {larger} bicubic, centre crop {side}, (255 x - 127) / 128",
    )


def _mnist_net(letter: str, last_bias: str) -> Architecture:
    build = partial(_build, "tramer", f"Model{letter}")
    return Architecture((1, 28, 28), False, last_bias, "digits", build)


def _sign_net(factory: str) -> Architecture:
    return Architecture(
        input_shape=(3, 32, 32),
        fixed_shape=False,
        last_bias="fc2.bias",
        labels="gtsrb",
        build=partial(_build, "multiscale", factory),
        mean=(0.5,),
        std=(0.25,),
        resize=Resize(32, "bicubic"),
    )


ARCHITECTURES: dict[str, Architecture] = {
    "lenet": Architecture(
        input_shape=(1, 28, 28),
        fixed_shape=False,
        last_bias="ip2.bias",
        labels="digits",
        build=partial(_build, "lenet", "LeNet"),
    ),
    "lenet-rbf": Architecture(
        input_shape=(1, 28, 28),
        fixed_shape=False,
        last_bias="ip2.beta",
        labels="digits",
        build=partial(_build, "rbf", "LeNetRbf"),
        output="log_probs",
        link="identity",
    ),
    "mnist-a": _mnist_net("A", "head.3.bias"),
    "mnist-b": _mnist_net("B", "head.0.bias"),
    "mnist-c": _mnist_net("C", "head.3.bias"),
    "mnist-d": _mnist_net("D", "head.12.bias"),
    "cifar-resnet": Architecture(
        input_shape=(3, 32, 32),
        fixed_shape=False,
        last_bias="linear.bias",
        labels="cifar10",
        build=partial(_build, "resnet20", "ResNet20"),
        mean=(0.485, 0.456, 0.406),  # ImageNet's, with which its usual weights were trained
        std=(0.229, 0.224, 0.225),
        resize=Resize(32, "bicubic"),
    ),
    "sign-cnn": Architecture(
        input_shape=(3, 32, 32),
        fixed_shape=False,
        last_bias="fc2.bias",
        labels="gtsrb",
        build=partial(_build, "sign_net", "SignNet"),
        mean=(0.5,),
        std=(0.25,),
        resize=Resize(32, "bicubic"),
    ),
    "sign-multiscale": _sign_net("MultiScaleNet"),
    "sign-plain": _sign_net("PlainNet"),
    "efficientnet-lite0": _lite(0, 224),
    "efficientnet-lite1": _lite(1, 240),
    "efficientnet-lite2": _lite(2, 260),
}


def build_architecture(name: str, input_shape: Shape, n_classes: int) -> nn.Module:
    """A bare, untrained net of `ARCHITECTURES`, in train mode: for training only.

    Raises:
        ClassifierError: unknown name, or an input shape it does not take.
    """
    if name not in ARCHITECTURES:
        mend = suggestion(name, ARCHITECTURES) or f"; known: {', '.join(ARCHITECTURES)}"
        raise ClassifierError(f"architecture {name}: unknown{mend}")
    architecture = ARCHITECTURES[name]
    check_fixed(name, architecture, input_shape)
    return build_net(name, architecture, input_shape, n_classes)


def with_scale(name: str, net: nn.Module, channels: int) -> nn.Module:
    """A bare `net` behind its architecture's normalisation: float32 on [0, 1] to logits."""
    mean, std = ARCHITECTURES[name].scale(channels)
    return normalised(net, mean, std, channels, name)


def check_fixed(name: str, architecture: Architecture, shape: Shape) -> None:
    """Refuses another shape where only one is taken.

    Raises:
        ClassifierError: the architecture takes one shape only, and this is another.
    """
    if architecture.fixed_shape and shape != architecture.input_shape:
        raise ClassifierError(
            f"classifier {name}: takes {list(architecture.input_shape)} only, not {list(shape)}"
        )


def build_net(name: str, architecture: Architecture, shape: Shape, n_classes: int) -> nn.Module:
    """The bare net, called `name` in messages.

    Raises:
        ClassifierError: a shape that it cannot take.
    """
    check_shape(shape, name)
    try:
        return architecture.build(shape, n_classes)
    except (RuntimeError, ValueError) as error:
        raise ClassifierError(f"classifier {name}: cannot take {list(shape)} ({error})") from error
