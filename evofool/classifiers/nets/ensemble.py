"""The nets of an ensemble as one module: a picture in, combined log-odds out, with gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evofool.classifiers.base import Classifier, Link, Output
from evofool.images import Shape

_GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey, those of ITU-R 601-2, as Pillow has them."""


class EnsembleModule(nn.Module):
    """float32 N x C x H x W on [0, 1] to N x classes log-odds, float64.

    Args:
        classifier: the ensemble, whose members all have modules.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        ensemble = classifier.ensemble
        assert ensemble is not None
        self.nets = nn.ModuleList(m.module for m in ensemble.members if m.module is not None)
        self._shapes = tuple(m.input_shape for m in ensemble.members)
        self._kinds: tuple[tuple[Output, Link], ...] = tuple(
            (m.output, m.link) for m in ensemble.members
        )
        self._classes = ensemble.classes
        self._rule = ensemble.rule

    def forward(self, images: Tensor) -> Tensor:
        """The log-odds of `images`, float32 N x C x H x W on [0, 1], as float64 N x classes."""
        parts = []
        for k, net in enumerate(self.nets):
            outputs = net(fitted_tensor(images, self._shapes[k]).clone())
            own = torch.tensor(self._classes[k], device=outputs.device)
            parts.append(tensor_log_odds(outputs, *self._kinds[k])[:, own])
        stacked = torch.stack(parts)
        return stacked.amin(0) if self._rule == "least" else stacked.mean(0)


def fitted_tensor(images: Tensor, shape: Shape) -> Tensor:
    """Pictures as inputs of another shape, as `evofool.classifiers.pictures.fitted` makes them.

    Gradients pass through the resizing; the rounding to 8 bits is left out of them. A level may
    differ by one from Pillow's, which computes in whole numbers.

    Args:
        images: floating N x C x H x W on [0, 1].
        shape: C' x H' x W', the input that is just covered.

    Returns:
        floating N x C' x H' x W'.
    """
    channels, height, width = shape
    if images.shape[1] == 3 and channels == 1:
        weights = images.new_tensor(_GREY).view(1, 3, 1, 1)
        images = _rounded((images * weights).sum(1, keepdim=True))
    elif images.shape[1] == 1 and channels == 3:
        images = images.expand(-1, 3, -1, -1)
    rows, columns = images.shape[2:]
    if (rows, columns) == (height, width):
        return images
    if width * rows >= height * columns:
        size = (max(height, int(width * rows / columns)), width)
    else:
        size = (height, max(width, int(height * columns / rows)))
    for step in ((rows, size[1]), size):  # across, then down: Pillow rounds after each
        if tuple(images.shape[2:]) != step:
            images = _rounded(
                nn.functional.interpolate(images, size=step, mode="bicubic", antialias=True)
            )
    top, left = round((size[0] - height) / 2), round((size[1] - width) / 2)
    return images[..., top : top + height, left : left + width]


def tensor_log_odds(outputs: Tensor, output: Output, link: Link) -> Tensor:
    """Log-odds of a net's outputs, as `evofool.scoring.ranking.to_scores`, with gradients.

    Args:
        outputs: floating N x classes.
        output: what they are.
        link: what turns them into confidences.

    Returns:
        float64 N x classes.
    """
    z = outputs.double()
    if output == "log_probs" and link == "identity":
        logs = z.clamp(max=-torch.finfo(z.dtype).tiny)
        return logs - (-torch.expm1(logs)).log()
    if output in ("probs", "topk") or link == "identity":
        p = z.clamp(torch.finfo(z.dtype).tiny, 1 - torch.finfo(z.dtype).eps)
        return p.log() - torch.log1p(-p)
    if link == "sigmoid":
        return z
    return _softmax_log_odds(z)


def _softmax_log_odds(z: Tensor) -> Tensor:
    """z_c - logsumexp over the others; the largest class has its rest summed without it."""
    top = z.argmax(-1, keepdim=True)
    largest = z.gather(-1, top)
    leads = torch.zeros_like(z, dtype=torch.bool).scatter(-1, top, True)
    of_largest = largest - z.masked_fill(leads, float("-inf")).logsumexp(-1, keepdim=True)
    scaled = (z - largest).exp()
    rest = scaled.sum(-1, keepdim=True) - scaled
    of_others = z - largest - rest.masked_fill(leads, 1.0).log()
    return torch.where(leads, of_largest, of_others)


def _rounded(images: Tensor) -> Tensor:
    """Cut to [0, 1] and on the 8-bit lattice, with the gradient of what was not rounded."""
    images = images.clamp(0, 1)
    return images + ((images.detach() * 255).round() / 255 - images.detach())
