"""What a closer look measures, on nets and lineages whose answers are known beforehand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier, from_module
from evofool.experiments.explore.decision import axis, line
from evofool.experiments.explore.embedding import nearest_of, principal_components
from evofool.experiments.explore.repetition import best_window, positions, windowed
from evofool.experiments.explore.switching import counted
from evofool.scoring import Scorer
from evofool.store.records.lineage import IndividualId, IndividualRow, WinRow

SIDE = 8


class OneWindow(nn.Module):
    """Sure of class 1 by the pixels of one window alone."""

    seen: torch.Tensor

    def __init__(self, top: int, left: int, side: int) -> None:
        super().__init__()
        seen = torch.zeros(1, SIDE, SIDE)
        seen[:, top : top + side, left : left + side] = 1.0
        self.register_buffer("seen", seen)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        score = (images * self.seen).sum(dim=(1, 2, 3))
        return torch.stack([torch.full_like(score, 4.0), score], dim=1)


def net(module: nn.Module) -> Classifier:
    return from_module(module, input_shape=(1, SIDE, SIDE), name="toy", labels=["no", "yes"])


@pytest.mark.parametrize(("top", "left"), [(0, 0), (4, 1), (5, 5)])
def test_the_window_that_the_net_sees_is_the_one_that_is_kept(top: int, left: int) -> None:
    picture = np.zeros((1, SIDE, SIDE), np.uint8)
    picture[:, top : top + 3, left : left + 3] = 255
    with Scorer(net(OneWindow(top, left, 3)), batch=8, workers=1) as scorer:
        whole = scorer.confidence(picture[None])[0, 1]
        *at, sure = best_window(scorer, picture, 1, 3, 1)
    assert tuple(at) == (top, left)
    assert sure == pytest.approx(whole) == pytest.approx(1 / (1 + np.exp(4.0 - 9.0)))


def test_the_best_window_is_the_best_of_all_that_are_cut_by_hand() -> None:
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 256, (1, SIDE, SIDE), dtype=np.uint8)
    mean = round(float(picture.mean()))
    best: tuple[float, int, int] = (-np.inf, 0, 0)
    for top, left in itertools.product(range(SIDE - 4), range(SIDE - 4)):
        cut = [
            int(picture[0, r, c]) if top <= r < top + 5 and left <= c < left + 5 else mean
            for r, c in itertools.product(range(2, 5), range(3, 6))
        ]
        best = max(best, (sum(cut) / 255 - 4.0, -top, -left))
    with Scorer(net(OneWindow(2, 3, 3)), batch=8, workers=1) as scorer:
        _, _, sure = best_window(scorer, picture, 1, 5, 1)
    assert sure == pytest.approx(1 / (1 + np.exp(-best[0])), abs=1e-6)


def test_a_window_keeps_its_pixels_and_the_rest_is_the_mean_colour() -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (3, 6, 9), dtype=np.uint8)
    kept = windowed(picture, 2, [(1, 4), (4, 7)])
    assert np.array_equal(kept[1, :, 4:6, 7:9], picture[:, 4:6, 7:9])
    kept[1, :, 4:6, 7:9] = 0
    colours = {tuple(kept[1, :, r, c]) for r in range(6) for c in range(9)}
    assert colours == {(0, 0, 0), tuple(round(float(channel.mean())) for channel in picture)}


def test_positions_end_at_the_far_edge() -> None:
    assert positions((1, 8, 8), 8, 3) == [(0, 0)]
    assert {top for top, _ in positions((1, 8, 10), 3, 2)} == {0, 2, 4, 5}
    assert {left for _, left in positions((1, 8, 10), 3, 2)} == {0, 2, 4, 6, 7}


def test_the_boundary_of_a_linear_net_is_where_algebra_says() -> None:
    rng = np.random.default_rng(2)
    corners = rng.integers(60, 196, (3, 1, SIDE, SIDE), dtype=np.uint8)
    weights = rng.normal(size=SIDE * SIDE).astype(np.float32)
    values = corners.reshape(3, -1) / 255.0 @ weights
    bias = -float(values.mean())

    linear = nn.Linear(SIDE * SIDE, 2)
    with torch.no_grad():
        linear.weight[:] = torch.stack([torch.zeros(SIDE * SIDE), torch.from_numpy(weights)])
        linear.bias[:] = torch.tensor([0.0, bias])
    x = axis(41)
    # on the plane a + x (b - a) + y (c - a) a linear function is one of x and y
    at = values[0] + x[None] * (values[1] - values[0]) + x[:, None] * (values[2] - values[0]) + bias
    with Scorer(net(nn.Sequential(nn.Flatten(), linear)), batch=64, workers=1) as scorer:
        called = np.stack([scorer.labels(line(corners, x, float(y))) for y in x])
    inside = (x[None] >= 0) & (x[:, None] >= 0) & (x[None] + x[:, None] <= 1)
    sure = np.abs(at) > np.abs(weights).sum() * 0.5 / 255  # half a level a pixel
    assert (inside & sure).sum() > 150
    assert np.array_equal(called[inside & sure], (at > 0).astype(np.int64)[inside & sure])
    assert {0, 1} == set(called[inside & sure].tolist())


def test_the_three_pictures_are_at_their_places() -> None:
    rng = np.random.default_rng(3)
    corners = rng.integers(0, 256, (3, 3, 4, 4), dtype=np.uint8)
    at = np.array([0.0, 1.0])
    assert np.array_equal(line(corners, at, 0.0), corners[:2])
    assert np.array_equal(line(corners, at, 1.0)[0], corners[2])
    far = line(corners, np.array([1.5]), 0.0)[0].astype(int)
    wanted = corners[0] + 1.5 * (corners[1].astype(float) - corners[0])
    assert np.abs(far - np.clip(wanted, 0, 255)).max() <= 0.5 + 1e-4


def test_components_are_those_of_the_covariance() -> None:
    rng = np.random.default_rng(4)
    features = rng.normal(size=(60, 7)) * np.array([5, 3, 1, 1, 0.5, 0.2, 0.1])
    places, shares = principal_components(features, 2)
    strengths, directions = np.linalg.eigh(np.cov(features.T))
    order = np.argsort(-strengths)[:2]
    wanted = (features - features.mean(axis=0)) @ directions[:, order]
    assert np.allclose(np.abs(places), np.abs(wanted))
    assert np.allclose(shares, strengths[order] / strengths.sum())
    again, _ = principal_components(features @ np.diag([-1, 1, 1, 1, 1, 1, 1]), 2)
    assert np.allclose(again[:, 0], -places[:, 0]) or np.allclose(again[:, 0], places[:, 0])


@pytest.mark.parametrize("features", [np.ones((4, 3)), np.ones((1, 3)), np.ones((3, 1))])
def test_features_without_variance_have_a_map_all_the_same(features: NDArray[np.float64]) -> None:
    places, shares = principal_components(features, 2)
    assert places.shape == (len(features), 2)
    assert not places.any()
    assert shares.tolist() == [0, 0]


def test_nobody_is_their_own_neighbour() -> None:
    natural = np.array([[0.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    features = np.concatenate([natural, [[4.0, 4.0], [0.0, 0.9]]])
    assert nearest_of(features, natural).tolist() == [1, 0, 1, 2, 1]
    assert nearest_of(natural[:1], natural[:1]).tolist() == [-1]


def test_goal_switching_as_it_is_counted_by_hand() -> None:
    def born(generation: int, child: int, *cells: int) -> IndividualRow:
        parents = tuple(IndividualId(0, c) for c in cells)
        return IndividualRow(IndividualId(generation, child), parents, cells, b"", None)

    def won(row: IndividualRow, class_index: int) -> WinRow:
        return WinRow(row.id, class_index, 0.0, 0.5, None)

    random = born(0, 0)
    own, other = born(1, 0, 2), born(1, 1, 0)
    mixed, strangers = born(2, 0, 0, 2), born(2, 1, 0, 1)
    wins = [
        won(random, 0), won(random, 1), won(random, 2),  # without parents: not counted
        won(own, 2),  # stays
        won(other, 2),  # switches
        won(mixed, 2),  # one parent is its own class's: stays
        won(strangers, 2), won(strangers, 1),  # switches; stays
    ]  # fmt: skip
    lineage = {row.id: row for row in (random, own, other, mixed, strangers)}
    cells, generations = counted(wins, lineage)
    assert cells == {2: (4, 2), 1: (1, 0)}
    assert generations == {1: (2, 1), 2: (3, 1)}
