"""A small net for traffic signs: our own shape, fit for two cores."""

from __future__ import annotations

import torch
from torch import nn

from evofool.images import Shape


class SignNet(nn.Module):
    """Three times (conv 5 x 5, ReLU, max-pool 2) with 32, 64, 128 maps; 256; dropout .5; classes.

    No batch normalisation, so that adversarial training meets the same net in both its modes.

    Args:
        input_shape: channels, height and width; usually 3 x 32 x 32.
        n_classes: number of outputs; 43 in GTSRB.

    Raises:
        ValueError: an image shorter than 8 pixels.
    """

    def __init__(self, input_shape: Shape = (3, 32, 32), n_classes: int = 43) -> None:
        super().__init__()
        channels, height, width = input_shape
        if min(height, width) < 8:
            raise ValueError(f"a side of {min(height, width)} is too short for three halvings")
        self.conv1 = nn.Conv2d(channels, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 64, 5, padding=2)
        self.conv3 = nn.Conv2d(64, 128, 5, padding=2)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.5)
        self.fc1 = nn.Linear(128 * (height // 8) * (width // 8), 256)
        self.fc2 = nn.Linear(256, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W, normalised, to logits, N x classes."""
        hidden = images
        for conv in (self.conv1, self.conv2, self.conv3):
            hidden = self.pool(torch.relu(conv(hidden)))
        hidden = self.dropout(torch.relu(self.fc1(hidden.flatten(1))))
        logits: torch.Tensor = self.fc2(hidden)
        return logits
