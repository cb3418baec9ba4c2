"""Random views of training images, one cycle of the rate, smoothed labels, 16-bit weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from evofool.training import OptimiserConfig, TrainConfig
from evofool.training.augmenting import AugmentConfig, draw_views, viewed
from evofool.training.batches import Batches
from evofool.training.fitting import one_cycle
from evofool.training.losses import cross_entropy, smoothed
from evofool.training.optimising import Optimiser
from evofool.training.weights import round_weights

IMAGES = np.random.default_rng(1).random((6, 3, 16, 16)).astype(np.float32)
ALL = AugmentConfig(rotation=20, scale=0.2, shear=10, move=0.1, brightness=0.5, contrast=0.5)


def test_a_view_without_change_is_the_image() -> None:
    still = viewed(IMAGES, ALL, np.zeros((6, 8)))
    np.testing.assert_allclose(still, IMAGES, atol=1e-5)


def test_a_quarter_turn_and_a_move() -> None:
    draws = np.zeros((6, 8))
    draws[:, 0] = 1
    turned = viewed(IMAGES, AugmentConfig(rotation=90), draws)
    np.testing.assert_allclose(turned, np.rot90(IMAGES, 1, (2, 3)), atol=1e-5)
    draws = np.zeros((6, 8))
    draws[:, 3] = 1
    moved = viewed(IMAGES, AugmentConfig(move=0.25), draws)
    np.testing.assert_allclose(moved[..., :12], IMAGES[..., 4:], atol=1e-5)
    np.testing.assert_allclose(moved[..., 12:], IMAGES[..., -1:].repeat(4, -1), atol=1e-5)


def test_light_multiplies_and_stays_in_range() -> None:
    draws = np.zeros((6, 8))
    draws[:, 5] = -1
    dim = viewed(IMAGES, AugmentConfig(brightness=1), draws)
    np.testing.assert_allclose(dim, IMAGES / 2, atol=1e-6)
    wild = viewed(IMAGES, ALL, draw_views(6, np.random.default_rng(3)))
    assert wild.dtype == np.float32
    assert 0 <= wild.min() <= wild.max() <= 1


def test_views_of_an_epoch_depend_on_seed_and_epoch_alone() -> None:
    batches = Batches(IMAGES, np.arange(6), 2, seed=3, augment=ALL)
    whole = [images for images, _ in batches.epoch(2)]
    resumed = [images for images, _ in batches.epoch(2, skip=2)]
    np.testing.assert_array_equal(resumed[0], whole[2])
    other = [images for images, _ in batches.epoch(3)]
    assert not np.array_equal(other[0], whole[0])


def test_one_cycle_rises_and_falls_to_nothing() -> None:
    shares = np.linspace(0, 1, 101)
    rates = np.array([one_cycle(share) for share in shares])
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[30] == pytest.approx(1) == rates.max()
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:]) < 0).all()


def test_adamw_lets_weights_decay_without_gradients() -> None:
    net = nn.Linear(3, 2, bias=False)
    before = net.weight.detach().clone()
    config = OptimiserConfig(name="adamw", lr=0.1, weight_decay=0.5)
    net.weight.grad = torch.zeros_like(net.weight)
    Optimiser(net.parameters(), config).step()
    torch.testing.assert_close(net.weight.detach(), before * (1 - 0.1 * 0.5))


def test_smoothed_labels() -> None:
    outputs = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 3, 0])
    each = outputs.log_softmax(1)
    wanted = 0.8 * cross_entropy(outputs, labels) + 0.2 * -each.mean(1)
    torch.testing.assert_close(smoothed(0.2)(outputs, labels), wanted)
    with pytest.raises(ValueError, match="between 0 and 1"):
        smoothed(1.0)


def test_rounded_weights_are_what_16_bits_hold() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    round_weights(net)
    for value in net.state_dict().values():
        if value.is_floating_point():
            assert value.dtype == torch.float32
            assert torch.equal(value, value.half().float())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 0.1, "loss": "sigmoid"}, "smoothing works only with cross-entropy"),
        ({"smoothing": 1}, "less than 1"),
        ({"augment": {"rotation": 500}}, "180"),
        ({"augment": {"noise": 1}}, "Extra inputs"),
        (
            {"augment": {"rotation": 5}, "architecture": "hog"},
            "augment does not work with features",
        ),
        ({"stored": "int8"}, "float16"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainConfig.model_validate({"name": "n", "dataset": "gtsrb", "epochs": 1, **options})
