"""The active-set loop and what runs on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from evofool.attacks import IFGSM, MIFGSM, PGD, IterLL
from evofool.attacks.gradient.iterative import _Iterative
from evofool.classifiers import Classifier, from_module
from evofool.images import to_float
from evofool.scoring import Scorer

MakeScorer = Callable[..., Scorer]
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
EPS = 24 / 255


def textbook(
    net: nn.Module, images: Images, labels: Labels, steps: int, size: float, eps: float
) -> NDArray[np.float32]:
    """PGD as it is written, in plain torch."""
    start = torch.from_numpy(to_float(images))
    x = start.clone()
    for _ in range(steps):
        x.requires_grad_(True)
        loss = functional.cross_entropy(net(x), torch.from_numpy(labels), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        x = (x.detach() + size * gradient.sign() - start).clamp(-eps, eps) + start
        x = x.clamp(0, 1)
    return x.numpy()


@pytest.mark.parametrize("steps", [1, 7])
def test_all_steps_are_the_textbook(
    net: nn.Module,
    victim: Classifier,
    images: Images,
    labels: Labels,
    make_scorer: MakeScorer,
    steps: int,
) -> None:
    expected = textbook(net, images, labels, steps, 5 / 255, EPS)
    scorer = make_scorer(victim, batch=3)
    for kind in (PGD, IFGSM):
        attack = kind(eps=EPS, step_size=5 / 255, steps=steps, early_stop=False)
        result = attack(scorer, images, labels)
        assert result.images_float == pytest.approx(expected, abs=1e-6)
        assert result.forward_images == result.backward_images == 11 * steps


def test_momentum_of_zero_is_no_momentum(
    victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer
) -> None:
    scorer = make_scorer(victim)
    options = {"eps": EPS, "step_size": 5 / 255, "steps": 6, "early_stop": False}
    plain = IFGSM(**options)(scorer, images, labels)  # type: ignore[arg-type]
    none = MIFGSM(decay=0, **options)(scorer, images, labels)  # type: ignore[arg-type]
    some = MIFGSM(decay=1, **options)(scorer, images, labels)  # type: ignore[arg-type]
    assert np.array_equal(plain.images_float, none.images_float)
    assert not np.array_equal(plain.images_float, some.images_float)


def test_a_fooled_image_leaves_before_its_backward_pass(
    victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer
) -> None:
    scorer = make_scorer(victim, batch=4)
    whole = PGD(eps=EPS, step_size=1 / 255, steps=24, early_stop=False)(scorer, images, labels)
    result = PGD(eps=EPS, step_size=1 / 255, steps=24)(scorer, images, labels)
    assert result.success.any()
    assert np.array_equal(result.success, whole.success)
    fooled = result.success & (result.backward_each < 24)
    assert fooled.any()
    # one forward pass more than backward passes: the one that saw it fool
    assert np.array_equal(result.forward_each[fooled], result.backward_each[fooled] + 1)
    # as many levels as steps: it did not go farther than it had to
    assert np.rint(result.norms.linf * 255)[fooled] == pytest.approx(result.backward_each[fooled])
    assert (result.norms.linf[fooled] < whole.norms.linf[fooled]).all()


def test_counts_are_the_scorers(
    victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer
) -> None:
    scorer = make_scorer(victim, batch=3)
    result = PGD(eps=EPS, step_size=2 / 255, steps=9, restarts=3)(scorer, images, labels)
    assert scorer.backward_images == result.backward_images
    assert scorer.forward_images == result.forward_images + result.verify_forward_images


def test_images_that_are_wrong_already_are_left_alone(
    victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer
) -> None:
    result = PGD(eps=EPS)(make_scorer(victim), images, (labels + 1) % 5)
    assert result.success.all()
    assert np.array_equal(result.pixels, images)
    assert (result.forward_images, result.backward_images) == (11, 0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("targeted", [False, True])
def test_pgd_stays_in_its_ball_and_does_not_depend_on_batches(
    victim: Classifier,
    images: Images,
    labels: Labels,
    make_scorer: MakeScorer,
    norm: str,
    targeted: bool,
) -> None:
    eps = 0.08 if norm == "linf" else 0.4
    attack = PGD(eps=eps, step_size=eps / 4, steps=12, norm=norm, random_start=True, restarts=2)  # type: ignore[arg-type]
    aim = {"targets": (labels + 2) % 5} if targeted else {"labels": labels}
    result = attack(make_scorer(victim, batch=4), images, **aim)
    assert getattr(result.norms, norm).max() <= eps * (1 + 1e-6)
    assert getattr(result.norms_float, norm).max() <= eps * (1 + 1e-5)
    parts = [
        attack(
            make_scorer(victim, batch=1),
            images[i : i + 3],
            ids=np.arange(11)[i : i + 3],
            **{k: v[i : i + 3] for k, v in aim.items()},
        )
        for i in range(0, 11, 3)
    ]
    assert np.array_equal(np.concatenate([p.success for p in parts]), result.success)
    alone = np.concatenate([p.images_float for p in parts])
    assert (np.abs(alone - result.images_float) < 1e-5).mean() > 0.99


def test_restarts_are_for_what_is_not_fooled(
    victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer
) -> None:
    scorer = make_scorer(victim)
    once = PGD(eps=0.03, step_size=0.004, steps=10)(scorer, images, labels)
    more = PGD(eps=0.03, step_size=0.004, steps=10, restarts=4)(scorer, images, labels)
    assert not once.success.all()
    assert (more.success >= once.success).all()
    assert np.array_equal(more.pixels[once.success], once.pixels[once.success])
    again = ~once.success
    assert (more.backward_each[again] > once.backward_each[again]).all()


def test_iter_ll_keeps_its_first_choice(
    net: nn.Module, victim: Classifier, images: Images, labels: Labels, make_scorer: MakeScorer
) -> None:
    start = torch.from_numpy(to_float(images))
    least = net(start).argmin(1)
    x = start.clone()
    for _ in range(5):
        x.requires_grad_(True)
        loss = functional.cross_entropy(net(x), least, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        x = (x.detach() - 3 / 255 * gradient.sign() - start).clamp(-EPS, EPS) + start
    attack = IterLL(eps=EPS, step_size=3 / 255, steps=5, early_stop=False)
    result = attack(make_scorer(victim, batch=4), images, labels)
    assert result.images_float == pytest.approx(x.numpy(), abs=1e-6)


def test_ten_crops_count_ten(make_scorer: MakeScorer) -> None:
    from evofool.classifiers import with_crops

    torch.manual_seed(1)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = nn.Sequential(*layers, nn.Linear(4, 5)).requires_grad_(False)
    crops = with_crops(from_module(net, input_shape=(3, 14, 14), name="crops"), 10)
    pictures = np.random.default_rng(0).integers(0, 256, (3, *crops.input_shape), dtype=np.uint8)
    scorer = make_scorer(crops, batch=20)
    result = PGD(steps=3)(scorer, pictures, scorer.labels(pictures))
    assert (result.forward_each % 10 == 0).all()
    assert result.backward_images == scorer.backward_images
    judged = 30 if result.verify_forward_images == 30 else 60
    assert scorer.forward_images == 30 + result.forward_images + judged


@pytest.mark.parametrize("kind", [PGD, IFGSM, IterLL, MIFGSM])
def test_parameters_are_checked(kind: type[_Iterative]) -> None:
    from evofool.errors import UsageError

    for wrong in ({"eps": 0}, {"eps": -0.1}, {"steps": 0}, {"step_size": 0}, {"eps": float("nan")}):
        with pytest.raises(UsageError, match=f"{kind.name}: {next(iter(wrong))}"):
            kind(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="norm"):
        PGD(norm="l7")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="loss"):
        PGD(loss="hinge")  # type: ignore[arg-type]
