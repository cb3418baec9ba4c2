"""The inner maximisation of adversarial training: images that a net gets wrong as it learns.

All of it happens with the net in evaluation mode: an adversary neither meets dropout's noise nor
changes the statistics of batch normalisation. (Papers differ or leave it open; later
implementations do this.) Images stay floats, since a training image need not be a picture of 8
bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self, TypeAlias

import torch
from torch import nn
from torch.nn import functional

from evofool.classifiers.base import Classifier
from evofool.training.losses import Losses, cross_entropy

Target: TypeAlias = Literal["label", "predicted"]


@dataclass(frozen=True)
class Source:
    """A net whose loss is climbed.

    Attributes:
        net: float32 N x C x H x W on [0, 1] to its outputs; in evaluation mode.
        losses: what is climbed: outputs (n x classes) and labels (n,) to n losses.
    """

    net: nn.Module
    losses: Losses = cross_entropy


class Adversary(Protocol):
    """Makes the adversarial half of a batch."""

    @property
    def alpha(self) -> float:
        """Weight of the clean images in the loss."""

    @property
    def warmup(self) -> float:
        """Epochs over which it grows to its full radius."""

    def scaled(self, share: float) -> Self:
        """The same with `share` of the radius and of every step."""

    def __call__(
        self,
        own: Source,
        images: torch.Tensor,
        labels: torch.Tensor,
        draws: torch.Generator,
        choice: torch.Generator,
    ) -> torch.Tensor:
        """Adversarial images within the radius around `images`.

        Args:
            own: the net in training.
            images: float32 N x C x H x W on [0, 1].
            labels: int64 (N,).
            draws: on the CPU, for random starts.
            choice: on the CPU, for the source.

        Returns:
            float32 N x C x H x W on [0, 1], without a graph.
        """


@dataclass(frozen=True)
class FgsmAdversary:
    """x + eps sign(grad J(x)) (Goodfellow et al., ICLR 2015), clipped to [0, 1].

    Attributes:
        eps: radius in the maximum norm.
        alpha: weight of the clean images.
        random_step: R+FGSM of Tramèr et al., ICLR 2018: x' = x + random_step sign(N(0, I)), then
            x' + (eps - random_step) sign(grad J(x')).
        target: ``label`` or ``predicted`` (by the source, on the clean image).
        others: static sources. If there are any, each call draws one of them or the net itself,
            all equally likely (ensemble adversarial training).
        warmup: epochs over which it grows to its full radius.
    """

    eps: float
    alpha: float = 0.5
    random_step: float = 0
    target: Target = "label"
    others: tuple[Source, ...] = ()
    warmup: float = 0

    def scaled(self, share: float) -> Self:
        """The same with `share` of the radius and of the random step."""
        return replace(self, eps=share * self.eps, random_step=share * self.random_step)

    def __call__(
        self,
        own: Source,
        images: torch.Tensor,
        labels: torch.Tensor,
        draws: torch.Generator,
        choice: torch.Generator,
    ) -> torch.Tensor:
        """As `Adversary`.

        Args:
            own: the net in training.
            images: float32 N x C x H x W on [0, 1].
            labels: int64 (N,).
            draws: on the CPU, for random starts.
            choice: on the CPU, for the source.

        Returns:
            float32 N x C x H x W on [0, 1], without a graph.
        """
        source = draw_source(own, self.others, choice)
        goal = _goal(source, images, labels, self.target)
        start = images
        if self.random_step:
            noise = _normal(images, draws).sign()
            start = (images + self.random_step * noise).clamp(0, 1)
        step = (self.eps - self.random_step) * input_gradient(source, start, goal).sign()
        return (start + step).clamp(0, 1)


@dataclass(frozen=True)
class PgdAdversary:
    """`steps` times: x + step_size sign(grad J(x)), back into the ball and [0, 1] (Madry et al.).

    Attributes:
        eps: radius in the maximum norm.
        alpha: weight of the clean images; Madry's 0 shows none.
        steps: how many.
        step_size: length of each.
        random_start: start from a uniform draw of the ball.
        target: ``label`` or ``predicted``.
        warmup: epochs over which it grows to its full radius.
    """

    eps: float
    step_size: float
    alpha: float = 0
    steps: int = 10
    random_start: bool = True
    target: Target = "label"
    warmup: float = 0

    def scaled(self, share: float) -> Self:
        """The same with `share` of the radius and of the step size."""
        return replace(self, eps=share * self.eps, step_size=share * self.step_size)

    def __call__(
        self,
        own: Source,
        images: torch.Tensor,
        labels: torch.Tensor,
        draws: torch.Generator,
        choice: torch.Generator,
    ) -> torch.Tensor:
        """As `Adversary`.

        Args:
            own: the net in training.
            images: float32 N x C x H x W on [0, 1].
            labels: int64 (N,).
            draws: on the CPU, for random starts.
            choice: on the CPU, for the source.

        Returns:
            float32 N x C x H x W on [0, 1], without a graph.
        """
        goal = _goal(own, images, labels, self.target)
        low, high = (images - self.eps).clamp(0, 1), (images + self.eps).clamp(0, 1)
        x = images
        if self.random_start:
            noise = torch.rand(images.shape, generator=draws, dtype=images.dtype)
            x = (images + self.eps * (2 * noise.to(images.device) - 1)).clamp(0, 1)
        for _ in range(self.steps):
            x = x + self.step_size * input_gradient(own, x, goal).sign()
            x = x.clamp(low, high)
        return x


def draw_source(own: Source, others: Sequence[Source], choice: torch.Generator) -> Source:
    """The net itself or one of `others`, all equally likely."""
    if not others:
        return own
    index = int(torch.randint(len(others) + 1, (), generator=choice))
    return own if index == 0 else others[index - 1]


def input_gradient(source: Source, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The gradient of the summed losses with respect to the images, float32 N x C x H x W.

    The gradients that the weights hold are not touched.

    Args:
        source: the net and its losses.
        images: float32 N x C x H x W on [0, 1].
        labels: int64 (N,).
    """
    with torch.enable_grad():
        asked = images.detach().requires_grad_(True)
        total = source.losses(source.net(asked), labels).sum()
        (gradient,) = torch.autograd.grad(total, asked)
    return gradient


def static_source(victim: Classifier) -> Source:
    """A loaded white box as a source: what is climbed is -log of its confidence in the label."""
    if victim.module is None:
        raise ValueError(f"{victim.name} has no module")

    def losses(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if victim.output == "log_probs":
            logs = outputs
        elif victim.output == "probs" or victim.link == "identity":
            logs = outputs.clamp_min(torch.finfo(outputs.dtype).tiny).log()
        elif victim.link == "sigmoid":
            logs = functional.logsigmoid(outputs)
        else:
            logs = outputs.log_softmax(-1)
        return -logs.gather(1, labels[:, None])[:, 0]

    return Source(victim.module, losses)


def _goal(
    source: Source, images: torch.Tensor, labels: torch.Tensor, target: Target
) -> torch.Tensor:
    if target == "label":
        return labels
    with torch.no_grad():
        outputs: torch.Tensor = source.net(images)
        return outputs.argmax(1)


def _normal(images: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    noise = torch.randn(images.shape, generator=draws, dtype=images.dtype)
    return noise.to(images.device)
