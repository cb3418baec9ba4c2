"""The net of round 0: what it must be for a class to be added to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.classifiers import Classifier
from evofool.classifiers.nets.architectures import ARCHITECTURES
from evofool.classifiers.sources.bundled import BUNDLED
from evofool.config import ClassifierConfig, Loaded
from evofool.errors import StoreError, UsageError
from evofool.experiments.checked import check_white, loaded_net
from evofool.experiments.retrain.config import RetrainConfig
from evofool.store.files import read_json

if TYPE_CHECKING:
    import torch

FOOLING = "fooling"
"""Label of class n + 1."""


@dataclass(frozen=True)
class Base:
    """The net of round 0 as retraining needs it.

    Attributes:
        net: as it is attacked.
        architecture: what a larger one is built from.
        state: the weights of the bare net by name: tensors of any shape, of the data types in
            which the net holds them.
    """

    net: Classifier
    architecture: str
    state: dict[str, torch.Tensor]


def base_of(net: Classifier, architecture: str) -> Base:
    """A net that is loaded, with the weights of its bare net."""
    from evofool.classifiers.nets.normalised import Normalised

    assert net.module is not None
    bare = net.module.net if isinstance(net.module, Normalised) else net.module
    return Base(net, architecture, dict(bare.state_dict()))


def make_base(loaded: Loaded[RetrainConfig]) -> Base:
    """The net of round 0.

    Raises:
        ConfigError: it cannot be had, is a black box, or its head cannot grow.
    """
    from evofool.training.growing import grown

    where = ("base",)
    spec = loaded.config.base
    net = loaded_net(loaded, where, spec)
    name = _architecture(spec)
    if net.module is None or name is None:
        raise loaded.error_at(
            where,
            f"{net.name} cannot get another class: the loop builds the net again with a larger"
            " last layer, and can do so only for weights of its own architectures"
            f" ({', '.join(ARCHITECTURES)}); name a bundled classifier, a weights file from"
            " evofool train, or a training config",
        )
    check_white(loaded, where, net)
    if spec.mean is not None or spec.std is not None:
        raise loaded.error_at(
            where, "mean and std cannot be kept in the card of a retrained net; leave them out"
        )
    if (net.output, net.link) != ("logits", "softmax"):
        raise loaded.error_at(
            where,
            f"{net.name} gives {net.output} with link {net.link}, but class n + 1 is learnt by"
            " softmax cross entropy: name a net with a softmax over its logits",
        )
    if FOOLING in net.labels:
        raise loaded.error_at(where, f"{net.name} has a class {FOOLING!r} already")
    base = base_of(net, name)
    try:
        grown(name, net.input_shape, net.n_classes, base.state, loaded.config.seed)
    except UsageError as error:
        raise loaded.error_at(where, str(error)) from error
    return base


def _architecture(spec: ClassifierConfig) -> str | None:
    """What a net is built from, None where that is not known."""
    if spec.name in BUNDLED:
        return BUNDLED[spec.name].architecture
    if spec.name in ARCHITECTURES:
        return spec.name
    if spec.name.endswith(".safetensors"):
        try:  # its card has been read and checked by whoever loaded it
            return str(read_json(Path(spec.name).with_suffix(".json"))["architecture"])
        except (StoreError, KeyError):
            return None
    return None
