"""Evolution on signs: black boxes, services that list five classes, the limit of queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.attacks import SignEvolution
from evofool.attacks.lattice.signs import sign_mask
from evofool.classifiers import Classifier, from_predict
from evofool.errors import UsageError
from evofool.scoring import Scorer

Images = NDArray[np.uint8]
SHAPE = (1, 6, 6)
CLASSES = 5


def right(victim: Classifier, images: Images) -> NDArray[np.int64]:
    with Scorer(victim) as scorer:
        return scorer.labels(images)


def test_a_black_box_is_brought_to_its_targets(black_box: Classifier, images: Images) -> None:
    targets = (right(black_box, images) + 1) % CLASSES
    with Scorer(black_box) as scorer:
        found = SignEvolution(confidence=0.6, sign="whole")(scorer, images, targets=targets)
        assert scorer.queries == found.forward_images + found.verify_forward_images
    assert found.success.mean() > 0.8
    assert (right(black_box, found.pixels)[found.success] == targets[found.success]).all()


def test_beside_the_board_nothing_changes(black_box: Classifier, images: Images) -> None:
    with Scorer(black_box) as scorer:
        found = SignEvolution(queries=60)(scorer, images, targets=[1] * len(images))
    mask = sign_mask("disc", SHAPE)
    assert (found.pixels[:, :, ~mask] == images[:, :, ~mask]).all()
    assert (found.pixels[:, :, mask] != images[:, :, mask]).any()


@pytest.mark.parametrize("queries", [1, 19, 20, 53])
def test_the_limit_holds_to_the_query(queries: int, black_box: Classifier, images: Images) -> None:
    with Scorer(black_box) as scorer:
        found = SignEvolution(queries=queries, confidence=1 - 1e-12)(
            scorer, images, targets=[1] * len(images)
        )
    assert (found.forward_each + found.verify_each <= queries + 1).all()


def test_classes_that_are_not_listed_rank_last(matrix: NDArray[np.float32], images: Images) -> None:
    """The two likeliest classes are all that the service tells."""

    def top_two(pictures: Images) -> NDArray[np.float64]:
        z = pictures.reshape(len(pictures), -1) / 255.0 @ matrix.T.astype(np.float64)
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        return np.where(p >= np.sort(p, axis=1)[:, -2:-1], p, np.nan)

    service = from_predict(top_two, input_shape=SHAPE, output="topk", name="service")
    targets = (right(service, images) + 1) % CLASSES
    with Scorer(service) as scorer:
        found = SignEvolution(confidence=0.6, sign="whole")(scorer, images, targets=targets)
    assert found.success.mean() > 0.5


def test_results_depend_on_no_batch(black_box: Classifier, images: Images) -> None:
    attack = SignEvolution(queries=60, seed=4)
    targets = (right(black_box, images) + 1) % CLASSES
    with Scorer(black_box) as scorer:
        together = attack(scorer, images, targets=targets)
        for i in range(3):
            alone = attack(scorer, images[i : i + 1], targets=targets[i : i + 1], ids=[i])
            assert (alone.pixels[0] == together.pixels[i]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": 0}, "queries must be 1 to"),
        ({"grid": 33}, "grid must be 1 to 32"),
        ({"population": 3}, "population must be 4 to"),
        ({"sigma": 0.0}, "sigma must be above 0"),
        ({"confidence": 0.0}, "confidence must be above 0 and below 1"),
        ({"free": -0.1}, "free must be between 0 and 1"),
        ({"sign": "ring"}, "sign 'ring' is not one of"),
    ],
)
def test_bad_parameters(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SignEvolution(**change)


def test_labels_alone(matrix: NDArray[np.float32], images: Images) -> None:
    """A picture that is called its target stays so under noise, the more the surer it is."""

    def label(pictures: Images) -> NDArray[np.int64]:
        z = pictures.reshape(len(pictures), -1) / 255.0 @ matrix.T.astype(np.float64)
        return z.argmax(axis=1)

    service = from_predict(
        label, input_shape=SHAPE, output="label", labels=list("abcde"), name="service"
    )
    targets = (right(service, images) + 1) % CLASSES
    with Scorer(service) as scorer:
        found = SignEvolution(sign="whole", queries=400, noise=0.2)(scorer, images, targets=targets)
        assert scorer.queries == found.forward_images + found.verify_forward_images
    assert found.success.mean() > 0.5
    assert (found.forward_each + found.verify_each <= 401).all()
    assert (label(found.pixels)[found.success] == targets[found.success]).all()
    assert np.isnan(found.confidence).all()
