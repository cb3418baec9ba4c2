"""Ensembles: scores against the members' own, every member counted, gradients of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from evofool.classifiers import Classifier, from_members, from_module, load_classifier
from evofool.classifiers.nets.ensemble import fitted_tensor, tensor_log_odds
from evofool.classifiers.pictures import fitted
from evofool.errors import ScoringError, UsageError
from evofool.scoring import Scorer
from evofool.scoring.ensemble import combined, combined_scores
from evofool.scoring.ranking import NO_CLASS, to_scores

TRIO = Path(__file__).parents[1] / "toys" / "trio.py"
NAMES = ("first", "second", "small", "sigmoids", "black")
ODDS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5),
    elements=st.floats(-700, 700) | st.sampled_from([-np.inf, np.inf]),
)


def net(name: str) -> Classifier:
    return load_classifier(f"{TRIO}:{name}")


@pytest.fixture(scope="module")
def nets() -> dict[str, Classifier]:
    return {name: net(name) for name in NAMES}


def pictures(n: int, shape: tuple[int, ...] = (1, 6, 6), seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *shape), dtype=np.uint8)


def odds_by_name(net: Classifier, images: NDArray[np.uint8], names: Any) -> NDArray[np.float64]:
    """An oracle: each member by itself, in the order of `names`."""
    with Scorer(net, engine="torch" if net.white_box else "auto") as scorer:
        odds = scorer.score(fitted(images, net.input_shape)).log_odds
    return odds[:, [net.labels.index(name) for name in names]]


@given(ODDS, st.randoms(use_true_random=False))
def test_the_order_of_members_changes_no_bit(odds: NDArray[np.float64], shuffler: Any) -> None:
    order = list(range(len(odds)))
    shuffler.shuffle(order)
    for rule in ("least", "mean"):
        assert np.array_equal(combined(odds, rule), combined(odds[order], rule))


@given(ODDS)
def test_one_member_and_equal_members_are_the_member(odds: NDArray[np.float64]) -> None:
    one = odds[:1]
    assert np.array_equal(combined(one, "mean"), one[0])
    assert np.array_equal(combined(one, "least"), one[0])
    assert np.array_equal(combined(np.repeat(one, 3, 0), "least"), one[0])


@given(ODDS)
def test_against_a_plain_loop(odds: NDArray[np.float64]) -> None:
    least, mean = combined(odds, "least"), combined(odds, "mean")
    for n, c in np.ndindex(odds.shape[1:]):
        values = [float(member[n, c]) for member in odds]
        assert least[n, c] == min(values)
        if -np.inf in values:  # one that rules it out is not outvoted by one that is certain
            assert mean[n, c] == -np.inf
        else:
            assert mean[n, c] == pytest.approx(sum(values) / len(values), rel=1e-12, abs=1e-10)
        assert least[n, c] <= mean[n, c] or mean[n, c] == pytest.approx(least[n, c])


def test_a_picture_without_scores_of_one_member_has_none() -> None:
    odds = np.zeros((2, 3, 4))
    odds[1, 2] = np.nan
    odds[:, 0, 1] = np.inf
    scores = combined_scores(combined(odds, "least"))
    assert scores.scored.tolist() == [True, True, False]
    assert scores.labels.tolist() == [1, 0, NO_CLASS]
    assert scores.confidence[0, 1] == 1


@pytest.mark.parametrize("rule", ["least", "mean"])
@pytest.mark.parametrize(
    "names",
    [
        ("first", "second"), ("first", "small"), ("small", "first"), ("first", "sigmoids"),
        ("first", "black"), NAMES,
    ],
)  # fmt: skip
def test_scores_are_those_of_the_members(
    nets: dict[str, Classifier], names: tuple[str, ...], rule: Any
) -> None:
    members = [nets[name] for name in names]
    images = pictures(9)
    victim = from_members(members, rule=rule)
    each = np.stack([odds_by_name(member, images, victim.labels) for member in members])
    wanted = each.min(0) if rule == "least" else each.mean(0)
    white = all(member.white_box for member in members)
    with Scorer(victim, engine="torch" if white else "auto", batch=4) as scorer:
        scores = scorer.score(images)
        again = scorer.score(images.astype(np.float32) / 255)
    assert np.allclose(scores.log_odds, wanted, rtol=0, atol=1e-5)
    assert np.allclose(again.log_odds, scores.log_odds, rtol=0, atol=1e-5)
    assert scores.labels.tolist() == wanted.argmax(1).tolist()
    if rule == "least":
        confidence = 1 / (1 + np.exp(-each))
        assert np.allclose(scores.confidence, confidence.min(0), atol=1e-6)


def test_above_a_half_every_member_answers_so(nets: dict[str, Classifier]) -> None:
    members = [nets["first"], nets["second"]]
    images = pictures(3000)
    victim = from_members(members)
    with Scorer(victim) as scorer:
        scores = scorer.score(images)
    sure = scores.confidence.max(1) > 0.5
    assert 5 < sure.sum() < 2995
    for member in members:
        with Scorer(member) as scorer:
            named = [member.labels[k] for k in scorer.labels(images[sure])]
        assert named == [victim.labels[k] for k in scores.labels[sure]]


def test_an_engine_of_graphs_gives_the_same(nets: dict[str, Classifier]) -> None:
    victim = from_members([nets["first"], nets["small"]])
    images = pictures(5)
    with Scorer(victim, engine="onnxruntime") as graphs, Scorer(victim, engine="torch") as modules:
        assert (graphs.engine, modules.engine) == ("onnxruntime", "torch")
        assert np.allclose(graphs.confidence(images), modules.confidence(images), atol=1e-5)


def test_every_member_counts(nets: dict[str, Classifier]) -> None:
    victim = from_members([nets["first"], nets["second"], nets["small"]])
    assert victim.passes == 3
    images = pictures(5)
    with Scorer(victim, batch=4) as scorer:
        scorer.score(images)
        assert (scorer.queries, scorer.forward_images, scorer.backward_images) == (5, 15, 0)
        scorer.gradients(images, lambda outputs, _: outputs[:, 0])
        assert (scorer.queries, scorer.forward_images, scorer.backward_images) == (10, 30, 15)
        x = torch.zeros(2, 1, 6, 6, requires_grad=True)
        scorer.differentiable()(x).sum().backward()
        assert (scorer.queries, scorer.forward_images, scorer.backward_images) == (12, 36, 21)
        assert scorer.ledger.sent["queries"] == 12
    with Scorer(victim, batch=4, pad=True) as scorer:
        (scores,) = scorer.map([lambda: images[:3]])
        assert scores.forward_images == scorer.forward_images == 12


@pytest.mark.parametrize("rule", ["least", "mean"])
def test_gradients_pass_through_all_members(nets: dict[str, Classifier], rule: Any) -> None:
    """Against the members' own gradients: the mean of them, or that of the least."""
    members = [nets["first"], nets["second"], nets["sigmoids"]]
    victim = from_members(members, rule=rule)
    images = pictures(6)
    c = 2
    found = []
    for member in members:
        own = member.labels.index(victim.labels[c])

        def odds(outputs: torch.Tensor, _: Any, own: int = own, net: Any = member) -> torch.Tensor:
            return tensor_log_odds(outputs, net.output, net.link)[:, own].float()

        with Scorer(member) as scorer:
            taken = scorer.gradients(images, odds)
        found.append((taken.values, taken.loss))
    values, odds_each = (np.stack(part) for part in zip(*found, strict=True))
    with Scorer(victim) as scorer:
        taken = scorer.gradients(images, lambda outputs, _: outputs[:, c])
    if rule == "mean":
        wanted = values.mean(0)
    else:
        wanted = values[odds_each.argmin(0), np.arange(len(images))]
    assert np.allclose(taken.values, wanted, atol=1e-5)
    assert np.abs(taken.values).max() > 0.01


