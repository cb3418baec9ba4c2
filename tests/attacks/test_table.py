"""Every attack that is registered, on every victim that ships: what must hold whatever it does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.attacks import Attack, AttackResult
from evofool.attacks.registry import describe, names
from evofool.classifiers import Classifier, load_classifier
from evofool.data import load_dataset
from evofool.images import UInt8Images, decode_png, encode_png, to_float
from evofool.scoring import Scorer

OWN = [name for name in names() if not name.startswith("foolbox:")]
IMAGENET = "imagenet-efficientnet-lite0"
VICTIMS = ["mnist-lenet", "fashion-lenet", IMAGENET]
TOY = f"{Path(__file__).parents[1] / 'toys' / 'linear.py'}:victim"
FEW: dict[str, Any] = {
    "steps": 6, "restarts": 1, "queries": 60, "search_steps": 1, "binary_search_steps": 1,
    "population": 8, "generations": 3, "iterations": 6, "samples": 6, "rounds": 1, "epochs": 1,
    "initial": 8, "max_steps": 6, "gamma": 0.1,
}  # fmt: skip
"""Settings that make an attack short, for those that have them."""
EPS = {"mnist-lenet": 0.2, "fashion-lenet": 0.1, "imagenet-efficientnet-lite0": 8 / 255, TOY: 0.1}


@cache
def victim_of(name: str) -> Classifier:
    return load_classifier(name)


def made(name: str, victim: str) -> Attack:
    found = describe(name)
    known = {parameter.name: parameter for parameter in found.parameters}
    options = {key: value for key, value in FEW.items() if key in known}
    if victim_of(victim).input_shape[1] > 100:  # passes cost a hundred times those of a digit
        most = {"steps": 2, "queries": 20, "generations": 1, "gamma": 1e-4}
        options = {key: min(value, most.get(key, value)) for key, value in options.items()}
    if "eps" in known:
        options["eps"] = EPS[victim]
    return found.factory(**options)


def images_for(victim: str) -> UInt8Images:
    shape = victim_of(victim).input_shape
    if shape == (1, 28, 28):
        return load_dataset("mnist-sample").images[::17]
    n = 2 if shape[1] > 100 else 6
    return np.random.default_rng(5).integers(0, 256, (n, *shape), dtype=np.uint8)


def run(name: str, victim: str, rows: slice = slice(None)) -> tuple[AttackResult, Scorer]:
    images = images_for(victim)
    attack = made(name, victim)
    with Scorer(victim_of(victim), workers=1, batch=16) as scorer:
        labels = scorer.labels(images)
        targets = (labels + 1) % victim_of(victim).n_classes if attack.aim == "targeted" else None
        scorer.queries = scorer.forward_images = 0
        result = attack(
            scorer,
            images[rows],
            labels[rows],
            targets=None if targets is None else targets[rows],
            ids=np.arange(len(images))[rows],
        )
        return result, scorer


@cache
def once(name: str, victim: str) -> tuple[AttackResult, Scorer]:
    return run(name, victim)


def _each() -> Iterator[Any]:
    """Each attack on each victim; on the largest by default one attack alone."""
    for victim in VICTIMS:
        for name in OWN:
            slow = victim == IMAGENET and name != "pgd"
            yield pytest.param(name, victim, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize(("name", "victim"), list(_each()))
def test_bounds_lattice_norms_counts_and_claims(name: str, victim: str, tmp_path: Path) -> None:
    result, scorer = once(name, victim)
    n = len(result)
    assert result.pixels.dtype == np.uint8
    assert result.images_float.dtype == np.float32
    assert result.images_float.min() >= 0
    assert result.images_float.max() <= 1
    np.testing.assert_array_equal(result.images, to_float(result.pixels))
    assert result.complete.all()
    # norms
    change = (result.pixels.astype(float) - result.clean) / 255
    np.testing.assert_allclose(result.norms.linf, np.abs(change).max(axis=(1, 2, 3)))
    np.testing.assert_allclose(result.norms.l2, np.sqrt((change**2).sum(axis=(1, 2, 3))))
    if result.eps is not None and result.effective_eps is not None:
        assert result.effective_eps <= result.eps + 1e-9
        own = getattr(result.norms, made(name, victim).norm_of)
        assert (own <= result.effective_eps + 1e-6).all()
    # counts
    assert scorer.forward_images == result.forward_images + result.verify_forward_images
    assert scorer.backward_images == result.backward_images
    assert result.forward_each.sum() + result.forward_shared == result.forward_images
    # claims, on what is read back from disk
    back = []
    for i in range(n):
        (tmp_path / f"{i}.png").write_bytes(encode_png(result.pixels[i]))
        back.append(decode_png((tmp_path / f"{i}.png").read_bytes()))
    with Scorer(victim_of(victim), workers=1, batch=16) as fresh:
        scores = fresh.score(np.stack(back))
    labels = scores.labels
    np.testing.assert_array_equal(labels, result.predicted)
    aimed = result.targets >= 0
    hit = np.where(aimed, labels == result.targets, labels != result.labels)
    attack = made(name, victim)
    least = getattr(attack, "confidence", getattr(attack, "threshold", 0.0))
    decisive = np.where(aimed, result.targets, labels)
    hit &= np.take_along_axis(scores.confidence, decisive[:, None], 1)[:, 0] >= least
    np.testing.assert_array_equal(hit, result.success)


@pytest.mark.parametrize("name", OWN)
def test_it_repeats_itself(name: str) -> None:
    first, _ = once(name, TOY)
    again, _ = run(name, TOY)
    np.testing.assert_array_equal(again.pixels, first.pixels)
    np.testing.assert_array_equal(again.images_float, first.images_float)
    np.testing.assert_array_equal(again.forward_each, first.forward_each)


@pytest.mark.parametrize("name", [n for n in OWN if not describe(n).factory.whole])  # type: ignore[attr-defined]
def test_no_image_depends_on_those_beside_it(name: str) -> None:
    whole, _ = once(name, TOY)
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        part, _ = run(name, TOY, rows)
        np.testing.assert_array_equal(part.pixels, whole.pixels[rows])
        np.testing.assert_array_equal(part.success, whole.success[rows])
        np.testing.assert_array_equal(part.forward_each, whole.forward_each[rows])
        np.testing.assert_array_equal(part.backward_each, whole.backward_each[rows])
