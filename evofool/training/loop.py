"""From a config to a weights file and its card: deterministic from the seed, in one process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.nets.checkpoints import load_strictly, read_state_dict
from evofool.classifiers.sources.headed import load_backbone
from evofool.config import Loaded
from evofool.data import Dataset, load_dataset
from evofool.errors import DataError, Interrupted, UsageError
from evofool.training.adversary import Adversary, FgsmAdversary, PgdAdversary
from evofool.training.batches import Batches
from evofool.training.config import PgdAdversaryConfig, TrainConfig
from evofool.training.devices import choose_device, repeatable
from evofool.training.finished import check_replaceable, result_keys
from evofool.training.fitting import Diverged, FitStep, Fitting
from evofool.training.heads import calibrate, prepare
from evofool.training.losses import loss_of
from evofool.training.measure import measure_accuracy, measure_adversarial
from evofool.training.penalties import Penalty
from evofool.training.plan import checked_start
from evofool.training.sources import load_sources, make_adversary, source_code, step_size, to_device
from evofool.training.state import Checkpoints, State
from evofool.training.teaching import Lesson, learnt, soft_labels
from evofool.training.weights import Written, round_weights, write_weights

CHECKPOINT_SECONDS = 30.0
"""Within an epoch, a checkpoint is written about so often."""


@dataclass(frozen=True)
class TrainProgress:
    """The state of a training, given to `progress` after every step.

    Attributes:
        epoch: from 1.
        epochs: how many there will be.
        step: from 1, over the whole training.
        steps: how many there will be.
        loss: of this batch.
        test_accuracy: share of the test split that is right, after the last step of an epoch.
        seconds: since the start of this process's part.
        accuracy: share of this batch that was right.
        adversarial_accuracy: share of the first test images that stay right under the config's
            adversary, after the last step of an epoch; None where there is no adversary.
        resumed_at: steps that an earlier process had done.
        teacher: whether this is the teacher of a distillation, whose epochs are counted apart.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    test_accuracy: float | None
    seconds: float
    accuracy: float | None = None
    adversarial_accuracy: float | None = None
    resumed_at: int = 0
    teacher: bool = False

    @property
    def seconds_left(self) -> float:
        """As the steps of this process went."""
        return self.seconds / (self.step - self.resumed_at) * (self.steps - self.step)


@dataclass(frozen=True)
class TrainResult:
    """The result of a training.

    Attributes:
        weights: the safetensors file.
        card: the JSON beside it that describes how it was made.
        test_accuracy: share of the test split that is right, after the last epoch.
        sha256: of the weights file.
        seconds: spent, over all processes.
        adversarial_accuracy: as in `TrainProgress`, after the last epoch.
    """

    weights: Path
    card: Path
    test_accuracy: float
    sha256: str
    seconds: float
    adversarial_accuracy: float | None = None


