"""What is trained: a whole net on pictures, or a linear layer on their features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import nn
from torch.nn import functional

from evofool.classifiers.nets.architectures import build_architecture, with_scale
from evofool.classifiers.sources.headed import build_headed
from evofool.data import Dataset
from evofool.images import to_float
from evofool.training.config import TrainConfig
from evofool.training.features import Features, Head
from evofool.training.fitting import evaluating, initial

_HELD_OUT = 10
"""One picture of so many is kept for calibration."""
_BATCH = 100


@dataclass(frozen=True)
class Learning:
    """The parts of a training.

    Attributes:
        net: what is trained: what is in the data sets to outputs.
        bare: the part of it whose weights are written.
        train: what it is shown: pictures, or features in their place.
        test: what it is measured on, likewise.
        held_out: what it is calibrated on, likewise; None where it is not.
    """

    net: nn.Module
    bare: nn.Module
    train: Dataset
    test: Dataset
    held_out: Dataset | None


def prepare(
    config: TrainConfig,
    train_set: Dataset,
    test_set: Dataset,
    device: torch.device,
    should_stop: Callable[[], bool] | None = None,
) -> Learning:
    """A net with initial weights, and what it is to be shown.

    Args:
        config: of the training.
        train_set: pictures, those to be held out among them.
        test_set: pictures.
        device: where features are calculated.
        should_stop: asked while they are.

    Raises:
        ClassifierError: a net that does not fit the pictures.
        Interrupted: `should_stop` returned true.
    """
    shape, n_classes = train_set.shape, len(train_set.label_names)
    shown, held_out = split(config, train_set)
    if config.on_features:
        features = Features(config, device, should_stop)
        shown, test_set = features.of(shown), features.of(test_set)
        held_out = None if held_out is None else features.of(held_out)
        size = shown.shape[0]
        head = initial(lambda: Head(size, n_classes), config.seed)
        return Learning(head, head, shown, test_set, held_out)
    if config.backbone is not None:
        backbone = config.backbone
        net = initial(lambda: build_headed(backbone, shape, n_classes, config.name)[0], config.seed)
        return Learning(net.requires_grad_(True), net, shown, test_set, held_out)
    bare = initial(lambda: build_architecture(config.architecture, shape, n_classes), config.seed)
    return Learning(
        with_scale(config.architecture, bare, shape[0]), bare, shown, test_set, held_out
    )


def split(config: TrainConfig, train_set: Dataset) -> tuple[Dataset, Dataset | None]:
    """What is trained on, and what a support vector machine is calibrated on afterwards.

    The latter is the last tenth of each class in the order of the files, where frames of one
    scene are neighbours: so near-copies are on one side, but for those at the border.
    """
    if config.loss != "hinge":
        return train_set, None
    chosen = np.zeros(len(train_set), bool)
    for label in np.unique(train_set.labels):
        own = np.flatnonzero(train_set.labels == label)
        chosen[own[len(own) - len(own) // _HELD_OUT :]] = True
    if not chosen.any():  # classes of a few pictures
        return train_set, train_set
    return train_set.take(np.flatnonzero(~chosen)), train_set.take(np.flatnonzero(chosen))


def calibrate(learning: Learning, device: torch.device) -> float:
    """Divides the head by a temperature, so that the softmax of its outputs is a confidence.

    The distances to the planes of a support vector machine are no logits. The temperature is the
    one of the least cross entropy on the pictures that were held out (Guo et al., ICML 2017,
    1706.04599); it changes no order of classes.

    Returns:
        The temperature.
    """
    data = learning.held_out
    assert data is not None
    outputs = []
    with evaluating(learning.net), torch.inference_mode():
        for begin in range(0, len(data), _BATCH):
            images = torch.from_numpy(to_float(data.images[begin : begin + _BATCH]))
            outputs.append(learning.net(images.to(device)).double().cpu())
    logits, labels = torch.cat(outputs), torch.from_numpy(data.labels)

    def cost(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits / np.exp(log_temperature), labels))

    temperature = float(np.exp(minimize_scalar(cost, bounds=(-5, 5), method="bounded").x))
    head = learning.bare.get_submodule("head")
    with torch.no_grad():
        for weight in head.parameters():
            weight.div_(temperature)
    return temperature
