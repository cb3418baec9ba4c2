"""The denoiser's U-net: shapes of any size, and nothing changed before training."""

from __future__ import annotations

import pytest
import torch

from evofool.defenses.unet import BLOCKS, CHANNELS, Denoised, UNet
from evofool.errors import UsageError


@pytest.mark.parametrize(
    ("shape", "levels"),
    [((1, 28, 28), 4), ((3, 32, 32), 5), ((1, 29, 37), 3), ((3, 45, 28), 4), ((1, 31, 28), 2)],
)
def test_pictures_keep_their_size(shape: tuple[int, int, int], levels: int) -> None:
    net = UNet(shape, width=2, levels=levels)
    images = torch.rand(2, *shape)
    assert torch.equal(net(images), images)  # the last layer starts at zero
    with torch.no_grad():
        assert net.noise.bias is not None
        net.noise.bias.fill_(0.25)
    assert torch.allclose(net(images), images - 0.25)


def test_channels_and_blocks_are_the_papers() -> None:
    net = UNet((3, 32, 32))
    widths = [level[0].out_channels for level in net.down]  # type: ignore[index]
    assert widths == [64, 128, 256, 256, 256]
    blocks = [
        sum(isinstance(part, torch.nn.Conv2d) for part in level)  # type: ignore[arg-type]
        for level in net.down
    ]
    assert tuple(blocks) == BLOCKS
    assert len(net.up) == len(CHANNELS) - 1


def test_every_level_is_used_and_gradients_reach_the_picture() -> None:
    net = UNet((1, 28, 28), width=2, levels=4)
    torch.nn.init.normal_(net.noise.weight)
    whole = Denoised(net, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 3)))
    images = torch.rand(4, 1, 28, 28, requires_grad=True)
    outputs = whole(images)
    assert outputs.shape == (4, 3)
    outputs.square().sum().backward()
    assert images.grad is not None
    assert bool(images.grad.any())
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        assert bool(weight.grad.any()) or name.endswith("bias"), name


@pytest.mark.parametrize(
    ("shape", "width", "levels", "message"),
    [
        ((1, 27, 28), 8, 3, "too small; each side needs at least 28"),
        ((1, 28, 28), 0, 3, "width"),
        ((1, 28, 28), 8, 6, "levels must be 2 to 5"),
        ((1, 28, 28), 8, 1, "levels must be 2 to 5"),
    ],
)
def test_what_cannot_be_built(
    shape: tuple[int, int, int], width: int, levels: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        UNet(shape, width, levels)
