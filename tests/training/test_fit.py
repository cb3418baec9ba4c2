"""`fit`: any module, any loss, in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from evofool.errors import UsageError
from evofool.training import (
    Diverged,
    FgsmAdversary,
    OptimiserConfig,
    PgdAdversary,
    Source,
    fit,
)
from evofool.training.batches import Batches
from evofool.training.fitting import Fitting

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 80).astype(np.int64)
IMAGES = RNG.uniform(0.1, 0.5, (80, 1, 4, 4)).astype(np.float32)
IMAGES[LABELS == 0, :, :, :2] += 0.4
IMAGES[LABELS == 1, :, :, 2:] += 0.4


def small(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 2)
    )


def accuracy(net: nn.Module, images: np.ndarray = IMAGES) -> float:
    with torch.no_grad():
        return float((net(torch.from_numpy(images)).argmax(1).numpy() == LABELS).mean())


RATE = OptimiserConfig(name="adam", lr=0.03, weight_decay=0)


@pytest.mark.parametrize(
    "adversary",
    [
        None,
        FgsmAdversary(0.05),
        FgsmAdversary(0.05, alpha=0, random_step=0.02),
        PgdAdversary(0.05, step_size=0.02, steps=3),
    ],
)
def test_the_loss_goes_down(adversary: FgsmAdversary | PgdAdversary | None) -> None:
    net = small().eval()
    losses: list[float] = []
    fit(
        net,
        IMAGES,
        LABELS,
        epochs=8,
        batch=16,
        optimiser=RATE,
        adversary=adversary,
        on_epoch=lambda epoch, loss: losses.append(loss),
    )
    assert len(losses) == 8
    assert losses[-1] < 0.6 * losses[0]
    assert accuracy(net) > 0.9
    assert not net.training  # the mode it came in


def test_adversarial_training_helps_against_its_adversary() -> None:
    torch.manual_seed(0)
    plain, hard = (nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval() for _ in range(2))
    # one pixel is a sign of the class that no eps of .25 hides; fifteen together seem a surer one
    images = np.empty_like(IMAGES)
    side = (2 * LABELS[:, None, None, None] - 1).astype(np.float32)
    images[:] = 0.5 + 0.1 * side
    images[:, :, :1, :1] = 0.5 + 0.45 * side
    adversary = PgdAdversary(0.25, step_size=0.1, steps=4)
    for net, against in ((plain, None), (hard, adversary)):
        fit(net, images, LABELS, epochs=20, batch=16, optimiser=RATE, adversary=against)

    def kept(net: nn.Module) -> float:
        draws = torch.Generator().manual_seed(0)
        x, y = torch.from_numpy(images), torch.from_numpy(LABELS)
        found = adversary(Source(net), x, y, draws, draws)
        return float((net(found).argmax(1) == y).float().mean())

    assert kept(plain) < 0.7  # at best the class there is more of
    assert kept(hard) > 0.9


def test_alpha_weighs_clean_against_adversarial() -> None:
    """One step of plain SGD on a linear net moves it by the hand-worked gradient."""
    alpha, rate, eps = 0.3, 0.5, 0.1
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double().eval()
    w = net[1].weight.detach().numpy().copy()
    b = net[1].bias.detach().numpy().copy()
    clean = IMAGES.reshape(80, -1).astype(np.float64)

    def slopes(x: np.ndarray) -> np.ndarray:
        z = x @ w.T + b
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        p[np.arange(80), LABELS] -= 1
        return p

    crafted = np.clip(clean + eps * np.sign(slopes(clean) @ w), 0, 1)
    wanted = w - rate / 80 * (
        alpha * slopes(clean).T @ clean + (1 - alpha) * slopes(crafted).T @ crafted
    )

    class InDouble(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.net(images.double())
            return found

    optimiser = OptimiserConfig(lr=rate, momentum=0, weight_decay=0, schedule="constant")
    adversary = FgsmAdversary(eps, alpha=alpha)
    fit(InDouble(), IMAGES, LABELS, epochs=1, batch=80, optimiser=optimiser, adversary=adversary)
    assert np.allclose(net[1].weight.detach().numpy(), wanted, atol=1e-6)


def test_any_loss_and_any_labels() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    targets = IMAGES.reshape(80, -1)[:, :3]

    def squares(outputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return ((outputs - wanted) ** 2).sum(1)

    losses: list[float] = []
    fit(
        net,
        IMAGES,
        targets,
        epochs=10,
        batch=16,
        optimiser=OptimiserConfig(lr=0.02),
        loss=squares,
        on_epoch=lambda _, loss: losses.append(loss),
    )
    assert losses[-1] < 0.5 * losses[0]


def test_the_seed_decides() -> None:
    def weights(seed: int) -> torch.Tensor:
        net = small()
        adversary = PgdAdversary(0.05, step_size=0.02, steps=2)
        fit(net, IMAGES, LABELS, epochs=2, batch=16, seed=seed, adversary=adversary, shift=1)
        return net[1].weight.detach().clone()

    state = torch.get_rng_state()
    first = weights(1)
    torch.rand(3)
    assert torch.equal(weights(1), first)
    assert not torch.equal(weights(2), first)
    torch.set_rng_state(state)


def test_the_global_generator_is_left_alone() -> None:
    net = small()
    state = torch.get_rng_state()
    fit(net, IMAGES, LABELS, epochs=1, batch=16)
    assert torch.equal(torch.get_rng_state(), state)


def test_adversaries_are_made_in_evaluation_mode() -> None:
    net = small()
    seen: list[bool] = []

    class Spy(PgdAdversary):
        def __call__(self, own, images, labels, draws, choice):  # type: ignore[no-untyped-def]
            seen.append(net.training)
            return super().__call__(own, images, labels, draws, choice)

    net[3].eval()  # a part that its owner keeps so is kept so
    fit(net, IMAGES, LABELS, epochs=1, batch=40, adversary=Spy(0.1, step_size=0.1, steps=1))
    assert seen == [False, False]
    assert net.training
    assert not net[3].training


def test_frozen_weights_stay() -> None:
    net = small()
    net[1].requires_grad_(False)
    before = [net[1].weight.clone(), net[4].weight.detach().clone()]
    fit(net, IMAGES, LABELS, epochs=1, batch=16)
    assert torch.equal(net[1].weight, before[0])
    assert not torch.equal(net[4].weight, before[1])


def test_a_state_can_be_gone_back_to() -> None:
    def fitting(net: nn.Module) -> Fitting:
        batches = Batches(IMAGES, LABELS, 16, 1, 1, True)
        return Fitting(net, batches, epochs=3, optimiser=OptimiserConfig(name="adam"), seed=1)

    whole = fitting(small())
    kept: dict[int, dict[str, torch.Tensor]] = {}
    whole.run(lambda step: kept.setdefault(step.step, whole.state()))  # type: ignore[func-returns-value]
    for done in (3, 5, 14):  # within an epoch, at the end of one, before the last step
        other = fitting(small(seed=7))
        other.restore(done, kept[done])
        other.run()
        for name, value in whole.state().items():
            assert torch.equal(other.state()[name], value), (done, name)
    with pytest.raises(ValueError, match="of another kind or shape"):
        fitting(nn.Sequential(nn.Flatten(), nn.Linear(16, 2))).restore(3, kept[3])


def test_a_loss_that_is_no_number() -> None:
    net = small()
    images = IMAGES.copy()
    images[3] = np.nan
    with pytest.raises(Diverged, match=r"the loss is nan at step \d \(epoch 1\)"):
        fit(net, images, LABELS, epochs=1, batch=16)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[:0], LABELS[:0], "N x C x H x W"),
        (IMAGES[:, 0], LABELS, "N x C x H x W"),
        (IMAGES, LABELS[:5], "80 images but 5 labels"),
    ],
)
def test_bad_data(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit(small(), images, labels, epochs=1)


def test_a_warmup_grows_to_the_full_radius() -> None:
    reached: list[float] = []

    class Spy(FgsmAdversary):
        def __call__(self, own, images, labels, draws, choice):  # type: ignore[no-untyped-def]
            reached.append(self.eps)
            return super().__call__(own, images, labels, draws, choice)

    fit(small(), IMAGES, LABELS, epochs=3, batch=40, adversary=Spy(0.2, warmup=2))
    assert reached == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.2])
