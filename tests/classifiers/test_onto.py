"""One patch for all pictures: transforms that stick a picture onto pictures of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evofool.classifiers import Classifier, Inspection, inspect_classifier, load_classifier
from evofool.classifiers.transformed import with_transforms
from evofool.classifiers.transforms.pictures import Transformation
from evofool.config.transforms import TransformsConfig
from evofool.data import load_dataset
from evofool.errors import ClassifierError
from evofool.randomness import Stream

ONTO = {"dataset": "mnist-sample", "split": "test", "held_back": "test"}


@pytest.fixture(scope="module")
def net() -> Classifier:
    return load_classifier("mnist-lenet")


def config(**keys: Any) -> TransformsConfig:
    return TransformsConfig.model_validate({"k": 5, "scale": 0.5, "onto": ONTO, **keys})


def test_beside_the_patch_each_picture_is_as_it_was(net: Classifier) -> None:
    victim = with_transforms(net, config())
    assert victim.transformed is not None
    onto = victim.transformed.onto
    assert onto is not None
    seen = Transformation(config(), net.input_shape, onto=onto.scored)
    grey = torch.full((2, *net.input_shape), 0.5)
    levels = seen.to_score(grey).numpy().reshape(2, 5, *net.input_shape)
    wanted = onto.scored.copy()
    wanted[:, :, 7:21, 7:21] = 128
    np.testing.assert_array_equal(levels[0], wanted)
    np.testing.assert_array_equal(levels[1], wanted)
    known = {picture.tobytes() for picture in load_dataset("mnist-sample").images}
    assert len({picture.tobytes() for picture in onto.scored} & known) == 5


def test_gradients_are_of_the_patch_alone(net: Classifier) -> None:
    victim = with_transforms(net, config(k=1, quantise=False))
    assert victim.transformed is not None
    assert victim.transformed.onto is not None
    seen = Transformation(
        config(k=1, quantise=False), net.input_shape, onto=victim.transformed.onto.scored
    )
    x = torch.full((1, *net.input_shape), 0.5, requires_grad=True)
    seen(x)[..., :6].sum().backward()  # beside the patch
    assert x.grad is not None
    assert not x.grad.any()
    x.grad = None
    seen(x)[..., 7:21, 7:21].sum().backward()
    assert x.grad.sum() > 0


def test_other_pictures_are_held_back(net: Classifier) -> None:
    victim = with_transforms(net, config(held_back=7))
    assert victim.transformed is not None
    onto = victim.transformed.onto
    assert onto is not None
    first = onto.under(range(2, 4), Stream.HELD_BACK)
    np.testing.assert_array_equal(first, onto.held_back[2:4])
    assert (len(onto.scored), len(onto.held_back)) == (5, 7)


def test_the_digest_is_of_the_pictures_too(net: Classifier) -> None:
    one = with_transforms(net, config()).digest
    assert with_transforms(net, config(held_back=3)).digest == one
    assert with_transforms(net, config(seed=2)).digest != one


def test_no_onto_changes_no_digest() -> None:
    assert "onto" not in TransformsConfig(k=3).model_dump()
    assert "onto" not in TransformsConfig(k=3).result
    assert config().model_dump()["onto"]["dataset"] == "mnist-sample"


def test_a_dry_run_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOFOOL_DATA", str(tmp_path))

    def inspected(onto: dict[str, str]) -> Inspection:
        transforms = {"scale": 0.5, "onto": onto}
        return inspect_classifier({"name": "mnist-lenet", "transforms": transforms})

    found = inspected({"dataset": "mnist"})
    assert not found.ready
    assert "mnist" in found.missing
    assert inspected(ONTO).ready
    with pytest.raises(ClassifierError, match=r"onto: mnist-sample has no split 'train'"):
        inspected({"dataset": "mnist-sample"})


def test_what_does_not_fit_is_refused(net: Classifier) -> None:
    for keys, message in (
        ({"scale": 1.0}, "hides what it is stuck onto"),
        ({"fill": 0.5}, "remove fill"),
    ):
        with pytest.raises(ValueError, match=message):
            config(**keys)
    with pytest.raises(ClassifierError, match=r"transforms.onto: data set mnist-sample: no split"):
        with_transforms(net, config(onto={**ONTO, "split": "train"}))
    with pytest.raises(ClassifierError, match=r"3 x 32 x 32, but the net takes 1 x 28 x 28"):
        with_transforms(net, config(onto={**ONTO, "dataset": "drawn-boards"}))