def train(
    config: TrainConfig | Loaded[TrainConfig],
    data: Path | None = None,
    out: Path = Path(),
    progress: Callable[[TrainProgress], None] | None = None,
    *,
    fresh: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> TrainResult:
    """Trains a net and writes ``NAME.safetensors`` and ``NAME.json`` into `out`.

    Of a distillation, the teacher's ``NAME-teacher.safetensors`` and card come first.

    The weights are those after the last epoch: the test split is measured, but nothing is chosen by
    it. Where `out` holds a checkpoint of exactly this training, it goes on from there to the same
    weights as if it had never stopped.

    Args:
        config: what to train, on what, and how; relative paths start from the folder of a `Loaded`
            one.
        data: the data folder; by default ``$EVOFOOL_DATA``, else ``~/.cache/evofool``.
        out: folder for the files; made if it is not there.
        progress: called after every step.
        fresh: start over, whatever checkpoint or finished weights there are.
        should_stop: called after every step; if it returns true, a checkpoint is written and the
            training ends.

    Raises:
        DataError: the data set is missing or damaged.
        UsageError: a source that does not fit, no such device, a checkpoint or finished weights of
            another training.
        Diverged: the loss is no longer finite; the message names the step and what is kept.
        Interrupted: `should_stop` returned true.
    """
    plain = config.config if isinstance(config, Loaded) else config
    first, lesson = plain.teacher, None
    with repeatable():
        if first is not None:
            lesson = None if fresh else learnt(plain, out)
        if first is not None and lesson is None:
            if not fresh:  # before the teacher is trained in vain
                check_replaceable(plain, out)
            asked = replace(config, config=first) if isinstance(config, Loaded) else first
            teacher = _Run(asked, data, out, _of_teacher(progress), fresh, should_stop)
            lesson = Lesson(teacher.finish().weights)
        return _Run(config, data, out, progress, fresh, should_stop, lesson).finish()


def _of_teacher(
    progress: Callable[[TrainProgress], None] | None,
) -> Callable[[TrainProgress], None] | None:
    if progress is None:
        return None
    return lambda p: progress(replace(p, teacher=True))


class _Run:
    """One process's part of a training."""

    def __init__(
        self,
        loaded: TrainConfig | Loaded[TrainConfig],
        data: Path | None,
        out: Path,
        progress: Callable[[TrainProgress], None] | None,
        fresh: bool,
        should_stop: Callable[[], bool] | None,
        lesson: Lesson | None = None,
    ) -> None:
        self.start = time.perf_counter()
        self.config = loaded.config if isinstance(loaded, Loaded) else loaded
        self.device = choose_device(self.config.device, self.config.gpus)
        self.train_set, self.test_set = _load(self.config, data)
        self.code = source_code(loaded, out)
        wanted = self.config.backbone
        self.begun_from = checked_start(self.config, out)
        self.start_sha256 = "" if self.begun_from is None else sha256_file(self.begun_from)
        self.backbone = "" if wanted is None else load_backbone(wanted).digest
        if not fresh:  # before a source is run that is not the one of the checkpoint
            told = {"config": result_keys(self.config), "code": self.code}
            Checkpoints(out, self.config.name, told).check()
            check_replaceable(self.config, out)
        self.static = load_sources(loaded, out, self.train_set)
        to_device(self.static, self.device)
        self.lesson = lesson
        self.out = out
        self.progress = progress
        self.should_stop = should_stop
        self.checkpoints = Checkpoints(out, self.config.name, self._identity())
        if fresh:
            self.checkpoints.discard()
        self.measured: dict[str, float] = {}
        self.adversary: Adversary | None = None
        if self.config.adversary is not None:
            self.adversary = make_adversary(self.config.adversary, self.static)

    def finish(self) -> TrainResult:
        """Trains to the end from the current step."""
        config, penalty = self.config, self.config.penalty
        self.learning = prepare(
            config, self.train_set, self.test_set, self.device, self.should_stop
        )
        if self.begun_from is not None:
            state = read_state_dict(self.begun_from, config.name)
            load_strictly(self.learning.bare, state, config.name, str(self.begun_from))
        self.fitting = Fitting(
            self.learning.net.train(),
            Batches(
                self.learning.train.images,
                self._labels(),
                config.batch,
                config.seed,
                config.shift,
                config.mirror,
                config.augment,
            ),
            epochs=config.epochs,
            optimiser=config.optimiser,
            seed=config.seed,
            adversary=self.adversary,
            device=self.device,
            gpus=config.gpus,
            loss=loss_of(config.loss, self._temperature, config.smoothing),
            penalty=None if penalty is None else Penalty(penalty.kind, penalty.weight),
        )
        self._restore()
        try:
            self.fitting.run(self._after)
        except Diverged as error:
            raise Diverged(f"training {config.name}: {error}; {self._kept()}") from error
        if config.stored is not None:  # what is measured is what the file will hold
            round_weights(self.fitting.module)
            self._measure()
        written = self._write()
        self.checkpoints.discard()
        return TrainResult(
            weights=written.weights,
            card=written.card,
            test_accuracy=self.measured["test_accuracy"],
            sha256=written.sha256,
            seconds=self._seconds(),
            adversarial_accuracy=self.measured.get("adversarial_accuracy"),
        )

    @property
    def _temperature(self) -> float:
        distillation = self.config.distillation
        return self.config.temperature if distillation is None else distillation.temperature

    def _labels(self) -> NDArray[np.generic]:
        """What is learnt: classes, or a teacher's confidences for the images, not augmented."""
        if self.lesson is None:
            return self.learning.train.labels
        return soft_labels(self.lesson, self.train_set, self._temperature, self.device)

    def _restore(self) -> None:
        state = self.checkpoints.read()
        self.resumed_at, self.seconds_before = 0, 0.0
        if state is None and self.lesson is not None:
            # from here on the teacher is known by its weights, and is not trained again
            self.checkpoints.write(State(0, 0, 0.0, {}, self.fitting.state()))
        if state is not None:
            try:
                self.fitting.restore(state.step, state.tensors)
                if state.step == self.fitting.steps and "test_accuracy" not in state.measured:
                    raise ValueError("what was measured at its end is missing")
            except ValueError as error:
                raise UsageError(
                    f"{self.checkpoints.path}: damaged checkpoint ({error});"
                    " give --fresh to start over"
                ) from error
            self.measured = dict(state.measured)
            self.resumed_at, self.seconds_before = state.step, state.seconds
        self.saved_at = time.monotonic()

    def _after(self, step: FitStep) -> None:
        if step.ends_epoch:
            self.fitting.check_weights()
            self._measure()
        if self.progress is not None:
            ended = self.measured if step.ends_epoch else {}
            self.progress(
                TrainProgress(
                    step.epoch,
                    self.config.epochs,
                    step.step,
                    self.fitting.steps,
                    step.loss,
                    ended.get("test_accuracy"),
                    time.perf_counter() - self.start,
                    step.accuracy,
                    ended.get("adversarial_accuracy"),
                    self.resumed_at,
                )
            )
        stop = self.should_stop is not None and self.should_stop()
        due = time.monotonic() - self.saved_at >= CHECKPOINT_SECONDS
        if step.ends_epoch or stop or due:
            self._save(step)
        if stop and step.step < self.fitting.steps:
            raise Interrupted(
                f"training {self.config.name}: stopped after step {step.step} of"
                f" {self.fitting.steps}; the same command continues from {self.checkpoints.path}"
            )

    def _save(self, step: FitStep) -> None:
        self.fitting.check_weights()
        epochs = step.epoch if step.ends_epoch else step.epoch - 1
        self.checkpoints.write(
            State(step.step, epochs, self._seconds(), self.measured, self.fitting.state())
        )
        self.saved_at = time.monotonic()

    def _measure(self) -> None:
        own = self.fitting.source()
        self.measured = {
            "test_accuracy": measure_accuracy(own.net, self.learning.test, self.device)
        }
        wanted = self.config.adversary
        if wanted is not None and wanted.check:
            assert isinstance(self.adversary, FgsmAdversary | PgdAdversary)
            self.measured["adversarial_accuracy"] = measure_adversarial(
                own, self.test_set, wanted.check, self.adversary, self.config.seed, self.device
            )

    def _write(self) -> Written:
        facts: dict[str, Any] = {"test_accuracy": self.measured["test_accuracy"]}
        wanted = self.config.adversary
        if wanted is not None and wanted.check:
            facts["adversarial_accuracy"] = self.measured["adversarial_accuracy"]
            facts["adversarial_check"] = {
                "attack": "pgd" if isinstance(wanted, PgdAdversaryConfig) else "fgsm",
                "eps": wanted.eps,
                "images": min(wanted.check, len(self.test_set)),
                "pixels": "floats",
            }
            if isinstance(wanted, PgdAdversaryConfig):
                facts["adversarial_check"]["step_size"] = step_size(wanted)
                facts["adversarial_check"]["steps"] = wanted.steps
        if self.static:
            facts["sources"] = [
                {"name": Path(entry.name).name, "digest": entry.digest} for entry in self.static
            ]
        if self.begun_from is not None:
            facts["start"] = {"name": self.config.start, "sha256": self.start_sha256}
        if self.lesson is not None:
            facts["teacher"] = {"name": self.lesson.weights.stem, "sha256": self.lesson.sha256}
        if self.config.backbone is not None:
            facts["backbone"] = {
                **self.config.backbone.model_dump(mode="json"), "digest": self.backbone
            }  # fmt: skip
        if self.learning.held_out is not None:
            temperature = calibrate(self.learning, self.device)
            pictures = len(self.learning.held_out)
            facts["calibration"] = {"temperature": temperature, "pictures": pictures}
        facts["device"] = self.device.type
        facts["seconds"] = round(self._seconds(), 1)
        self.learning.bare.eval()
        return write_weights(
            self.learning.bare,
            self.config,
            self.out,
            self.test_set,
            len(self.learning.train),
            facts,
        )

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.start

    def _kept(self) -> str:
        path = self.checkpoints.path
        mend = "lower optimiser.lr"
        if not path.exists():
            return mend
        state = None
        with suppress(UsageError):
            state = self.checkpoints.read()
        where = "" if state is None else f", after step {state.step} (epoch {state.epoch}),"
        return f"{mend} and start over with --fresh; the last good checkpoint{where} is in {path}"

    def _identity(self) -> Mapping[str, Any]:
        identity = {
            "config": result_keys(self.config),
            "data": _digest(self.train_set),
            "sources": [entry.digest for entry in self.static],
            "device": self.device.type,
            "torch": torch.__version__,
        }
        if self.begun_from is not None:
            identity["start"] = self.start_sha256
        if self.backbone:
            identity["backbone"] = self.backbone
        if self.code:
            identity["code"] = self.code
        if self.lesson is not None:
            identity["teacher"] = self.lesson.sha256
        return identity


def training_set(config: TrainConfig, data: Path | None = None) -> Dataset:
    """The pictures that a net is trained on, before any are held out for calibration.

    Raises:
        DataError: the data set, or its split ``validation`` where that is asked for, is missing.
    """
    shown = load_dataset(config.dataset, "train", data)
    if config.validation:
        more = load_dataset(config.dataset, "validation", data)
        shown = replace(
            shown,
            images=np.concatenate([shown.images, more.images]),
            labels=np.concatenate([shown.labels, more.labels]),
        )
    return shown.spread(config.limit)


def _load(config: TrainConfig, data: Path | None) -> tuple[Dataset, Dataset]:
    train_set = training_set(config, data)
    test_set = load_dataset(config.dataset, "test", data)
    if train_set.shape != test_set.shape:
        raise DataError(
            f"data set {config.dataset}: images of the two splits differ in size,"
            f" {train_set.shape} and {test_set.shape}"
        )
    return train_set, test_set


def _digest(dataset: Dataset) -> str:
    digest = hashlib.sha256(dataset.images.tobytes())
    digest.update(dataset.labels.tobytes())
    return digest.hexdigest()
