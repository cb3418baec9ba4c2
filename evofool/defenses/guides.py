"""What a denoiser is trained to bring back: the four losses of HGD over a frozen net."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import torch
from torch import nn

from evofool.classifiers import Classifier
from evofool.errors import UsageError

Guide: TypeAlias = Literal["logits", "feature", "pixel", "class"]
GUIDES: tuple[Guide, ...] = get_args(Guide)
Distance: TypeAlias = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""From n denoised and n clean pictures (float32 n x C x H x W on [0, 1]) and their labels (int64
(n,)) to n losses."""


def guide_loss(guide: Guide, base: Classifier, net: nn.Module) -> Distance:
    """A loss of Liao et al., CVPR 2018, section 3.2 (their names in brackets).

    With x the clean picture and x' the denoised one, ``pixel`` (PGD): |x' - x|; ``feature`` (FGD):
    the same of the features of the net's last convolution; ``logits`` (LGD): of its logits;
    ``class`` (CGD): the cross entropy of its answer to x' with the true label. Differences are
    means of absolute values, so that all sizes have one scale.

    Args:
        guide: which.
        base: the net's victim, for what it gives.
        net: its module, in evaluation mode; its weights get no gradients.

    Raises:
        UsageError: the net has no logits, or no convolution.
    """
    if guide == "pixel":
        return lambda denoised, clean, _: _apart(denoised, clean)
    if guide == "feature":
        features = Features(net, base)
        return _of(features)
    if base.output not in ("logits", "log_probs") or base.link != "softmax":
        raise UsageError(
            f"denoiser: loss {guide} needs softmax logits, but {base.name} gives {base.output}"
            f" with link {base.link}; use loss: pixel or feature"
        )
    if guide == "logits":
        return _of(net)
    return lambda denoised, _, labels: nn.functional.cross_entropy(
        net(denoised), labels, reduction="none"
    )


class Features:
    """The outputs of a net's last convolution, in the order in which a picture passes them.

    Args:
        net: in evaluation mode.
        base: its victim.

    Raises:
        UsageError: no picture passes a convolution.
    """

    def __init__(self, net: nn.Module, base: Classifier) -> None:
        self._net = net
        seen: list[nn.Module] = []
        # registration says nothing of order: look where a picture goes
        handles = [
            part.register_forward_hook(lambda part, *_: seen.append(part))
            for part in net.modules()
            if isinstance(part, nn.Conv2d)
        ]
        try:
            weight = next(net.parameters(), torch.zeros(()))
            with torch.no_grad():
                net(torch.zeros(1, *base.input_shape, device=weight.device))
        finally:
            for handle in handles:
                handle.remove()
        if not seen:
            raise UsageError(
                f"denoiser: loss feature needs a convolution, but {base.name} has none; use"
                " loss: logits, pixel or class"
            )
        self._last = seen[-1]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to the feature maps, N x c x h x w."""
        features: list[torch.Tensor] = []
        handle = self._last.register_forward_hook(lambda _, __, maps: features.append(maps))
        try:
            self._net(images)
        finally:
            handle.remove()
        return features[-1]


def _of(features: Callable[[torch.Tensor], torch.Tensor]) -> Distance:
    def distance(denoised: torch.Tensor, clean: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            wanted = features(clean)
        return _apart(features(denoised), wanted)

    return distance


def _apart(actual: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return (actual - wanted).abs().flatten(1).mean(1)
