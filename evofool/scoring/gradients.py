"""Gradients of a victim's outputs: one forward pass, one backward pass for each loss asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier
from evofool.errors import ScoringError
from evofool.images import FloatImages
from evofool.scoring.crops import ten_crops_tensor
from evofool.scoring.engines import TorchEngine, explained

if TYPE_CHECKING:
    import torch
    from torch import nn

Loss: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"
"""From the outputs of n images (float32 n x classes) and their rows in the whole batch (int64 (n,))
to n losses, or to n x K losses for K gradients an image."""
Wanted: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"
"""From the same two tensors to n booleans: whether the gradient of the image is needed."""


GRAPH_BYTES = 2**30
"""What the graph of a forward pass may take on a CPU, in every worker."""
GRAPH_PER_INPUT = 200
"""About how many times the size of its input a convolutional net keeps for the backward pass
(EfficientNet-Lite0: 150)."""


@dataclass(frozen=True)
class Gradients:
    """What `Scorer.gradients` gives for N images.

    Attributes:
        values: d loss / d image, float32 N x C x H x W (N x K x C x H x W of K losses an image),
            for images on [0, 1]; zeros where no gradient was wanted.
        loss: (N,), or N x K of K losses an image.
        outputs: N x classes, what the loss was computed from.
        wanted: (N,), whether the gradient of the image was taken.
        lost: (N,), whether the image's outputs or gradient were not finite; its values and losses
            are 0.
    """

    values: FloatImages
    loss: NDArray[np.float32]
    outputs: NDArray[np.float32]
    wanted: NDArray[np.bool_]
    lost: NDArray[np.bool_]


def gradient_batch(
    classifier: Classifier,
    engine: TorchEngine,
    images: FloatImages,
    rows: NDArray[np.int64],
    loss: Loss,
    wanted: Wanted | None,
) -> tuple[Gradients, int]:
    """The gradients of one micro-batch, and how many backward images it took (without crops).

    On a CPU, large images go through the net a few at a time: there, no error tells that memory has
    run out before the process is killed, and a graph that fits no cache is slow (one core took 20 s
    for the gradients of 64 pictures on EfficientNet-Lite0 at once, and 8.5 s eight by eight).

    Args:
        classifier: the victim.
        engine: it in PyTorch.
        images: on [0, 1].
        rows: (N,), their indices in the whole batch.
        loss: as `Scorer.gradients`.
        wanted: as `Scorer.gradients`.

    Raises:
        ScoringError: as `Scorer.gradients`.
    """
    step = max(1, len(images))
    if engine.device == "cpu":
        step = max(1, _images_at_once(images) // (classifier.crops * classifier.passes))
    parts, taken = [], 0
    with engine.module() as module:  # the graph may lie in what the module keeps
        for i in range(0, len(images), step):
            part = slice(i, i + step)
            gradients, backward = _gradient_batch(
                classifier, engine, module, images[part], rows[part], loss, wanted
            )
            parts.append(gradients)
            taken += backward
    return joined(parts, images.shape, classifier.n_classes), taken


def _images_at_once(images: FloatImages) -> int:
    """So many that the graph fits: from the images' size alone, so that results do not depend on
    how much memory a machine has."""
    return GRAPH_BYTES // (GRAPH_PER_INPUT * 4 * math.prod(images.shape[1:]))


def _gradient_batch(
    classifier: Classifier,
    engine: TorchEngine,
    module: nn.Module,
    images: FloatImages,
    rows: NDArray[np.int64],
    loss: Loss,
    wanted: Wanted | None,
) -> tuple[Gradients, int]:
    import torch

    name = classifier.name
    with explained(name), torch.enable_grad(), engine.exact():
        x = engine.tensor(images).requires_grad_(True)
        outputs = differentiable_outputs(classifier, module, x)
    index = torch.from_numpy(rows).to(x.device)
    with torch.enable_grad():
        losses = loss(outputs, index)
    if losses.ndim not in (1, 2) or len(losses) != len(images):
        raise ScoringError(
            f"the loss gave an array of shape {tuple(losses.shape)} for {len(images)} images; it"
            " must give one number (or K numbers) per image (reduction='none')"
        )
    with torch.no_grad():
        mask = torch.ones_like(index, dtype=torch.bool)
        if wanted is not None:
            mask = wanted(outputs.detach(), index)
    columns = losses[:, None] if losses.ndim == 1 else losses
    k = columns.shape[1]
    values = torch.zeros((len(images), k, *x.shape[1:]), dtype=x.dtype, device=x.device)
    taken = int(mask.sum())
    if taken and not columns.requires_grad:
        raise _no_gradients(name)
    if taken:
        with explained(name), engine.exact():
            for j in range(k):
                (one,) = torch.autograd.grad(
                    columns[mask, j].sum(), x, retain_graph=j + 1 < k, allow_unused=True
                )
                if one is None:  # a loss that depends on something, but not on the image
                    raise _no_gradients(name)
                values[:, j] = one
    losses = losses.detach()
    lost = (outputs.isnan() | outputs.isposinf()).any(1) | ~values.isfinite().flatten(1).all(1)
    if bool(lost.any()):
        values[lost] = 0.0
        losses = losses.clone()
        losses[lost] = 0.0
    if losses.ndim == 1:
        values = values[:, 0]
    gradient, loss_values, output_values = (
        t.detach().float().cpu().numpy() for t in (values, losses, outputs)
    )
    gradients = Gradients(
        gradient, loss_values, output_values, mask.cpu().numpy(), lost.cpu().numpy()
    )
    return gradients, taken * k


def _no_gradients(name: str) -> ScoringError:
    return ScoringError(
        f"{name} gives no gradients: no path of differentiable operations leads from its outputs"
        " to the image (no_grad, detach, numpy, argmax or a quantised layer inside?); use a"
        " black-box attack"
    )


def joined(parts: list[Gradients], shape: tuple[int, ...], n_classes: int) -> Gradients:
    """The micro-batches of one call as one."""
    if not parts:
        none = np.zeros((0, n_classes), np.float32)
        no = np.zeros(0, np.bool_)
        return Gradients(np.zeros(shape, np.float32), none[:, 0], none, no, no)
    columns = ("values", "loss", "outputs", "wanted", "lost")
    return Gradients(*(np.concatenate([getattr(part, c) for part in parts]) for c in columns))


def differentiable_outputs(
    classifier: Classifier, module: nn.Module, x: torch.Tensor
) -> torch.Tensor:
    """Outputs of `x` with a graph, so that gradients can be taken.

    Args:
        classifier: the victim.
        module: its net.
        x: float32 N x C x H x W on [0, 1].

    Returns:
        float32 N x classes; with ten crops the logarithm of the averaged confidences.

    Raises:
        ScoringError: the module gives anything else than one row of floats an image.
    """
    crops = classifier.crops
    if crops > 1:
        assert classifier.crop_size is not None
        given: object = module(ten_crops_tensor(x, classifier.crop_size))
    else:
        given = module(x.clone())  # a module may write into its input
    outputs = _checked(classifier, given, len(x) * crops)
    return _averaged(classifier, outputs) if crops > 1 else outputs


def _checked(classifier: Classifier, given: object, rows: int) -> torch.Tensor:
    import torch

    if not isinstance(given, torch.Tensor):
        raise ScoringError(
            f"{classifier.name} gave a {type(given).__name__}, but gradients need a tensor"
        )
    wanted = (rows, classifier.n_classes)
    if tuple(given.shape) != wanted or not given.is_floating_point():
        raise ScoringError(
            f"{classifier.name} gave {given.dtype} of shape {tuple(given.shape)}, but floats of"
            f" shape {wanted} are needed"
        )
    # a copy, since the module may write its next answer into the same memory
    return given.float().clone()


def _averaged(classifier: Classifier, outputs: torch.Tensor) -> torch.Tensor:
    import torch

    each = outputs.reshape(-1, classifier.crops, outputs.shape[-1])
    if classifier.link == "identity" and classifier.output == "log_probs":
        logs = each
    elif classifier.link == "identity":
        logs = each.clamp_min(torch.finfo(each.dtype).tiny).log()
    elif classifier.link == "sigmoid":
        logs = torch.nn.functional.logsigmoid(each)
    else:
        logs = each.log_softmax(-1)
    return logs.logsumexp(1) - float(np.log(classifier.crops))
