"""Nets that answer as a service does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from evofool.classifiers import Classifier, from_module, load_classifier
from evofool.classifiers.answers import with_answers
from evofool.errors import ClassifierError, ScoringError
from evofool.scoring import Scorer

SHAPE = (1, 4, 4)
CLASSES = 7


@pytest.fixture(scope="module")
def net() -> Classifier:
    torch.manual_seed(1)
    return from_module(
        nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES)), input_shape=SHAPE, name="tiny"
    )


@pytest.fixture(scope="module")
def images() -> Any:
    return np.random.default_rng(2).integers(0, 256, (9, *SHAPE), dtype=np.uint8)


def test_the_likeliest_are_told_as_the_net_gives_them_and_no_other(
    net: Classifier, images: Any
) -> None:
    service = with_answers(net, 3)
    assert (service.output, service.white_box, service.metered) == ("topk", False, True)
    with Scorer(net) as scorer:
        whole = scorer.confidence(images)
    with Scorer(service) as scorer:
        told = scorer.confidence(images)
    listed = whole >= np.sort(whole, axis=1)[:, -3:-2]
    np.testing.assert_allclose(told[listed], whole[listed], rtol=1e-5)
    assert (told[~listed] == 0).all()
    with Scorer(service) as scorer, pytest.raises(ScoringError, match="black box"):
        scorer.gradients(images, lambda outputs, rows: outputs[:, 0])


def test_labels_alone(net: Classifier, images: Any) -> None:
    with Scorer(net) as scorer, Scorer(with_answers(net, "label")) as service:
        np.testing.assert_array_equal(service.labels(images), scorer.labels(images))
        with pytest.raises(ScoringError, match="only labels"):
            service.confidence(images)


def test_each_has_a_digest_of_its_own_that_is_the_same_every_time(net: Classifier) -> None:
    found = [with_answers(net, answers).digest for answers in (None, 2, 3, "label", 3)]
    assert len(set(found)) == 4
    assert found[2] == found[4]


def test_in_a_config() -> None:
    service = load_classifier({"name": "mnist-lenet", "answers": 5})
    assert (service.output, service.n_classes) == ("topk", 10)
    assert 0 < service.probed <= 8


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"answers": 0}, "answers: must be a number of classes, 1 or more, or label"),
        ({"answers": True}, "must be a number of classes"),
        ({"answers": "labels"}, "must be a number of classes"),
        ({"answers": 10}, "10 of 10 classes is all of them"),
        ({"answers": 5, "crops": 10}, "without crops"),
        ({"answers": 5, "transforms": {"k": 2}}, "remove transforms"),
    ],
)
def test_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        load_classifier({"name": "mnist-lenet", **spec})
