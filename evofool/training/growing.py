"""One class more: a net's weights in a net with a larger head, and its training on fooling images.

Nguyen, Yosinski, Clune (CVPR 2015, section 3.5) add a class n + 1 of fooling images and retrain.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from evofool.classifiers.nets.architectures import build_architecture
from evofool.errors import ClassifierError, UsageError
from evofool.images import Shape
from evofool.training.fitting import initial
from evofool.training.losses import Losses, cross_entropy


def grown(
    architecture: str,
    input_shape: Shape,
    n_classes: int,
    state: Mapping[str, torch.Tensor],
    seed: int,
) -> nn.Module:
    """A net of `n_classes` + 1 outputs, of which all but the last are those of the old net.

    All weights are copied; those of the new output are drawn as in a new net.

    Args:
        architecture: its name.
        input_shape: channels, height, width.
        n_classes: of the old net.
        state: weights of the old net (without normalisation in front) by name, of any shape and
            data type.
        seed: of the new weights.

    Raises:
        UsageError: its head cannot grow: the number of classes does not show in its weights.
    """

    def refuse(why: str) -> UsageError:
        return UsageError(
            f"the head of {architecture} cannot grow from {n_classes} to {n_classes + 1} classes"
            f" ({why}); name a net whose last layer has one row of weights a class"
        )

    try:
        net = initial(lambda: build_architecture(architecture, input_shape, n_classes + 1), seed)
    except ClassifierError as error:
        raise refuse(str(error)) from error
    wanted = net.state_dict()
    if wanted.keys() != state.keys():
        raise refuse("its layers are others then")
    larger = 0
    for name, new in wanted.items():
        old = state[name]
        if old.shape == new.shape:
            new.copy_(old)
        elif (
            old.ndim == new.ndim
            and (len(old), len(new)) == (n_classes, n_classes + 1)
            and old.shape[1:] == new.shape[1:]
        ):
            new[:n_classes].copy_(old)
            larger += 1
        else:
            raise refuse(f"{name} would be of another shape")
    if not larger:
        raise refuse("none of its weights belong to one class")
    return net


def weighted(class_index: int, weight: float, share: float) -> Losses:
    """Cross entropy in which one class counts `weight` times as much as the others.

    Args:
        class_index: the class.
        weight: of its images.
        share: of its images among all: the mean weight over the whole set is 1, so that a large
            weight does not lengthen the steps.
    """
    mean = 1 + share * (weight - 1)

    def losses(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        factor = torch.where(labels == class_index, weight / mean, 1 / mean)
        return cross_entropy(outputs, labels) * factor

    return losses
