"""Gradients, held to finite differences and to autograd by hand."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from evofool.classifiers import Classifier, from_module, with_crops
from evofool.errors import BudgetError, ScoringError
from evofool.scoring import Scorer

MakeScorer = Callable[..., Scorer]
Images = NDArray[np.uint8]
SHAPE = (1, 6, 6)


def margin(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return outputs[:, 1] - outputs[:, 2]


def cross_entropy(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(outputs, rows % 5, reduction="none")


@pytest.mark.parametrize("loss", [margin, cross_entropy])
def test_against_finite_differences(
    net: nn.Module, victim: Classifier, make_scorer: MakeScorer, images: Images, loss: Any
) -> None:
    exact = copy.deepcopy(net).double()
    x = torch.from_numpy(images[:3]).double() / 255
    rows = torch.arange(3)
    step = 1e-6
    numeric = torch.zeros_like(x)
    for pixel in np.ndindex(*SHAPE):
        at = (slice(None), *pixel)
        for sign in (1, -1):
            moved = x.clone()
            moved[at] += sign * step
            numeric[at] += sign * loss(exact(moved), rows) / (2 * step)
    found = make_scorer(victim, batch=2).gradients(images[:3], loss)
    assert found.values == pytest.approx(numeric.numpy(), abs=1e-5)
    assert np.abs(found.values).max() > 0.01
    assert found.loss == pytest.approx(loss(exact(x), rows).numpy(), abs=1e-5)
    assert found.outputs == pytest.approx(exact(x).numpy(), abs=1e-5)


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("workers", [1, 2])
def test_losses_keep_their_rows_across_micro_batches(
    net: nn.Module,
    victim: Classifier,
    make_scorer: MakeScorer,
    images: Images,
    batch: int,
    workers: int,
) -> None:
    labels = torch.tensor([4, 0, 3, 1, 2, 0, 4, 4, 1, 3, 2])
    scale = torch.arange(1.0, 12.0)

    def loss(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        each = functional.cross_entropy(outputs, labels[rows], reduction="none")
        return scale[rows] * each

    x = (torch.from_numpy(images).float() / 255).requires_grad_()
    outputs = net(x)
    losses = loss(outputs, torch.arange(11))
    (expected,) = torch.autograd.grad(losses.sum(), x)
    found = make_scorer(victim, batch=batch, workers=workers).gradients(images, loss)
    assert found.values.dtype == found.loss.dtype == found.outputs.dtype == np.float32
    assert found.values == pytest.approx(expected.numpy(), abs=1e-5)
    assert found.loss == pytest.approx(losses.detach().numpy(), abs=1e-4)
    assert found.outputs == pytest.approx(outputs.detach().numpy(), abs=1e-5)


def test_outputs_are_those_that_are_scored(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim)
    assert scorer.gradients(images, margin).outputs == pytest.approx(
        scorer.logits(images), abs=1e-5
    )


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
def test_gradients_of_ten_crops(net: nn.Module, make_scorer: MakeScorer, link: str) -> None:
    """The outputs are the logarithm of the averaged confidences, whatever the link."""
    links: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "softmax": lambda z: z.softmax(-1),
        "sigmoid": torch.sigmoid,
        "identity": lambda z: z,
    }
    body = nn.Sequential(copy.deepcopy(net), nn.Sigmoid()) if link == "identity" else net
    kind: Any = ("probs", "identity") if link == "identity" else ("logits", link)
    victim = from_module(body, input_shape=SHAPE, output=kind[0], link=kind[1])
    cropped = with_crops(victim, 10)
    side = cropped.input_shape[1]
    wide = np.random.default_rng(0).integers(0, 256, (4, 1, side, side), dtype=np.uint8)

    x = (torch.from_numpy(wide).float() / 255).requires_grad_()
    gap = side - 6
    views = []
    for top, left in ((0, 0), (0, gap), (gap, 0), (gap, gap), (gap // 2, gap // 2)):
        crop = x[:, :, top : top + 6, left : left + 6]
        views += [crop, crop.flip(-1)]
    confidence = torch.stack([links[link](body(view)) for view in views]).mean(0)
    (expected,) = torch.autograd.grad(confidence.log()[:, 1].sum(), x)

    scorer = make_scorer(cropped, batch=20)
    found = scorer.gradients(wide, lambda outputs, rows: outputs[:, 1])
    assert found.values == pytest.approx(expected.numpy(), abs=1e-5)
    assert np.abs(found.values).max() > 1e-3
    assert np.exp(found.outputs) == pytest.approx(scorer.confidence(wide), abs=1e-6)


def test_a_module_that_caches_still_gives_gradients_after_scoring(
    net: nn.Module, make_scorer: MakeScorer, images: Images
) -> None:
    """Position grids and the like are often made at the first call of a batch shape."""

    class Caching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net
            self.grids: dict[int, torch.Tensor] = {}

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            grid = self.grids.setdefault(len(images), torch.ones_like(images) / 2)
            outputs: torch.Tensor = self.net(images * grid)
            return outputs

    scorer = make_scorer(from_module(Caching(), input_shape=SHAPE), engine="torch", batch=11)
    outputs = scorer.logits(images)
    assert scorer.gradients(images, margin).outputs == pytest.approx(outputs, abs=1e-6)


def test_no_gradients_of_a_black_box(
    black_box: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(black_box)
    with pytest.raises(ScoringError, match="box is a black box without gradients"):
        scorer.gradients(images, margin)
    assert scorer.queries == scorer.backward_images == 0


def test_gradients_that_are_not_finite(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    with pytest.raises(ScoringError, match="tiny: the gradient of the loss is not finite"):
        make_scorer(victim).gradients(
            images, lambda outputs, rows: torch.sqrt(outputs[:, 0] - outputs[:, 0])
        )


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        (lambda outputs, rows: outputs.mean(), r"\(\)"),
        (lambda outputs, rows: outputs[:, :, None], r"\(11, 5, 1\)"),
        (lambda outputs, rows: outputs[:1, 0], r"\(1,\)"),
    ],
)
def test_a_loss_of_the_wrong_shape(
    victim: Classifier, make_scorer: MakeScorer, images: Images, loss: Any, shape: str
) -> None:
    with pytest.raises(ScoringError, match=f"shape {shape} for 11 images.*reduction='none'"):
        make_scorer(victim).gradients(images, loss)


def test_several_losses_take_one_forward_pass(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim, batch=4)
    found = scorer.gradients(images, lambda outputs, rows: outputs)
    assert found.values.shape == (11, 5, *SHAPE)
    assert (scorer.forward_images, scorer.backward_images, scorer.queries) == (11, 55, 11)
    for c in range(5):
        one = scorer.gradients(images, lambda outputs, rows, c=c: outputs[:, c])
        assert found.values[:, c] == pytest.approx(one.values, abs=1e-7)


def test_gradients_only_where_wanted(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim, batch=4)
    everywhere = scorer.gradients(images, margin)
    assert everywhere.wanted.all()
    scorer.backward_images = 0
    some = scorer.gradients(images, margin, wanted=lambda outputs, rows: rows % 3 == 1)
    assert some.wanted.tolist() == [row % 3 == 1 for row in range(11)]
    assert scorer.backward_images == 4
    assert some.values[some.wanted] == pytest.approx(everywhere.values[some.wanted], abs=1e-7)
    assert not some.values[~some.wanted].any()
    assert some.outputs == pytest.approx(everywhere.outputs)


def test_a_victim_as_a_counted_function(
    net: nn.Module, victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim, budget=15)
    x = (torch.from_numpy(images).float() / 255).requires_grad_(True)
    function = scorer.differentiable()
    outputs = function(x)
    assert (scorer.queries, scorer.forward_images, scorer.backward_images) == (11, 11, 0)
    (gradient,) = torch.autograd.grad(margin(outputs, torch.arange(11)).sum(), x)
    assert scorer.backward_images == 11
    assert gradient.numpy() == pytest.approx(scorer_gradients(victim, make_scorer, images))
    with pytest.raises(BudgetError):
        function(x)
    with pytest.raises(ScoringError, match="needed"):
        function(x[:, :, 1:])


def scorer_gradients(victim: Classifier, make_scorer: MakeScorer, images: Images) -> Any:
    return make_scorer(victim).gradients(images, margin).values


def test_a_loss_that_does_not_depend_on_the_image(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    with pytest.raises(ScoringError, match="tiny gives no gradients: no path"):
        make_scorer(victim).gradients(images, lambda outputs, rows: torch.zeros(len(rows)))


def test_a_mistake_in_the_loss_is_the_callers(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    with pytest.raises(IndexError):
        make_scorer(victim).gradients(images, lambda outputs, rows: outputs[:, 99])


def test_the_budget_counts_gradient_queries(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim, budget=15)
    scorer.gradients(images, margin)
    with pytest.raises(BudgetError, match="4 left, 11 were asked"):
        scorer.score(images)


def test_nothing_is_left_on_the_parameters(
    net: nn.Module, make_scorer: MakeScorer, images: Images
) -> None:
    trainable = copy.deepcopy(net).requires_grad_(True)
    victim = from_module(trainable, input_shape=SHAPE)
    assert victim.module is not None
    victim = dataclasses.replace(victim, module=trainable)
    make_scorer(victim).gradients(images, margin)
    assert all(parameter.grad is None for parameter in trainable.parameters())
    assert not trainable.training
