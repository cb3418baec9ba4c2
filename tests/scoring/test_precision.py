"""Screening in a lower precision: who can, and that nothing else is scored in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evofool.classifiers import Classifier
from evofool.errors import BudgetError, ImageError, UsageError
from evofool.scoring import Scorer

MakeScorer = Callable[..., Scorer]
Images = NDArray[np.uint8]


def test_only_map_screens(victim: Classifier, make_scorer: MakeScorer, images: Images) -> None:
    exact = make_scorer(victim, engine="torch", batch=11, workers=1)
    scorer = make_scorer(victim, batch=11, workers=1, precision="bf16")
    assert scorer.engine == "torch"
    expected = exact.score(images).log_odds
    (screened,) = scorer.map([lambda: images])
    assert 0 < np.abs(screened.log_odds - expected).max() < 0.5
    assert np.array_equal(scorer.score(images).log_odds, expected)
    assert np.array_equal(scorer.logits(images), exact.logits(images))


def test_a_confirmation_is_no_query(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim, batch=11, precision="bf16", budget=11)
    list(scorer.map([lambda: images]))
    (confirmed,) = scorer.confirm([lambda: images])
    expected = make_scorer(victim, engine="torch", batch=11).score(images).log_odds
    assert np.array_equal(confirmed.log_odds, expected)
    assert (scorer.queries, scorer.forward_images) == (11, 22)
    with pytest.raises(BudgetError):
        list(scorer.map([lambda: images[:1]]))


def test_who_cannot_screen(
    victim: Classifier, black_box: Classifier, make_scorer: MakeScorer
) -> None:
    with pytest.raises(UsageError, match=r"scoring\.precision: box has no module.*use float32"):
        make_scorer(black_box, precision="bf16")
    with pytest.raises(UsageError, match=r"scoring\.precision: engine onnxruntime computes in"):
        make_scorer(victim, engine="onnxruntime", precision="bf16")
    with pytest.raises(UsageError, match=r"scoring\.precision: tf32 works only on CUDA"):
        make_scorer(victim, device="cpu", precision="tf32")


@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("crops", [1, 10])
def test_a_tensor_on_the_device_scores_as_its_array(
    victim: Classifier, make_scorer: MakeScorer, pad: bool, crops: int
) -> None:
    from evofool.classifiers import with_crops

    hit = with_crops(victim, crops)
    images = np.random.default_rng(0).integers(0, 256, (3, *hit.input_shape), dtype=np.uint8)
    scorer = make_scorer(hit, engine="torch", batch=5 * crops, pad=pad)
    expected = scorer.score(images).log_odds
    (found,) = scorer.map([lambda: torch.from_numpy(images)])
    assert np.array_equal(found.log_odds, expected)
    assert found.forward_images == (5 if pad else 3) * crops


def test_a_wrong_tensor_is_refused(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim, engine="torch")
    good = torch.from_numpy(images)
    for bad, says in (
        (good[:, :, :3], r"uint8 \(N, 1, 6, 6\)"),
        (good.int(), "torch.int32"),
        (good.to("meta"), "on meta was given to a scorer on cpu"),
    ):
        with pytest.raises(ImageError, match=says):
            list(scorer.map([lambda bad=bad: bad]))
    (floats,) = scorer.map([lambda: good / 255])  # on the CPU as good as an array
    assert len(floats) == 11
    (elsewhere,) = make_scorer(victim, engine="onnxruntime").map([lambda: good])
    assert len(elsewhere) == 11
