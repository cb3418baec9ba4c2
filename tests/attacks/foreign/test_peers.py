"""foolbox's attacks through our Scorer: the same pictures, every pass counted."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from evofool.attacks import FGSM
from evofool.attacks.registry import describe, grid
from evofool.classifiers import Classifier, from_predict, load_classifier
from evofool.data import load_dataset
from evofool.errors import AttackError, UsageError
from evofool.images import to_float
from evofool.scoring import Scorer

foolbox = pytest.importorskip("foolbox")
DIGITS = load_dataset("mnist-sample")
IMAGES, LABELS = DIGITS.images[::9], DIGITS.labels[::9]


@pytest.fixture(scope="module")
def lenet() -> Classifier:
    return load_classifier("mnist-lenet")


def run(victim: Classifier, name: str, labels: Any = LABELS, targets: Any = None, **options: Any):  # type: ignore[no-untyped-def]
    """The result, and what the scorer counted."""
    (attack,) = grid(name, options)
    with Scorer(victim, workers=1) as scorer:
        result = attack(scorer, IMAGES, labels, targets=targets)
        return result, scorer.forward_images, scorer.backward_images


def test_its_fgsm_is_ours(lenet: Classifier) -> None:
    theirs, forward, backward = run(lenet, "foolbox:FGSM", eps=0.3)
    with Scorer(lenet, workers=1) as scorer:
        ours = FGSM(eps=0.3)(scorer, IMAGES, LABELS)
    np.testing.assert_array_equal(theirs.images_float, ours.images_float)
    assert (theirs.forward_images, theirs.backward_images) == (len(IMAGES), len(IMAGES))
    assert forward == theirs.forward_images + theirs.verify_forward_images
    assert backward == theirs.backward_images


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("foolbox:LinfPGD", {"eps": 0.2, "steps": 5}),
        ("foolbox:L2PGD", {"eps": 2.0, "steps": 5}),
        ("foolbox:L2DeepFoolAttack", {"steps": 5}),
        ("foolbox:L2CarliniWagnerAttack", {"binary_search_steps": 1, "steps": 5}),
        ("foolbox:HopSkipJumpAttack", {"steps": 1}),
        ("foolbox:SaltAndPepperNoiseAttack", {"steps": 20}),
        ("foolbox:GenAttack", {"eps": 0.3, "steps": 3}),
    ],
)
def test_every_pass_is_counted_and_repeats(
    lenet: Classifier, name: str, options: dict[str, Any]
) -> None:
    targets = (LABELS + 1) % 10 if "GenAttack" in name else None
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    python = random.getstate()
    first, forward, backward = run(lenet, name, targets=targets, **options)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert random.getstate() == python
    assert forward == first.forward_images + first.verify_forward_images
    assert backward == first.backward_images
    assert first.forward_images > 0
    assert (first.backward_images > 0) == (describe(name).needs == "gradients")
    again, _, _ = run(lenet, name, targets=targets, **options)
    np.testing.assert_array_equal(again.pixels, first.pixels)
    if "eps" in options:
        norm = (
            first.norms.linf
            if describe(name).factory.__self__.norm == "linf"
            # type: ignore[attr-defined]
            else (first.norms.l2)
        )
        assert (norm <= options["eps"] + 1e-6).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("foolbox:LinfPGD", {"eps": 0.2, "steps": 5}),
        ("foolbox:GenAttack", {"eps": 0.3, "steps": 3}),
    ],
)
def test_attacks_at_once_are_as_alone(
    lenet: Classifier, name: str, options: dict[str, Any]
) -> None:
    """One draws from torch's global generator, one from NumPy's as well: another thread uses both
    all the time, and finds neither seeded by an attack."""
    targets = (LABELS + 1) % 10 if "GenAttack" in name else None

    def attacked(seed: int) -> Any:
        return run(lenet, name, targets=targets, seed=seed, **options)[0].pixels

    alone = [attacked(seed) for seed in (1, 2)]
    over = threading.Event()
    torch.manual_seed(9)
    np.random.seed(9)  # noqa: NPY002
    drawn = []

    def draw() -> None:
        while not over.is_set() or len(drawn) < 10:
            drawn.append((float(torch.rand(())), float(np.random.random())))  # noqa: NPY002

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            beside = list(pool.map(attacked, (1, 2)))
    finally:
        over.set()
        drawing.join()
    for one, other in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(one, other)
    own, numpy = torch.Generator().manual_seed(9), np.random.RandomState(9)
    for value, other in drawn:
        assert (value, other) == (float(torch.rand((), generator=own)), numpy.random_sample())


def test_seeds(lenet: Classifier) -> None:
    one, _, _ = run(lenet, "foolbox:LinfPGD", eps=0.2, steps=2, seed=1)
    two, _, _ = run(lenet, "foolbox:LinfPGD", eps=0.2, steps=2, seed=2)
    assert (one.pixels != two.pixels).any()


def test_a_black_box_is_asked_for_pictures_only() -> None:
    asked = []

    def predict(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        assert images.dtype == np.uint8
        asked.append(len(images))
        bright = to_float(images).reshape(len(images), -1).mean(axis=1)
        return np.stack([1 - bright, bright], axis=1)

    victim = from_predict(predict, input_shape=(1, 28, 28), output="probs", link="identity")
    asked.clear()
    labels = np.zeros(len(IMAGES), np.int64)
    result, forward, _ = run(victim, "foolbox:HopSkipJumpAttack", labels=labels, steps=1)
    assert result.success.mean() > 0.5
    assert sum(asked) == forward == result.forward_images + result.verify_forward_images
    with pytest.raises(UsageError, match="needs gradients"):
        run(victim, "foolbox:LinfPGD", labels=labels, eps=0.1)


def test_a_budget_ends_it_with_what_there_is(lenet: Classifier) -> None:
    (attack,) = grid("foolbox:LinfPGD", {"eps": 0.2, "steps": 40})
    with Scorer(lenet, workers=1, budget=100) as scorer:
        result = attack(scorer, IMAGES, LABELS)
        assert scorer.queries <= 100
    assert not result.complete.any()
    assert "budget" in result.notes[0]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("foolbox:LinfPDG", {"eps": 0.1}, "did you mean 'LinfPGD'"),
        ("foolbox:LinfPGD", {}, "eps: is missing"),
        ("foolbox:L2DeepFoolAttack", {"eps": 0.1}, "unknown parameter"),
        ("foolbox:LinfPGD", {"eps": 0.1, "steps": 1.5}, "whole number"),
        ("foolbox:LinfPGD", {"eps": -0.1}, "above 0"),
        ("foolbox:HopSkipJumpAttack", {"init_attack": "x"}, "unknown parameter"),
    ],
)
def test_what_is_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(AttackError, match=words):
        list(grid(name, options))


def test_targets_it_cannot_have(lenet: Classifier) -> None:
    with pytest.raises(UsageError, match="is untargeted"):
        run(lenet, "foolbox:L2DeepFoolAttack", targets=(LABELS + 1) % 10)
    with pytest.raises(UsageError, match="is targeted"):
        run(lenet, "foolbox:GenAttack", eps=0.1, steps=2)
