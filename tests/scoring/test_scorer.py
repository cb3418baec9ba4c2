"""Counting, budgets, micro-batches, crops: what every reported figure rests on."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import (
    Classifier,
    from_module,
    from_predict,
    load_classifier,
    with_crops,
)
from evofool.errors import BudgetError, ImageError, ScoringError, UsageError
from evofool.scoring import Scorer

MakeScorer = Callable[..., Scorer]
Images = NDArray[np.uint8]
SHAPE = (1, 6, 6)


# counts


def test_every_image_is_counted(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim, batch=4)
    scorer.score(images)
    assert (scorer.queries, scorer.forward_images, scorer.backward_images) == (11, 11, 0)
    scorer.labels(images[:3])
    scorer.logits(images[:2])
    scorer.confidence(images[:1])
    assert (scorer.queries, scorer.forward_images) == (17, 17)
    scorer.gradients(images, lambda outputs, rows: outputs[:, 0])
    assert (scorer.queries, scorer.forward_images, scorer.backward_images) == (28, 28, 11)


def test_padding_goes_forward_but_is_no_query(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    shapes: set[int] = set()
    scorer = make_scorer(victim, batch=4, pad=True, engine="torch")
    engine: Any = scorer._engine
    hook = engine._plain.register_forward_pre_hook(lambda _, given: shapes.add(len(given[0])))
    scores = scorer.score(images)
    hook.remove()  # other tests share the victim
    assert len(scores) == 11
    assert shapes == {4}
    assert (scorer.queries, scorer.forward_images) == (11, 12)


def test_ten_crops_count_ten_times(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    cropped = with_crops(victim, 10)
    side = cropped.input_shape[1]
    wide = np.zeros((3, 1, side, side), np.uint8)
    scorer = make_scorer(cropped, batch=20, pad=True)
    assert scorer.images_per_batch == 2
    scorer.score(wide)
    assert (scorer.queries, scorer.forward_images) == (3, 40)
    scorer.gradients(wide, lambda outputs, rows: outputs[:, 0])
    assert (scorer.queries, scorer.forward_images, scorer.backward_images) == (6, 70, 30)


def test_a_refused_request_is_refused_as_a_whole(
    make_scorer: MakeScorer, linear: Callable[[Images], Any], images: Images
) -> None:
    seen: list[int] = []

    def predict(batch: Images) -> Any:
        seen.append(len(batch))
        return linear(batch)

    box = from_predict(predict, input_shape=SHAPE, output="logits")
    scorer = make_scorer(box, batch=2, budget=12)
    scorer.score(images)
    seen.clear()
    for ask in (scorer.score, scorer.confidence, scorer.labels, scorer.logits):
        with pytest.raises(BudgetError, match="budget of 12 images has 1 left, 2 were asked for"):
            ask(images[:2])
    assert seen == []
    assert (scorer.queries, scorer.forward_images) == (11, 11)
    scorer.score(images[:1])
    assert scorer.queries == 12


def test_the_budget_covers_gradients(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim, budget=10)
    with pytest.raises(BudgetError):
        scorer.gradients(images, lambda outputs, rows: outputs[:, 0])
    assert (scorer.queries, scorer.forward_images, scorer.backward_images) == (0, 0, 0)


def test_wrong_images_cost_nothing(
    victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(victim)
    with pytest.raises(ImageError, match="1 x 5 x 6 were given, but 1 x 6 x 6 is needed"):
        scorer.score(images[:, :, :5])
    with pytest.raises(ImageError, match="between 0 and 1"):
        scorer.score(images.astype(np.float32))
    assert (scorer.queries, scorer.forward_images) == (0, 0)


def test_no_images(victim: Classifier, make_scorer: MakeScorer) -> None:
    scorer = make_scorer(victim)
    none = np.zeros((0, *SHAPE), np.uint8)
    assert scorer.score(none).confidence.shape == (0, 5)
    assert scorer.labels(none).shape == (0,)
    gradients = scorer.gradients(none, lambda outputs, rows: outputs[:, 0])
    assert gradients.values.shape == none.shape
    assert gradients.loss.shape == (0,)
    assert gradients.outputs.shape == (0, 5)
    assert scorer.forward_images == 0


# micro-batches and engines change nothing


VICTIMS = {
    "mnist-lenet": 70,
    "imagenet-efficientnet-lite0": 4,
}


@pytest.fixture(scope="module", params=VICTIMS)
def bundled(request: pytest.FixtureRequest) -> tuple[Classifier, Images]:
    """A shipped victim and pictures for it: noise of several scales."""
    victim = load_classifier(request.param)
    n = VICTIMS[request.param]
    channels, height, width = victim.input_shape
    rng = np.random.default_rng(8)
    small = rng.integers(0, 256, (n, channels, height // 7, width // 7), dtype=np.uint8)
    images = small.repeat(7, axis=2).repeat(7, axis=3)
    images[::2] = rng.integers(0, 256, images[::2].shape, dtype=np.uint8)
    return victim, images


def test_how_it_is_scored_changes_nothing(
    bundled: tuple[Classifier, Images], make_scorer: MakeScorer
) -> None:
    victim, images = bundled
    assert victim.module is not None
    with torch.no_grad():
        logits = victim.module(torch.from_numpy(images).float() / 255).double()
    expected = logits.softmax(1).numpy()
    ways = [
        {"engine": "torch", "batch": 64, "workers": 1},
        {"engine": "torch", "batch": 3, "workers": 2, "pad": True},
        {"engine": "onnxruntime", "batch": 1, "workers": 2},
        {"engine": "onnxruntime", "batch": 3, "workers": 1, "pad": True},
    ]
    if len(images) > 10:  # cheap: all there are
        ways = [
            {"engine": engine, "batch": batch, "pad": pad, "workers": workers}
            for engine in ("torch", "onnxruntime")
            for batch in (1, 3, 64)
            for pad in (False, True)
            for workers in (1, 2)
        ]
    reference = make_scorer(victim, engine="torch", batch=len(images), workers=1).score(images)
    for way in ways:
        scores = make_scorer(victim, **way).score(images)
        assert np.abs(scores.log_odds - reference.log_odds).max() <= 1e-4, way
        assert (scores.labels == reference.labels).all(), way
        assert np.abs(scores.confidence - expected).max() <= 1e-5, way


def test_workers_change_no_bit(bundled: tuple[Classifier, Images], make_scorer: MakeScorer) -> None:
    victim, images = bundled
    for engine in ("torch", "onnxruntime"):
        one, two = (
            make_scorer(victim, engine=engine, batch=2, workers=workers, pad=True).score(images)
            for workers in (1, 2)
        )
        assert np.array_equal(one.log_odds, two.log_odds), engine


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_bytes_and_floats_agree(
    victim: Classifier, make_scorer: MakeScorer, images: Images, engine: str
) -> None:
    scorer = make_scorer(victim, engine=engine)
    floats = images / 255.0
    for given in (floats, floats.astype(np.float32), floats.tolist(), torch.tensor(floats)):
        assert np.array_equal(scorer.score(given).log_odds, scorer.score(images).log_odds)
    one, two = (scorer.gradients(x, lambda outputs, rows: outputs[:, 1]) for x in (images, floats))
    assert np.array_equal(one.values, two.values)


def test_a_black_box_sees_the_lattice(
    black_box: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(black_box)
    expected = scorer.score(images).log_odds
    assert np.array_equal(scorer.score((images / 255).astype(np.float32)).log_odds, expected)
    with pytest.raises(ScoringError, match="round the images to the lattice"):
        scorer.score(np.full((1, *SHAPE), 0.5))


# a victim that spoils its input


def test_a_black_box_cannot_change_the_pictures(
    make_scorer: MakeScorer, linear: Callable[[Images], Any], images: Images
) -> None:
    def predict(batch: Images) -> Any:
        scores = linear(batch)
        batch[:] = 0
        return scores

    scorer = make_scorer(from_predict(predict, input_shape=SHAPE, output="logits"), batch=4)
    before = images.copy()
    first = scorer.score(images).log_odds
    assert np.array_equal(images, before)
    assert np.array_equal(scorer.score(images).log_odds, first)


class InPlace(nn.Module):
    """Normalises by writing into its input, as much code does."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images.sub_(0.5).div_(0.25)
        outputs: torch.Tensor = self.net(images)
        return outputs