def test_gradients_pass_through_the_resizing(nets: dict[str, Classifier]) -> None:
    """Against finite differences of 8 levels, since the rounding to levels is left out."""
    victim = from_members([nets["small"], nets["first"]], rule="mean")
    x = np.full((1, 1, 6, 6), 128, np.uint8)
    with Scorer(victim, engine="torch") as scorer:
        taken = scorer.gradients(x, lambda outputs, _: outputs[:, 1]).values[0, 0]
        for row, column in ((0, 0), (2, 3), (5, 5)):
            up, down = x.copy(), x.copy()
            up[0, 0, row, column] += 64
            down[0, 0, row, column] -= 64
            odds = scorer.score(np.concatenate([up, down])).log_odds[:, 1]
            slope = (odds[0] - odds[1]) * 255 / 128
            assert slope == pytest.approx(float(taken[row, column]), rel=0.1, abs=0.05)


@pytest.mark.parametrize(
    ("size", "shape"),
    [((1, 28, 28), (1, 20, 20)), ((3, 32, 32), (3, 48, 48)), ((3, 40, 30), (1, 24, 24)),
     ((1, 6, 6), (3, 9, 5)), ((3, 8, 8), (1, 8, 8))],
)  # fmt: skip
def test_resized_with_gradients_as_pillow_does(size: Any, shape: Any) -> None:
    images = pictures(4, size)
    wanted = fitted(images, shape).astype(int)
    floats = torch.from_numpy(images).float() / 255
    ours = np.rint(fitted_tensor(floats, shape).numpy() * 255).astype(int)
    assert ours.shape == wanted.shape
    assert np.abs(ours - wanted).max() <= 2
    assert np.abs(ours - wanted).mean() < 0.1


