"""Masks: whatever an attack does, the picture outside its mask stays as it was, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evofool.attacks import PGD, GradientAscent, OnePixel, Square, SubstituteAttack
from evofool.attacks.registry import describe, grid, names, parameters_of
from evofool.classifiers import Classifier
from evofool.errors import AttackError, UsageError
from evofool.images import encode_png
from evofool.render.masks import Mask
from evofool.scoring import Scorer

FEW: dict[str, Any] = {
    "steps": 6, "restarts": 2, "queries": 60, "search_steps": 2, "binary_search_steps": 1,
    "population": 8, "generations": 3, "iterations": 6, "samples": 6, "rounds": 1, "epochs": 1,
    "initial": 8, "max_steps": 6, "children": 8,
}  # fmt: skip
MASKS: dict[str, Any] = {
    "disc": {"shape": "disc", "at": [0.6, 0.4], "size": 0.7},
    "polygon": {"polygon": [[0, 0], [1, 0], [0, 1]]},
    "far corner": {"shape": "rectangle", "at": [1, 1], "size": [0.4, 0.7]},
}


def _short(name: str, mask: Any, **options: Any) -> Any:
    known = {parameter.name for parameter in describe(name).parameters}
    few = {key: value for key, value in FEW.items() if key in known}
    required = {p.name: 0.3 for p in describe(name).parameters if p.required}
    (attack,) = grid(name, {**required, **few, **options, "mask": mask})
    return attack


def _attack(
    attack: Any, victim: Classifier, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> Any:
    targets = (labels + 1) % victim.n_classes
    with Scorer(victim, workers=1, batch=16) as scorer:
        return attack(scorer, images, labels, targets=targets if attack.aim == "targeted" else None)


PEERS = [name for name in names() if name.startswith("foolbox:")]
QUICK = ("foolbox:LinfPGD", "foolbox:L2FastGradientAttack", "foolbox:SaltAndPepperNoiseAttack")


def _cases() -> Iterator[Any]:
    """Each attack of ours with each mask; of foolbox, whose attacks all go one way, with one."""
    for name in names():
        if name in PEERS:
            marks = () if name in QUICK else (pytest.mark.slow,)
            yield pytest.param(name, "disc", marks=marks)
        else:
            yield from ((name, mask) for mask in MASKS)


@pytest.mark.parametrize(("name", "mask"), list(_cases()))
def test_outside_the_mask_nothing_changes(
    name: str,
    mask: str,
    victim: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
) -> None:
    has_sign = any(parameter.name == "sign" for parameter in describe(name).parameters)
    options = {"sign": "whole"} if has_sign else {}
    attack = _short(name, MASKS[mask], **options)
    few = images[: 1 if name in PEERS else 3]
    result = _attack(attack, victim, few, labels[: len(few)])
    outside = ~attack.mask.raster((6, 6))
    np.testing.assert_array_equal(result.pixels[:, :, outside], few[:, :, outside])
    np.testing.assert_array_equal(
        result.images_float[:, :, outside], few[:, :, outside] / np.float32(255)
    )


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["pgd", "fgsm", "square", "nes", "one-pixel", "deepfool", "mi-fgsm"]),
    cells=st.lists(st.booleans(), min_size=36, max_size=36).filter(lambda c: 0 < sum(c) < 36),
    seed=st.integers(0, 1000),
)
def test_any_picture_of_a_mask_is_kept_to(
    name: str,
    cells: list[bool],
    seed: int,
    victim: Classifier,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    inside = np.array(cells).reshape(6, 6)
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    path.write_bytes(encode_png((inside[None] * 255).astype(np.uint8)))
    images = np.random.default_rng(seed).integers(0, 256, (2, 1, 6, 6), dtype=np.uint8)
    with Scorer(victim) as scorer:
        labels = scorer.labels(images)
    result = _attack(_short(name, {"picture": str(path)}, seed=seed), victim, images, labels)
    np.testing.assert_array_equal(result.pixels[:, :, ~inside], images[:, :, ~inside])


def test_what_the_victim_sees_is_clean_outside_too(images: NDArray[np.uint8]) -> None:
    from evofool.classifiers import from_predict

    seen: list[NDArray[np.uint8]] = []
    rng = np.random.default_rng(7)
    matrix = rng.normal(size=(36, 5))

    def predict(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        seen.append(pictures.copy())
        return pictures.reshape(len(pictures), -1) / 255.0 @ matrix

    box = from_predict(predict, input_shape=(1, 6, 6), output="logits", name="watching")
    seen.clear()  # the probe's
    outside = ~Mask.model_validate(MASKS["disc"]).raster((6, 6))
    for name in ("square", "nes", "one-pixel"):
        with Scorer(box, workers=1) as scorer:
            labels = scorer.labels(images[:1])
            _short(name, MASKS["disc"])(scorer, images[:1], labels)
    for pictures in seen:
        np.testing.assert_array_equal(
            pictures[:, :, outside],
            np.broadcast_to(images[:1, :, outside], (len(pictures), 1, outside.sum())),
        )


def test_a_patch_of_any_colour_fools_where_a_small_change_does_not(
    linear: Classifier, images: NDArray[np.uint8]
) -> None:
    mask = Mask(shape="rectangle", at=(0.5, 0.25), size=(1, 0.5))
    with Scorer(linear, workers=1) as scorer:
        labels = scorer.labels(images)
        free = GradientAscent(confidence=0.9, mask=mask)(scorer, images, targets=(labels + 1) % 5)
        small = PGD(eps=2 / 255, mask=mask)(scorer, images, labels)
    assert free.success.mean() > small.success.mean()
    assert (free.pixels[:, :, 3:] == images[:, :, 3:]).all()


def test_the_window_of_the_search_is_the_masks(
    linear: Classifier, images: NDArray[np.uint8]
) -> None:
    """With a mask of one pixel every try of Square and one-pixel changes that pixel."""
    mask = Mask(shape="square", at=(0.25, 0.25), size=1 / 6)
    assert mask.raster((6, 6)).sum() == 1
    with Scorer(linear, workers=1) as scorer:
        labels = scorer.labels(images)
        for attack in (
            Square(eps=0.2, queries=20, mask=mask),
            Square(eps=0.2, norm="l2", queries=20, mask=mask),
            OnePixel(population=5, generations=2, mask=mask),
        ):
            result = attack(scorer, images, labels)
            assert (result.norms.l0 == 1).all()


def test_a_substitutes_attack_keeps_to_the_mask(
    victim: Classifier, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> None:
    mask = Mask.model_validate(MASKS["disc"])
    attack = SubstituteAttack(mask=mask, substitute=victim, inner=PGD(eps=1, steps=5))
    result = _attack(attack, victim, images[:4], labels[:4])
    outside = ~mask.raster((6, 6))
    np.testing.assert_array_equal(result.pixels[:, :, outside], images[:4][:, :, outside])
    assert (result.norms.l0 > 0).all()


def test_parameters_without_a_mask_are_what_they_were(tmp_path: Path) -> None:
    assert "mask" not in parameters_of(PGD())
    assert parameters_of(PGD(mask=Mask(shape="disc")))["mask"] == {"shape": "disc"}
    picture = np.zeros((1, 6, 6), np.uint8)
    picture[:, :3] = 255
    path = tmp_path / "mask.png"
    path.write_bytes(encode_png(picture))
    (attack,) = grid("pgd", {"mask": {"picture": str(path)}})
    assert str(tmp_path) not in str(parameters_of(attack))
    first, second = grid("pgd", {"mask": [MASKS["disc"], MASKS["polygon"]]})
    assert first.mask != second.mask


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("disc", "mask: must be a mapping"),
        ({"shape": "disk"}, "mask.shape: must be one of disc"),
        ({"polygon": [[0, 0], [2, 0], [0, 1]]}, "lies outside the picture; corners are shares"),
        ({"shape": "disc", "radius": 1}, "mask.radius: unknown key"),
    ],
)
def test_wrong_masks(mask: Any, message: str) -> None:
    with pytest.raises(AttackError, match=message):
        list(grid("pgd", {"mask": mask}))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Mask(shape="square", size=2), "every pixel of 6 x 6: leave it out"),
        (Mask(shape="disc", size=0.01, at=(0, 0)), "no pixel of 6 x 6.*make it larger"),
        (Mask(picture="nowhere.png"), "nowhere.png: cannot be read"),
    ],
)
def test_masks_that_do_not_fit_the_victim(
    mask: Mask, message: str, victim: Classifier, images: NDArray[np.uint8]
) -> None:
    with Scorer(victim) as scorer, pytest.raises(UsageError, match=message):
        PGD(mask=mask)(scorer, images, np.zeros(len(images), np.int64))