def test_a_module_cannot_change_the_pictures(
    net: nn.Module, make_scorer: MakeScorer, images: Images
) -> None:
    scorer = make_scorer(from_module(InPlace(net), input_shape=SHAPE), engine="torch")
    floats = (images / 255).astype(np.float32)
    before = floats.copy()
    outputs = scorer.logits(floats)
    assert np.array_equal(floats, before)
    gradients = scorer.gradients(floats, lambda outputs, rows: outputs[:, 0])
    assert np.array_equal(floats, before)
    assert gradients.outputs == pytest.approx(outputs, abs=1e-5)


def test_read_only_pictures(
    victim: Classifier, make_scorer: MakeScorer, images: Images, recwarn: pytest.WarningsRecorder
) -> None:
    scorer = make_scorer(victim, engine="torch")
    for fixed in (images.copy(), (images / 255).astype(np.float32)):
        fixed.flags.writeable = False
        scorer.score(fixed)
        scorer.gradients(fixed, lambda outputs, rows: outputs[:, 0])
    assert [str(w.message) for w in recwarn] == []


# ten crops


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
@pytest.mark.parametrize("batch", [1, 10, 25, 64])
def test_ten_crops_are_the_plain_loop(
    victim: Classifier, make_scorer: MakeScorer, engine: str, batch: int
) -> None:
    cropped = with_crops(victim, 10)
    side, size = cropped.input_shape[1], 6
    assert side > size
    wide = np.random.default_rng(0).integers(0, 256, (5, 1, side, side), dtype=np.uint8)
    assert victim.module is not None
    expected = []
    gap = side - size
    for image in wide:
        confidences = []
        for top, left in ((0, 0), (0, gap), (gap, 0), (gap, gap), (gap // 2, gap // 2)):
            crop = image[:, top : top + size, left : left + size]
            for view in (crop, crop[:, :, ::-1]):
                x = torch.from_numpy(view.copy()).float()[None] / 255
                with torch.no_grad():
                    confidences.append(victim.module(x).double().softmax(1)[0].numpy())
        expected.append(np.mean(confidences, axis=0))
    scores = make_scorer(cropped, engine=engine, batch=batch, pad=True).score(wide)
    assert scores.confidence == pytest.approx(np.stack(expected), abs=1e-6)


# what a victim cannot give


def test_logits_only_where_there_are_any(
    victim: Classifier,
    black_box: Classifier,
    linear: Callable[[Images], Any],
    make_scorer: MakeScorer,
    images: Images,
) -> None:
    logits = make_scorer(black_box).logits(images)
    assert logits == pytest.approx(linear(images))

    def probs(batch: Images) -> Any:
        z = np.exp(linear(batch))
        return z / z.sum(axis=1, keepdims=True)

    scorer = make_scorer(from_predict(probs, input_shape=SHAPE))
    with pytest.raises(ScoringError, match="gives probs, not logits; use confidence"):
        scorer.logits(images)
    cropped = with_crops(victim, 10)
    with pytest.raises(ScoringError, match="ten averaged crops"):
        make_scorer(cropped).logits(np.zeros((1, *cropped.input_shape), np.uint8))
    assert scorer.queries == 0
    assert scorer.confidence(images) == pytest.approx(probs(images))


@pytest.fixture
def label_only(linear: Callable[[Images], Any]) -> Classifier:
    return from_predict(
        lambda batch: linear(batch).argmax(axis=1),
        input_shape=SHAPE,
        output="label",
        labels=list("abcde"),
        name="oracle",
    )


def test_a_victim_that_gives_labels_only(
    label_only: Classifier,
    linear: Callable[[Images], Any],
    make_scorer: MakeScorer,
    images: Images,
) -> None:
    scorer = make_scorer(label_only, batch=4, pad=True)
    assert scorer.labels(images).tolist() == linear(images).argmax(axis=1).tolist()
    queries = scorer.queries
    asks: list[Callable[[], Any]] = [
        lambda: scorer.score(images),
        lambda: scorer.confidence(images),
        lambda: list(scorer.map([lambda: images[:1]])),
    ]
    for ask in asks:
        with pytest.raises(ScoringError, match="oracle gives only labels"):
            ask()
    with pytest.raises(ScoringError, match="gives label, not logits"):
        scorer.logits(images)
    assert scorer.queries == queries  # a refusal costs nothing
    assert scorer.labels(images[:0]).shape == (0,)


def test_labels_outside_are_refused(
    label_only: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    answers: list[Any] = [np.array([5]), np.array([-1]), np.array([0.0]), np.array([0, 1])]
    for answer, message in zip(answers, ("0..4", "0..4", "integers", "shape"), strict=True):
        bad = dataclasses.replace(label_only, predict=lambda _, answer=answer: answer)
        with pytest.raises(ScoringError, match=message):
            make_scorer(bad).labels(images[:1])


# a victim that misbehaves


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda n: np.full((n, 5), np.nan), r"non-finite scores \(image 0 of 3\)"),
        (lambda n: np.full((n, 5), np.inf), "non-finite"),
        (lambda n: np.zeros((n + 1, 5)), r"shape \(4, 5\), but \(3, 5\) is needed"),
        (lambda n: np.zeros((n - 1, 5)), r"shape \(2, 5\), but \(3, 5\)"),
        (lambda n: np.zeros((n, 4)), r"shape \(3, 4\), but \(3, 5\)"),
        (lambda n: np.zeros(n), r"shape \(3,\), but"),
        (lambda n: None, "gives a NoneType, not a matrix of numbers"),
        (lambda n: [["a"] * 5] * n, "gives a list, not a matrix of numbers"),
    ],
)
def test_malformed_scores(
    black_box: Classifier,
    make_scorer: MakeScorer,
    images: Images,
    answer: Callable[[int], Any],
    message: str,
) -> None:
    broken = dataclasses.replace(black_box, predict=lambda batch: answer(len(batch)))
    with pytest.raises(ScoringError, match=message) as caught:
        make_scorer(broken).score(images[:3])
    assert str(caught.value).startswith("box ")


