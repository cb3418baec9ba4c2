"""ResNet-20 for small pictures (He et al., CVPR 2016, 1512.03385, section 4.2)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from evofool.images import Shape


class ResNet20(nn.Module):
    """conv 16 x 3 x 3, three stages of three blocks with 16, 32, 64 maps, mean, classes.

    Shortcuts that change size take every second pixel and add empty maps (the paper's option A),
    so they have no weights. Names of the weights are those of the usual CIFAR-10 checkpoints.

    Args:
        input_shape: channels, height and width; 3 x 32 x 32 in the original.
        n_classes: number of outputs.

    Raises:
        ValueError: an image shorter than 4 pixels.
    """

    def __init__(self, input_shape: Shape = (3, 32, 32), n_classes: int = 10) -> None:
        super().__init__()
        channels, height, width = input_shape
        if min(height, width) < 4:
            raise ValueError(f"a side of {min(height, width)} is too short; at least 4 are needed")
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16)
        self.layer2 = _stage(16, 32)
        self.layer3 = _stage(32, 64)
        self.linear = nn.Linear(64, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W, normalised, to logits, N x classes."""
        hidden = torch.relu(self.bn1(self.conv1(images)))
        hidden = self.layer3(self.layer2(self.layer1(hidden)))
        logits: torch.Tensor = self.linear(hidden.mean((2, 3)))
        return logits


class _Block(nn.Module):
    def __init__(self, maps_in: int, maps_out: int) -> None:
        super().__init__()
        self.stride = maps_out // maps_in
        self.added = (maps_out - maps_in) // 2
        self.conv1 = nn.Conv2d(maps_in, maps_out, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(maps_out)
        self.conv2 = nn.Conv2d(maps_out, maps_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps_out)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        shortcut = maps
        if self.added:
            thinned = maps[:, :, :: self.stride, :: self.stride]
            shortcut = functional.pad(thinned, (0, 0, 0, 0, self.added, self.added))
        hidden = torch.relu(self.bn1(self.conv1(maps)))
        return torch.relu(self.bn2(self.conv2(hidden)) + shortcut)


def _stage(maps_in: int, maps_out: int) -> nn.Sequential:
    return nn.Sequential(
        _Block(maps_in, maps_out), _Block(maps_out, maps_out), _Block(maps_out, maps_out)
    )
