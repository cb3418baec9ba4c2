"""A CLIP as a classifier: how close a picture is to the text of each class."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class ZeroShot(nn.Module):
    """Logits s cos(f(x), t_c) + b of an image encoder f and the text t_c of each class c.

    Radford et al. 2021, section 3.1.4.

    Args:
        visual: float32 N x C x H x W, normalised, to features N x d (or a tuple that begins so).
        text: of each class, of length 1, classes x d.
        scale: s, what a CLIP calls ``logit_scale.exp()``.
        bias: b, 0 of most.
    """

    text: torch.Tensor
    """float32 classes x d."""
    scale: torch.Tensor
    """float32 scalar."""
    bias: torch.Tensor
    """float32 scalar."""

    def __init__(self, visual: nn.Module, text: torch.Tensor, scale: float, bias: float) -> None:
        super().__init__()
        self.visual = visual
        self.register_buffer("text", text)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("bias", torch.tensor(bias, dtype=torch.float32))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W, normalised, to logits, N x classes."""
        features = self.visual(images)
        if isinstance(features, tuple):
            features = features[0]
        logits: torch.Tensor = functional.normalize(features, dim=-1) @ self.text.T
        return logits * self.scale + self.bias