def test_the_bad_image_is_named(
    black_box: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    def predict(batch: Images) -> Any:
        scores = np.zeros((len(batch), 5))
        scores[2, 3] = np.nan
        return scores

    broken = dataclasses.replace(black_box, predict=predict)
    with pytest.raises(ScoringError, match="image 2 of 3"):
        make_scorer(broken).score(images[:3])


def test_whole_numbers_are_scores(make_scorer: MakeScorer, images: Images) -> None:
    box = from_predict(
        lambda batch: batch.reshape(len(batch), -1)[:, :5].astype(np.int32),
        input_shape=SHAPE,
        output="logits",
        link="sigmoid",
    )
    scores = make_scorer(box).score(images)
    assert np.array_equal(scores.log_odds, images.reshape(11, -1)[:, :5].astype(float))


@pytest.mark.parametrize("error", [ValueError("no route\nto host"), KeyError("x"), OSError()])
def test_a_black_box_that_fails_is_named(
    black_box: Classifier, make_scorer: MakeScorer, images: Images, error: Exception
) -> None:
    def predict(batch: Images) -> Any:
        raise error

    broken = dataclasses.replace(black_box, predict=predict)
    with pytest.raises(ScoringError, match=f"box failed while scoring.*{type(error).__name__}"):
        make_scorer(broken).score(images)


def test_a_module_that_fails_is_named(
    net: nn.Module, victim: Classifier, make_scorer: MakeScorer, images: Images
) -> None:
    class Sometimes(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise ValueError("not today")

    broken = dataclasses.replace(victim, module=Sometimes())
    scorer = make_scorer(broken, engine="torch")
    with pytest.raises(ScoringError, match=r"tiny failed while scoring \(ValueError: not today\)"):
        scorer.score(images)
    with pytest.raises(ScoringError, match="tiny failed"):
        scorer.gradients(images, lambda outputs, rows: outputs[:, 0])


def test_after_an_error_no_more_is_asked(
    black_box: Classifier,
    make_scorer: MakeScorer,
    images: Images,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failed request must not go on costing queries of a service."""
    calls: list[int] = []
    cancels: list[object] = []
    all_cancelled = threading.Event()
    cancel = Future.cancel

    def counted(future: Future[Any]) -> bool:
        cancelled = cancel(future)
        cancels.append(future)
        if len(cancels) == len(images):
            all_cancelled.set()
        return cancelled

    def predict(batch: Images) -> Any:
        calls.append(len(batch))
        if len(calls) > 1:
            all_cancelled.wait(600)
        raise ValueError("over the limit")

    monkeypatch.setattr(Future, "cancel", counted)
    scorer = make_scorer(dataclasses.replace(black_box, predict=predict), batch=1, workers=1)
    with pytest.raises(ScoringError, match="over the limit"):
        scorer.score(images)
    assert len(calls) <= 2  # the one that failed, and the one that had begun by then
    asked = len(calls)
    scorer._pool.submit(lambda: None).result()  # whatever is queued would run before this
    assert len(calls) == asked


# arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, r"scoring\.batch"),
        ({"batch": -3}, r"scoring\.batch"),
        ({"workers": 0}, r"scoring\.workers"),
        ({"budget": -1}, r"scoring\.budget"),
        ({"engine": "tensorrt"}, r"scoring\.engine: tensorrt is not one of"),
        ({"device": "gpu"}, r"scoring\.device: gpu is not one of"),
        ({"device": "cuda:x", "engine": "torch"}, r"scoring\.device: cuda:x"),
        ({"device": "cuda:-1", "engine": "torch"}, r"scoring\.device: cuda:-1"),
        ({"device": "cuda:99"}, r"scoring\.device: cuda:99 is not on this machine"),
        ({"device": "cuda", "engine": "onnxruntime"}, "runs on the cpu; use engine torch"),
    ],
)
def test_wrong_options(victim: Classifier, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Scorer(victim, **options)


def test_a_black_box_takes_no_engine(black_box: Classifier) -> None:
    with pytest.raises(UsageError, match="cannot run box, which is a predict function"):
        Scorer(black_box, engine="torch")


def test_a_budget_of_nothing(victim: Classifier, make_scorer: MakeScorer, images: Images) -> None:
    with pytest.raises(BudgetError, match="has 0 left"):
        make_scorer(victim, budget=0).score(images[:1])


def test_counts_are_readable_after_the_end(victim: Classifier, images: Images) -> None:
    with Scorer(victim) as scorer:
        scorer.score(images)
    assert (scorer.queries, scorer.forward_images) == (11, 11)
    assert scorer.engine in ("torch", "onnxruntime")
    assert scorer.device == "cpu" or scorer.device.startswith("cuda")


def test_a_batch_that_no_memory_holds(make_scorer: MakeScorer, toy_victim: Classifier) -> None:
    with pytest.raises(UsageError, match="at most 65536, not 1000000000"):
        make_scorer(toy_victim, batch=10**9, pad=True)
