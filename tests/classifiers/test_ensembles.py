"""An ensemble as a classifier: its classes, its digest, and what no ensemble can be made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evofool.classifiers import (
    Classifier,
    from_members,
    from_module,
    from_predict,
    inspect_classifier,
    load_classifier,
    with_crops,
)
from evofool.config import ClassifierConfig
from evofool.defenses.transforms import BitDepth
from evofool.defenses.victims import put_around
from evofool.errors import ClassifierError, UsageError

TRIO = Path(__file__).parents[1] / "toys" / "trio.py"


def named(name: str) -> str:
    return f"{TRIO}:{name}"


def net(name: str) -> Classifier:
    return load_classifier(named(name))


@pytest.fixture(scope="module")
def first() -> Classifier:
    return net("first")


def test_classes_go_by_name(first: Classifier) -> None:
    victim = from_members([first, net("second"), net("sigmoids")])
    assert victim.ensemble is not None
    assert victim.labels == first.labels
    assert victim.ensemble.classes == (
        (0, 1, 2, 3, 4, 5, 6), (6, 5, 4, 3, 2, 1, 0), (1, 2, 3, 4, 5, 6, 7),
    )  # fmt: skip
    assert victim.ensemble.note == (
        "its 7 classes are those that all members have; classes left out: 2 of sigmoids ('x', 'y')"
    )
    shared = from_members([first, net("halves")])
    assert shared.labels == ("a", "b", "c")
    assert shared.ensemble is not None
    assert "4 of first ('d', 'e', 'f', ...), 4 of halves ('p', 'q', 'r', ...)" in (
        shared.ensemble.note
    )


def test_the_picture_has_the_size_of_the_largest_member(first: Classifier) -> None:
    small = net("small")
    assert from_members([small, first]).input_shape == (1, 6, 6)
    colours = from_predict(
        lambda images: images[:, 0, :, :2].reshape(-1, 14)[:, :7] / 2000,
        input_shape=(3, 7, 4),
        labels=first.labels,
    )
    assert from_members([small, first, colours]).input_shape == (3, 6, 6)


def test_the_digest_is_of_members_and_rule_and_not_of_their_order(first: Classifier) -> None:
    small, second = net("small"), net("second")
    digest = from_members([first, small]).digest
    assert from_members([small, first]).digest == digest
    assert from_members([first, small], name="another").digest == digest
    others = [
        from_members([first, small], rule="mean"),
        from_members([first, second]),
        from_members([second, first]),  # whose classes come in another order
        from_members([first, small, second]),
        from_members([first]),
        first,
    ]
    assert len({digest, *(other.digest for other in others)}) == 1 + len(others)


def test_an_ensemble_of_one_net_is_named_and_takes_its_gradients(first: Classifier) -> None:
    victim = from_members([first])
    assert (victim.name, victim.white_box, victim.passes) == ("least of first", True, 1)
    assert from_members([first, net("black")]).white_box is False


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (["first", "others"], r"first and others share no classes \('a', 'b', 'c', ... against"),
        (["first", "numbered"], "a number says nothing of what a class is"),
        (["first", "small", "first"], "first and first are the same net; name each once"),
        ([], "an ensemble needs at least one net"),
    ],
)
def test_refused(members: list[str], message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        from_members([net(name) for name in members])


def test_refused_members(first: Classifier) -> None:
    labels_only = from_predict(
        lambda images: images[:, 0, 0, 0] % 7, input_shape=(1, 6, 6), labels=first.labels,
        output="label", name="hard",
    )  # fmt: skip
    with pytest.raises(ClassifierError, match="hard gives only labels"):
        from_members([first, labels_only])
    with pytest.raises(ClassifierError, match="is itself an ensemble; list its members instead"):
        from_members([first, from_members([net("small")])])
    with pytest.raises(ClassifierError, match="first averages crops"):
        from_members([with_crops(first, 10)])
    with pytest.raises(ClassifierError, match="an ensemble cannot average crops"):
        with_crops(from_members([first]), 10)
    with pytest.raises(ClassifierError, match="least or mean, not 'most'"):
        from_members([first], rule="most")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"is an ensemble, .* defend its members"):
        put_around(from_members([first]), BitDepth(3))


def test_from_a_config(first: Classifier) -> None:
    spec = {"ensemble": [named("first"), {"name": named("small")}], "rule": "mean"}
    victim = load_classifier(spec)
    assert victim.name == victim.headline == "mean of trio:first, trio:small"
    assert victim.digest == from_members([first, net("small")], rule="mean").digest
    assert load_classifier({**spec, "name": "pair"}).name == "pair"
    written = ClassifierConfig.model_validate(spec).model_dump(exclude_none=True)
    assert load_classifier(written).digest == victim.digest
    assert "ensemble" not in ClassifierConfig(name="mnist-lenet").model_dump()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ensemble": ["mnist-lenet", "mnist-lent"]}, "member 1: classifier mnist-lent: unknown"),
        ({"ensemble": ["mnist-lenet", "/nowhere/net.onnx"]}, "member 1: .*no such file"),
        ({"ensemble": ["mnist-lenet"], "crops": 10}, "cannot average crops"),
        ({"ensemble": ["mnist-lenet"], "labels": ["a", "b"]}, "labels cannot be set for an ensem"),
        ({"name": "mnist-lenet", "rule": "mean"}, "rule is for an ensemble"),
        ({"ensemble": ["mnist-lenet"], "rule": "most"}, "rule: must be one of least, mean"),
        ({"ensemble": [{"ensemble": ["mnist-lenet"]}]}, "holds another ensemble"),
        ({"ensemble": [{"name": "mnist-lenet", "rols": 1}]}, r"ensemble\[0\].rols: unknown key"),
        ({"ensemble": []}, "ensemble: .*at least 1"),
    ],
)
def test_a_wrong_config(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        load_classifier(spec)


def test_described_before_it_is_loaded() -> None:
    here = inspect_classifier({"ensemble": ["mnist-lenet", named("small")]})
    assert (here.ready, here.n_classes) == (True, None)  # only loading shows which are shared
    absent = inspect_classifier({"ensemble": ["mnist-lenet", "/nowhere/net.onnx"]})
    assert not absent.ready
    assert absent.missing.startswith("/nowhere/net.onnx: ")


def test_classes_that_stand_for_no_answer_are_left_out(first: Classifier) -> None:
    import torch

    class Rejecting(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :8]

    import dataclasses

    labels = (*first.labels, "rejected")
    detector = from_module(Rejecting(), input_shape=(1, 6, 6), labels=labels, name="detector")
    victim = from_members([first, dataclasses.replace(detector, reject=7)])
    assert victim.labels == first.labels
    assert victim.reject is None
    assert victim.ensemble is not None
    assert victim.ensemble.note == ""
