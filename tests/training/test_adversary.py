"""Adversaries held to hand-worked gradients of a linear net, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from evofool.classifiers import from_module
from evofool.training.adversary import (
    FgsmAdversary,
    PgdAdversary,
    Source,
    cross_entropy,
    draw_source,
    input_gradient,
    static_source,
)

EPS = 0.1


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Linear(nn.Module):
    """W x + b with three classes on 1 x 2 x 2 pictures, float64."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.w = nn.Parameter(torch.from_numpy(rng.normal(size=(3, 4))))
        self.b = nn.Parameter(torch.from_numpy(rng.normal(size=3)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.w.T + self.b


@pytest.fixture
def net() -> Linear:
    return Linear()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).uniform(0, 1, (5, 1, 2, 2)))


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.tensor([0, 1, 2, 0, 1])


def oracle(net: Linear, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """d(-log softmax(W x + b)_y) / dx = W^T (p - onehot(y)), by hand."""
    w, b = net.w.detach().numpy(), net.b.detach().numpy()
    z = images.reshape(len(images), -1) @ w.T + b
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    return (p @ w).reshape(images.shape)


def test_the_gradient_is_the_oracles(
    net: Linear, images: torch.Tensor, labels: torch.Tensor
) -> None:
    found = input_gradient(Source(net), images, labels).numpy()
    assert np.allclose(found, oracle(net, images.numpy(), labels.numpy()), atol=1e-12)
    assert net.w.grad is None


def test_fgsm(net: Linear, images: torch.Tensor, labels: torch.Tensor) -> None:
    found = FgsmAdversary(EPS)(Source(net), images, labels, draws(), draws()).numpy()
    clean = images.numpy()
    step = EPS * np.sign(oracle(net, clean, labels.numpy()))
    assert np.allclose(found, np.clip(clean + step, 0, 1), atol=1e-12)


def test_fgsm_on_what_is_predicted(net: Linear, images: torch.Tensor) -> None:
    clean = images.numpy()
    said = net(images).detach().numpy().argmax(1)
    wrong = torch.from_numpy((said + 1) % 3)
    adversary = FgsmAdversary(EPS, target="predicted")
    found = adversary(Source(net), images, wrong, draws(), draws()).numpy()
    expected = np.clip(clean + EPS * np.sign(oracle(net, clean, said)), 0, 1)
    assert np.allclose(found, expected, atol=1e-12)


def test_r_fgsm(net: Linear, images: torch.Tensor, labels: torch.Tensor) -> None:
    adversary = FgsmAdversary(EPS, random_step=0.04)
    found = adversary(Source(net), images, labels, draws(3), draws()).numpy()
    clean = images.numpy()
    noise = torch.randn(images.shape, generator=draws(3), dtype=torch.float64).numpy()
    start = np.clip(clean + 0.04 * np.sign(noise), 0, 1)
    step = 0.06 * np.sign(oracle(net, start, labels.numpy()))
    assert np.allclose(found, np.clip(start + step, 0, 1), atol=1e-12)
    assert np.abs(found - clean).max() <= EPS + 1e-12


@pytest.mark.parametrize("size", [0.03, 0.5])
def test_one_step_of_pgd(
    net: Linear, images: torch.Tensor, labels: torch.Tensor, size: float
) -> None:
    adversary = PgdAdversary(EPS, step_size=size, steps=1)
    found = adversary(Source(net), images, labels, draws(4), draws()).numpy()
    clean = images.numpy()
    noise = torch.rand(images.shape, generator=draws(4), dtype=torch.float64).numpy()
    start = np.clip(clean + EPS * (2 * noise - 1), 0, 1)
    moved = start + size * np.sign(oracle(net, start, labels.numpy()))
    expected = np.clip(np.clip(moved, clean - EPS, clean + EPS), 0, 1)
    assert np.allclose(found, expected, atol=1e-12)


def test_many_steps_climb_and_stay_in_the_ball(
    net: Linear, images: torch.Tensor, labels: torch.Tensor
) -> None:
    adversary = PgdAdversary(EPS, step_size=0.02, steps=20, random_start=False)
    found = adversary(Source(net), images, labels, draws(), draws())
    assert float((found - images).abs().max()) <= EPS + 1e-12
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert (cross_entropy(net(found), labels) > cross_entropy(net(images), labels)).all()


def test_the_loss_of_the_training_is_what_is_climbed(
    net: Linear, images: torch.Tensor, labels: torch.Tensor
) -> None:
    def falling(outputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return -cross_entropy(outputs, wanted)

    found = FgsmAdversary(EPS)(Source(net, falling), images, labels, draws(), draws())
    assert (cross_entropy(net(found), labels) < cross_entropy(net(images), labels)).all()


def test_an_ensemble_draws_all_its_sources_by_seed() -> None:
    own, others = Source(Linear(0)), tuple(Source(Linear(seed)) for seed in (1, 2))
    drawn = [draw_source(own, others, draws(seed)) for seed in range(300)]
    again = [draw_source(own, others, draws(seed)) for seed in range(300)]
    assert drawn == again
    for source in (own, *others):
        assert 60 < sum(found is source for found in drawn) < 140
    assert draw_source(own, (), draws()) is own


def test_an_ensemble_crafts_on_the_drawn_source(
    net: Linear, images: torch.Tensor, labels: torch.Tensor
) -> None:
    other = Linear(9)
    adversary = FgsmAdversary(EPS, others=(Source(other),))
    crafted = [
        adversary(Source(net), images, labels, draws(), draws(seed)).numpy() for seed in range(20)
    ]
    clean = images.numpy()
    expected = [
        np.clip(clean + EPS * np.sign(oracle(source, clean, labels.numpy())), 0, 1)
        for source in (net, other)
    ]
    matches = [[np.allclose(one, found) for found in expected] for one in crafted]
    assert all(sum(row) == 1 for row in matches)
    assert {row.index(True) for row in matches} == {0, 1}


@pytest.mark.parametrize(("output", "link"), [("logits", "sigmoid"), ("probs", None)])
def test_static_sources_give_minus_log_confidence(output: str, link: str | None) -> None:
    class Outputs(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            p = images.flatten(1)[:, :2].softmax(1)
            return p if output == "probs" else p.logit()

    victim = from_module(Outputs(), input_shape=(1, 2, 2), output=output, link=link)  # type: ignore[arg-type]
    images = torch.rand(4, 1, 2, 2)
    source = static_source(victim)
    labels = torch.tensor([0, 1, 1, 0])
    p = images.flatten(1)[:, :2].softmax(1)[torch.arange(4), labels]
    assert torch.allclose(source.losses(source.net(images), labels), -p.log(), atol=1e-5)


def test_a_share_of_an_adversary_goes_a_share_as_far() -> None:
    pgd = PgdAdversary(0.2, step_size=0.1, steps=3, warmup=2).scaled(0.25)
    assert (pgd.eps, pgd.step_size, pgd.steps) == (0.05, 0.025, 3)
    fgsm = FgsmAdversary(0.2, random_step=0.1).scaled(0.5)
    assert (fgsm.eps, fgsm.random_step) == (0.1, 0.05)
