"""Victims that are a linear layer on features: of a backbone, or histograms of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.classifiers.backbone import BackboneConfig
from evofool.classifiers.base import Classifier, Link, Output, Resize
from evofool.classifiers.build import by_weights, from_module
from evofool.classifiers.sources.bundled import load_bundled
from evofool.classifiers.spec import ClassifierSpec
from evofool.errors import ClassifierError
from evofool.images import Shape

if TYPE_CHECKING:
    import torch

    from evofool.classifiers.nets.headed import Headed

WEIGHT, BIAS = "head.weight", "head.bias"
BACKBONE, HOG = "backbone", "hog"
"""What a card calls the two architectures."""


@dataclass(frozen=True)
class Stored:
    """What a card says of the net whose weights are in a file.

    Attributes:
        name: of the victim.
        path: of the weights.
        sha256: of the weights.
        shape: channels, height and width of a picture.
        labels: one per class.
        output: what the net gives; None is logits.
        link: how that becomes confidences; None is the usual one.
    """

    name: str
    path: Path
    sha256: str
    shape: Shape
    labels: tuple[str, ...]
    output: Output | None
    link: Link | None


def load_backbone(config: BackboneConfig) -> Classifier:
    """The net that a head is put on.

    Raises:
        ClassifierError: its weights are not installed.
    """
    return load_bundled(ClassifierSpec(name=config.name), Path())


def build_headed(
    config: BackboneConfig | None, shape: Shape, n_classes: int, name: str
) -> tuple[Headed, str]:
    """A linear layer, whose weights are drawn, on features; and what these are, for people.

    Args:
        config: the backbone; None stands for histograms of gradients.
        shape: channels, height and width of the pictures.
        n_classes: number of outputs.
        name: of the net, for messages.

    Raises:
        ClassifierError: features that cannot be had, or do not fit the pictures.
    """
    from evofool.classifiers.nets.headed import head_on_hog, with_head

    if config is None:
        return head_on_hog(shape, n_classes, name), "histograms of oriented gradients"
    backbone = load_backbone(config)
    net = with_head(backbone, config.input, shape, n_classes)
    height, width = net.side
    steps = backbone.preprocessing
    return net, f"bilinear to {height} x {width}, then the features of {backbone.name} ({steps})"


def load_headed(stored: Stored, config: BackboneConfig | None, digest: str) -> Classifier:
    """A linear layer on features: a white box.

    Unless a backbone was trained too, the file holds the layer alone; of a frozen backbone `digest`
    is its own.

    Raises:
        ClassifierError: weights that do not fit, or another backbone than at the training.
    """
    from evofool.classifiers.nets.checkpoints import load_strictly, read_state_dict

    frozen = config is None or config.frozen
    if config is not None and frozen and (known := load_backbone(config).digest) != digest:
        raise ClassifierError(
            f"classifier {stored.name}: its head was trained on another {config.name} (digest"
            f" {digest[:12]}, not {known[:12]}); install that one or train it again"
        )
    state = read_state_dict(stored.path, stored.name)
    net, features = build_headed(config, stored.shape, len(stored.labels), stored.name)
    if frozen:
        state = {**net.state_dict(), **_of_head(state, stored)}
    load_strictly(net, state, stored.name, str(stored.path))
    victim = from_module(
        net,
        input_shape=stored.shape,
        name=stored.name,
        labels=stored.labels,
        output=stored.output or "logits",
        link=stored.link,
        resize=Resize(min(stored.shape[1:])),
        preprocessing=features,
        source=(stored.path, stored.sha256),
        keep=True,
    )
    return by_weights(victim)


def _of_head(state: dict[str, torch.Tensor], stored: Stored) -> dict[str, torch.Tensor]:
    """The weights of the layer.

    Raises:
        ClassifierError: the file holds others, or not these.
    """
    if set(state) != {WEIGHT, BIAS}:
        raise ClassifierError(
            f"classifier {stored.name}: weights: {stored.path}: must hold {WEIGHT} and {BIAS} and"
            " nothing else"
        )
    return state