@pytest.mark.parametrize(
    ("output", "link"),
    [("logits", "softmax"), ("logits", "sigmoid"), ("log_probs", "softmax"),
     ("log_probs", "identity"), ("probs", "identity")],
)  # fmt: skip
def test_log_odds_with_gradients_are_the_log_odds(output: Any, link: Any) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 6, (50, 7))
    if output == "logits":
        values[0] = [40, 0, 0, 0, 0, 0, 0]  # saturated in float32
    else:
        values = values - np.log(np.exp(values).sum(1, keepdims=True))
    if output == "probs":
        values = np.exp(values)
    x = torch.from_numpy(values).requires_grad_(True)
    odds = tensor_log_odds(x, output, link)
    assert np.allclose(
        odds.detach().numpy(), to_scores(values, output, link, 1).log_odds, rtol=1e-9, atol=1e-9
    )
    (slope,) = torch.autograd.grad(odds.sum(), x)
    assert bool(slope.isfinite().all())


def test_a_black_box_among_the_members(nets: dict[str, Classifier]) -> None:
    victim = from_members([nets["first"], nets["black"]])
    assert not victim.white_box
    assert victim.metered
    with Scorer(victim, pad=True, batch=4) as scorer:
        assert scorer.engine == "several"
        scorer.score(pictures(3))
        assert scorer.forward_images == 6  # a service is sent no padding
        with pytest.raises(ScoringError, match="black box without gradients"):
            scorer.gradients(pictures(3), lambda outputs, _: outputs[:, 0])
    with pytest.raises(UsageError, match="black, which is a predict function"):
        Scorer(victim, engine="torch")


def test_a_net_whose_code_cannot_be_a_graph_takes_all_to_torch(nets: dict[str, Classifier]) -> None:
    class Looks(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.flatten(1)
            return flat[:, :7] if float(flat.sum()) > 0 else flat[:, 7:14]

    looks = from_module(Looks(), input_shape=(1, 6, 6), labels=list("abcdefg"), name="looks")
    with Scorer(from_members([nets["first"], looks])) as scorer:
        assert scorer.engine == "torch"
        assert scorer.note.startswith("looks: scoring with torch, since")
