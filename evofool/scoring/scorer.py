"""The Scorer: every score of a victim comes from here, and every query is counted here."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evofool.classifiers.base import Classifier
from evofool.errors import ScoringError, UsageError
from evofool.images import check_images, to_float
from evofool.randomness import Stream
from evofool.scoring.batches import check_tensor, cropped, filled, is_tensor
from evofool.scoring.counting import Counting
from evofool.scoring.cuda import Precision
from evofool.scoring.devices import Batch
from evofool.scoring.engines import Engine, OutOfMemory, TorchEngine, explained, make_engine
from evofool.scoring.ensemble import EnsembleEngine, combined_scores
from evofool.scoring.gradients import (
    Gradients,
    Loss,
    Wanted,
    differentiable_outputs,
    gradient_batch,
    joined,
)
from evofool.scoring.graph_cache import unseen
from evofool.scoring.held_back import HeldBack
from evofool.scoring.ledger import Heading
from evofool.scoring.ranking import Matrix, Scores, to_scores
from evofool.scoring.services import Answers, ServiceEngine
from evofool.scoring.stream import Elsewhere, Portable, Producer, ScoreStream, settle
from evofool.scoring.transformed import TransformedEngine

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

MAX_BATCH = 65536
"""As in configs."""


class Scorer(Counting):
    """Score images with a victim, in micro-batches, and count every image.

    Args:
        classifier: the victim.
        engine: ``auto``, ``torch`` or ``onnxruntime`` (gradients always use torch), or an existing
            engine, whose device and precision are then used.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        batch: largest number of images in one call of the net (ten crops count as ten, k transforms
            as k).
        workers: threads that work on micro-batches; None means one per usable CPU core.
        budget: largest number of queries (images submitted), or None. For a predict function,
            which may be a service that charges per picture, it covers everything that is sent.
        pad: whether a last, smaller micro-batch is filled up to `batch`, so that all calls of the
            net have one shape. A predict function is never sent pictures for filling up.
        precision: what `map` scores in. Less than ``float32`` (``tf32`` on CUDA, ``bf16``) only
            screens: its results are to be confirmed (`confirm`). All else is float32 always.
        like: another scorer of the same victim, whose engine is used again: to make one can mean
            to export a graph. `engine`, `device` and `precision` are then its.

    Attributes are those of `Counting`, and:
        elsewhere: workers that `map` and `confirm` leave `Portable` producers to; None without.

    Raises:
        UsageError: an engine, device or number that cannot serve this victim.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        engine: str | Engine = "auto",
        device: str = "auto",
        batch: int = 64,
        workers: int | None = None,
        budget: int | None = None,
        pad: bool = False,
        precision: Precision = "float32",
        before: Callable[[int], None] | None = None,
        like: Scorer | None = None,
    ) -> None:
        if batch < 1 or (workers is not None and workers < 1):
            raise UsageError("scoring.batch and scoring.workers must be at least 1")
        if batch > MAX_BATCH:  # a last batch is filled up to it: memory without end
            raise UsageError(f"scoring.batch must be at most {MAX_BATCH}, not {batch}")
        super().__init__(classifier.metered, budget, before)
        self.classifier = classifier
        self.batch = batch
        self.pad = pad and not classifier.metered
        if like is None:
            self.precision, self._device = precision, device
            if isinstance(engine, str):
                self._engine, self.note = make_engine(
                    classifier, engine, device, self.rows_per_call, precision
                )
            else:
                self._engine, self.note = engine, ""
            self.note = "; ".join(note for note in (self.note, unseen(classifier)) if note)
            own = self._engine
            self._gradient_engine = own if isinstance(own, TorchEngine) else None
            # a service is sent one micro-batch at a time, so that what is booked has been sent
            # (one behind HTTP books each of its requests, and may get several at once)
            alone = classifier.metered and not isinstance(own, ServiceEngine)
            self._turn = threading.Lock() if alone else contextlib.nullcontext()
        else:
            self.precision, self._device, self.note = like.precision, like._device, like.note
            self._engine, self._gradient_engine = like._engine, like._gradient_engine
            self._turn = like._turn
        self.workers = workers or usable_cores()
        if (torch := sys.modules.get("torch")) is not None:
            torch.get_num_threads()  # fixes this thread's own number before workers set theirs
        self._pool = ThreadPoolExecutor(self.workers, "scorer", initializer=_one_thread)
        self.elsewhere: Elsewhere | None = None

    def keep_answers(self, place: Callable[[Path | None], Answers]) -> None:
        """Keep every answer of a service, and never send it a picture again whose answer is kept.

        Args:
            place: gives where, of the service's ``cache`` (None without one). It is not called for
                a victim that is no service.

        Raises:
            StoreError: it cannot be written.
        """
        if self.classifier.is_service:
            assert isinstance(self._engine, ServiceEngine)
            self._engine.answers = place(self._engine.cache)
            self.ledger.keep()

    @property
    def engine(self) -> str:
        """Name of the engine in use."""
        return self._engine.name

    @property
    def running(self) -> Engine:
        """What runs the net: to send it elsewhere, or to compare it. Nothing it does is counted."""
        return self._engine

    @property
    def device(self) -> str:
        """Where the net runs."""
        return self._engine.device

    @property
    def way(self) -> str:
        """How the net is run there, in words; empty where there is only one way."""
        return getattr(self._engine, "way", "")

    @property
    def gradient_device(self) -> str:
        """Where gradients are taken: what `differentiable` gives wants its tensors there.

        Raises:
            ScoringError: the victim has no gradients.
        """
        return self._white_box().device

    @property
    def images_per_batch(self) -> int:
        """Images of one micro-batch: `batch`, or with ten crops a tenth of it, with k transforms a
        k-th (at least 1)."""
        return max(1, self.batch // self.classifier.rows)

    @property
    def rows_per_call(self) -> int:
        """Images, crops and transforms counted, of each call of the net if all are of one size,
        else 0."""
        return self.images_per_batch * self.classifier.rows if self.pad else 0

    def score(self, images: ArrayLike, *, keep_unscored: bool = False) -> Scores:
        """Log-odds, confidences and labels of `images`.

        When a device runs out of memory the micro-batch is halved, for good, and tried again.

        Args:
            images: N x C x H x W of the victim's input shape, uint8, or floating on [0, 1].
            keep_unscored: whether an image that the victim gives no usable scores for (NaN, +inf)
                comes back as such (`Scores.scored`) instead of as an error.

        Raises:
            ImageError: images of the wrong shape, type or range.
            BudgetError: more images than the budget has left; none of them is scored.
            ScoringError: unusable or malformed outputs, or no memory for a single image.
        """
        self._check_scores()
        c = self.classifier
        scores = self._scores_of(self._outputs(images))
        if not keep_unscored and not scores.scored.all():
            row = int(np.argmin(scores.scored))
            raise ScoringError(
                f"{c.name} gave non-finite scores (image {row} of {len(scores)}); nothing of it was"
                " kept"
            )
        return scores

    def confidence(self, images: ArrayLike) -> Matrix:
        """The confidences of images, N x classes on [0, 1].

        Args:
            images: N x C x H x W of the victim's input shape, uint8, or floating on [0, 1].

        Raises:
            ImageError, BudgetError, ScoringError: as `score`.
        """
        return self.score(images).confidence

    def labels(self, images: ArrayLike, *, keep_unscored: bool = False) -> NDArray[np.int64]:
        """The top-1 class of each image, (N,), also for a victim that gives only labels.

        Args:
            images: N x C x H x W of the victim's input shape, uint8, or floating on [0, 1].
            keep_unscored: whether an image without usable scores gets `ranking.NO_CLASS` instead of
                an error.

        Raises:
            ImageError, BudgetError, ScoringError: as `score`.
        """
        if self.classifier.output == "label":
            return self._outputs(images).astype(np.int64).reshape(-1)
        return self.score(images, keep_unscored=keep_unscored).labels

    def logits(self, images: ArrayLike) -> NDArray[np.floating]:
        """The logits of images, N x classes.

        Args:
            images: N x C x H x W of the victim's input shape, uint8, or floating on [0, 1].

        Raises:
            ScoringError: the victim has none (it gives probabilities or labels, or averages crops);
                other errors are as for `score`.
        """
        if self.classifier.output != "logits" or self.classifier.crops > 1:
            what = "ten averaged crops" if self.classifier.crops > 1 else self.classifier.output
            raise ScoringError(f"{self.classifier.name} gives {what}, not logits; use confidence")
        outputs = self.score(images).outputs
        assert outputs is not None
        return outputs

    def map(self, producers: Iterable[Producer]) -> ScoreStream:
        """Scores of micro-batches that are made as they are scored, in the producers' order.

        Producing and scoring run in the workers; `producers` itself is drawn by the caller's
        thread, a few micro-batches ahead, so that making the next overlaps with scoring the last.
        A producer may give a uint8 tensor on the scorer's device. Images without usable scores come
        back as such (`Scores.scored`).
        """
        return self._stream(producers, None)

    def confirm(self, producers: Iterable[Producer]) -> ScoreStream:
        """As `map`, in float32, for images that `map` has scored; they do not count as queries."""
        return self._stream(producers, Heading.CONFIRMATIONS)

    def held_back(self, images: ArrayLike, transforms: int) -> HeldBack:
        """The net's answers under other transforms of the same ranges, which no score is made of.

        They count as forward images, N x `transforms` times the net's own passes, and as no
        queries.

        Args:
            images: N x C x H x W of the victim's input shape, uint8, or floating on [0, 1].
            transforms: how many, from the first on.

        Raises:
            UsageError: the victim has no transforms.
            ImageError, ScoringError: as `score`.
        """
        transformed, engine = self.classifier.transformed, self._engine
        if transformed is None or not isinstance(engine, TransformedEngine):
            raise UsageError(f"{self.classifier.name} has no transforms, so none can be held back")
        batch = check_images(images, self.classifier.input_shape)
        odds = np.zeros((len(batch), transforms, self.classifier.n_classes))
        labels = np.zeros((len(batch), transforms), np.int64)
        k, net = transformed.config.k, transformed.net
        for start in range(0, transforms, k):  # as many at once as are scored at once
            numbers = range(start, min(start + k, transforms))
            other = TransformedEngine(self.classifier, engine.inner, numbers, Stream.HELD_BACK)

            def work(part: slice, other: TransformedEngine = other) -> Scores:
                with self._lock:
                    self.forward_images += len(batch[part]) * other.transformation.k * net.passes
                return other.each(batch[part])

            scores = self._in_batches(work, len(batch))
            if scores:
                into, shape = slice(numbers.start, numbers.stop), (len(batch), len(numbers))
                rows = np.concatenate([part.log_odds for part in scores])
                odds[:, into] = rows.reshape(*shape, -1)
                labels[:, into] = np.concatenate([part.labels for part in scores]).reshape(shape)
        return HeldBack(odds, labels)

    def in_worker(self, call: Callable[[], T]) -> T:
        """Run `call` in one of the worker threads and return what it gives; nothing is counted."""
        return self._pool.submit(call).result()

    def halve(self) -> int:
        """Halve the micro-batch after an `OutOfMemory`; returns the new one.

        Raises:
            ScoringError: it was 1 already.
        """
        if self.images_per_batch == 1:
            raise ScoringError(
                f"{self.classifier.name}: no memory for a single image on {self.device};"
                " use another device or a smaller victim"
            )
        self.batch //= 2
        return self.batch

    def gradients(
        self,
        images: ArrayLike,
        loss: Loss,
        *,
        wanted: Wanted | None = None,
        keep_unscored: bool = False,
    ) -> Gradients:
        """d loss / d image for each image, by one forward and one backward pass in torch.

        Args:
            images: N x C x H x W, uint8 or on [0, 1].
            loss: gets a float32 tensor n x classes and an int64 tensor (n,), the rows of these
                images in the whole batch; returns n losses, or n x K for K gradients an image from
                one forward pass. The first tensor holds the victim's outputs, or with ten crops the
                logarithm of the averaged confidences.
            wanted: gets the same two tensors and returns n booleans: whether the gradient of the
                image is needed; by default all are. Only these count as backward images. A
                micro-batch without any takes no backward pass; in one with some, the net's backward
                pass runs over the others as well, with zeros, which is not counted, since it comes
                from batching alone (at batch 1 there is none).
            keep_unscored: whether an image whose outputs or gradient are not finite comes back with
                zeros (`Gradients.lost`) instead of as an error.

        Raises:
            ScoringError: the victim has no gradients, or they are not finite; else as `score`.
        """
        engine = self._white_box()
        batch = check_images(images, self.classifier.input_shape)
        self._spend(len(batch))
        self.ledger.book(self.heading, len(batch))
        rows = np.arange(len(batch))

        def work(part: slice) -> Gradients:
            passes = self.classifier.passes
            with self._lock:
                self.forward_images += len(rows[part]) * passes
            batch_gradients, backward = gradient_batch(
                self.classifier, engine, to_float(batch[part]), rows[part], loss, wanted
            )
            with self._lock:
                self.backward_images += backward * passes
            return batch_gradients

        result = joined(self._in_batches(work, len(batch)), batch.shape, self.classifier.n_classes)
        if not keep_unscored and result.lost.any():
            raise ScoringError(
                f"{self.classifier.name}: the gradient of the loss is not finite (image"
                f" {int(np.argmax(result.lost))} of {len(batch)})"
            )
        return result

    def differentiable(
        self, *, keep_unscored: bool = False
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """The victim as a function of tensors with gradients, every image of it counted.

        For code that is written for modules, such as the attacks of another library: it takes
        float32 N x C x H x W on [0, 1] on `device` and gives N x classes outputs. The caller splits
        batches and halves them when memory runs out. With
        `keep_unscored` an image without usable scores gets zeros, not an error.

        Raises:
            ScoringError: the victim has no gradients; called with images of another shape.
            BudgetError: from the function, as `score`.
        """

        engine = self._white_box()
        passes = self.classifier.passes

        def outputs_of(x: torch.Tensor) -> torch.Tensor:
            if tuple(x.shape[1:]) != self.classifier.input_shape:
                raise ScoringError(
                    f"images of shape {tuple(x.shape[1:])} were given, but"
                    f" {self.classifier.input_shape} is needed"
                )
            n = len(x)
            self._spend(n)
            self.ledger.book(self.heading, n)
            with self._lock:
                self.forward_images += n * passes
            with explained(self.classifier.name), engine.exact(), engine.module() as module:
                outputs = differentiable_outputs(self.classifier, module, x)
            unscored = (outputs.isnan() | outputs.isposinf()).any(1)
            if bool(unscored.any()):
                if not keep_unscored:
                    raise ScoringError(f"{self.classifier.name} gave non-finite scores")
                outputs = outputs.masked_fill(unscored[:, None], 0.0)

            def count(_: torch.Tensor) -> None:
                with self._lock:
                    self.backward_images += n * passes

            if outputs.requires_grad:
                outputs.register_hook(count)  # type: ignore[no-untyped-call]
            return outputs

        return outputs_of

    def _white_box(self) -> TorchEngine:
        if not self.classifier.white_box:
            raise ScoringError(
                f"{self.classifier.name} is a black box without gradients; use a black-box attack"
            )
        if self._gradient_engine is None:
            self._gradient_engine = TorchEngine(self.classifier, self._device)
        return self._gradient_engine

    def close(self) -> None:
        """End the worker threads; the counts stay readable."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Scorer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _outputs(self, images: ArrayLike) -> NDArray[np.generic]:
        batch = check_images(images, self.classifier.input_shape)
        self._spend(len(batch))
        sent: list[int] = []
        parts = self._in_batches(
            lambda part: self._forward(batch[part], self.heading, sent), len(batch), sent
        )
        if not parts:
            return np.zeros((0, self.classifier.n_classes), np.float32)
        return np.concatenate(parts)

    def _in_batches(
        self, work: Callable[[slice], T], n: int, sent: list[int] | None = None
    ) -> list[T]:
        """`work` on micro-batches of `n` images in the workers, all again after a halving.

        `work` notes in `sent` how many images it has booked.

        Raises:
            BudgetError: the budget does not cover that they are sent again.
        """
        while True:
            step = self.images_per_batch
            futures = [self._pool.submit(work, slice(i, i + step)) for i in range(0, n, step)]
            try:
                return [future.result() for future in futures]
            except OutOfMemory:
                settle(futures)
                self.halve()
                if sent is not None and self.heading == Heading.QUERIES:
                    self.ledger.retry(sum(sent))
                    sent.clear()
                    self._check_budget(0)
            finally:
                settle(futures)

    def _check_scores(self) -> None:
        if self.classifier.output == "label":
            raise ScoringError(
                f"{self.classifier.name} gives only labels, so it has no confidences to rank by;"
                " label-only black-box attacks can use it"
            )

    def _stream(self, producers: Iterable[Producer], heading: Heading | None) -> ScoreStream:
        self._check_scores()
        elsewhere = self.elsewhere

        def submit(producer: Producer) -> Future[Scores]:
            if elsewhere is not None and isinstance(producer, Portable):
                return elsewhere.threads.submit(self._sent, elsewhere, producer, heading)
            return self._pool.submit(self._produce, producer, heading)

        ahead = 2 * self.workers if elsewhere is None else elsewhere.ahead
        return ScoreStream(producers, submit, ahead)

    def _sent(self, elsewhere: Elsewhere, producer: Portable, heading: Heading | None) -> Scores:
        """The scores of what is made and scored elsewhere; each time it is sent is booked."""
        heading = heading or self.heading
        parcel = producer.parcel()
        n = self._fits(parcel.count)
        confirming = heading == Heading.CONFIRMATIONS
        if not confirming:
            self._spend(n, heading)
        passes = (self.images_per_batch if self.pad else n) * self.classifier.passes
        times = 0

        def book(heading: Heading) -> None:
            nonlocal times
            times += 1
            self.ledger.book(heading, n)
            with self._lock:
                self.forward_images += passes

        keep = producer.keep
        scores, images = elsewhere.score(
            parcel,
            batch=self.batch,
            confirming=confirming,
            pictures=keep is not None,
            sending=lambda again: book(Heading.RETRIES if again else heading),
        )
        if keep is not None and images is not None:
            keep(images)
        return dataclasses.replace(scores, forward_images=times * passes)

    def _fits(self, n: int) -> int:
        if n > self.images_per_batch:
            raise ScoringError(f"{n} images in a micro-batch of {self.images_per_batch}")
        return n

    def _produce(self, producer: Producer, heading: Heading | None = None) -> Scores:
        heading = heading or self.heading
        images = self._made(producer())
        self._fits(len(images))
        confirming = heading == Heading.CONFIRMATIONS
        if not confirming:
            self._spend(len(images), heading)
        screen = not confirming and self.precision != "float32"
        scores = self._scores_of(self._forward(images, heading, screen=screen))
        rows = self.images_per_batch if self.pad else len(images)
        return dataclasses.replace(scores, forward_images=rows * self.classifier.passes)

    def _scores_of(self, outputs: NDArray[np.generic]) -> Scores:
        c = self.classifier
        several = c.transformed is not None and c.transformed.config.k > 1
        net = c if c.transformed is None else c.transformed.net
        if several or net.ensemble is not None:
            return combined_scores(np.asarray(outputs, np.float64))
        return to_scores(outputs, c.output, c.link, c.crops)

    def _made(self, images: object) -> Batch:
        """What a producer made, checked; for the torch engine a tensor stays where it is."""
        shape = self.classifier.input_shape
        if (
            is_tensor(images)
            and isinstance(self._engine, TorchEngine | EnsembleEngine | TransformedEngine)
            and not (images.is_floating_point() and images.device.type == "cpu")
        ):
            return check_tensor(images, shape, self.device)
        return check_images(images, shape)

    def _forward(
        self,
        images: Batch,
        heading: Heading,
        sent: list[int] | None = None,
        *,
        screen: bool = False,
    ) -> NDArray[np.generic]:
        """Raw outputs of one micro-batch, (n * crops) x classes, checked."""
        n = len(images)
        if self.pad:
            images = filled(images, self.images_per_batch)
        if self.classifier.crops > 1:
            assert self.classifier.crop_size is not None
            images = cropped(images, self.classifier.crop_size)
        engine = self._engine
        if isinstance(engine, ServiceEngine):
            assert isinstance(images, np.ndarray)
            return self._of_service(engine, images, heading)
        with self._turn:
            self.ledger.book(heading, n)
            if sent is not None:
                sent.append(n)
            with self._lock:
                passes = self.classifier.passes // self.classifier.crops  # crops are images here
                self.forward_images += len(images) * passes
            if isinstance(engine, TorchEngine | EnsembleEngine | TransformedEngine):
                outputs = engine.screen(images) if screen else engine.forward(images)
            else:
                assert isinstance(images, np.ndarray)
                outputs = np.asarray(engine.forward(images))
        if self.classifier.output != "label" and np.issubdtype(outputs.dtype, np.integer):
            outputs = outputs.astype(np.float64)
        self._check(outputs, len(images))
        return outputs[: n * self.classifier.crops]

    def _of_service(
        self, engine: ServiceEngine, images: NDArray[Any], heading: Heading
    ) -> NDArray[np.generic]:
        outputs, sent = engine.asked(images, self.ledger, heading)
        with self._lock:
            self.forward_images += sent
        self._check(outputs, len(images))
        return outputs

    def _check(self, outputs: NDArray[np.generic], rows: int) -> None:
        c = self.classifier
        wanted: tuple[int, ...] = (rows,) if c.output == "label" else (rows, c.n_classes)
        if outputs.shape != wanted:
            raise ScoringError(
                f"{c.name} gave an array of shape {outputs.shape}, but {wanted} is needed"
            )
        if c.output == "label":
            if not np.issubdtype(outputs.dtype, np.integer):
                raise ScoringError(f"{c.name} gives labels, which must be integers")
            if outputs.size and not (outputs.min() >= 0 and outputs.max() < c.n_classes):
                raise ScoringError(f"{c.name} gave a label outside 0..{c.n_classes - 1}")
        elif not np.issubdtype(outputs.dtype, np.floating):
            raise ScoringError(f"{c.name} gave {outputs.dtype} scores, but floats are needed")


def usable_cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _one_thread() -> None:
    """A worker computes with one thread of its own, so no result depends on how many there are."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
