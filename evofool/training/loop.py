"""The training loop: deterministic from the seed, in one process, on the CPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evofool.classifiers.bundled import build_architecture
from evofool.data import Dataset, load_dataset
from evofool.errors import DataError, EvofoolError
from evofool.images import UInt8Images, to_float
from evofool.training.checkpoint import write_checkpoint
from evofool.training.config import OptimiserConfig, TrainConfig

THREADS = 2
"""Fixed, because sums in another order give other weights."""

_TEST_BATCH = 1000


@dataclass(frozen=True)
class TrainProgress:
    """Handed to `progress` after every step.

    Attributes:
        epoch: from 1.
        epochs: how many there will be.
        step: from 1, over the whole training.
        steps: how many there will be.
        loss: of this batch.
        test_accuracy: share of the test split that is right, after the last step of an epoch.
        seconds: since the start.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    test_accuracy: float | None
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    """What a training left behind.

    Attributes:
        weights: the safetensors file.
        card: the JSON beside it that says how it was made.
        test_accuracy: share of the test split that is right, after the last epoch.
        sha256: of the weights file.
        seconds: spent.
    """

    weights: Path
    card: Path
    test_accuracy: float
    sha256: str
    seconds: float


def train(
    config: TrainConfig,
    data: Path | None = None,
    out: Path = Path(),
    progress: Callable[[TrainProgress], None] | None = None,
) -> TrainResult:
    """Trains a net and writes ``NAME.safetensors`` and ``NAME.json`` into `out`.

    The weights are those after the last epoch: the test split is measured and never chosen by.

    Args:
        config: what to train, on what, and how.
        data: the data folder; by default ``$EVOFOOL_DATA``, else ``~/.cache/evofool``.
        out: folder for the two files; made if it is not there.
        progress: called after every step.

    Raises:
        DataError: the data set is missing or damaged.
        EvofoolError: the loss is no longer finite; the message names the step.
    """
    start = time.perf_counter()
    train_set = load_dataset(config.dataset, "train", data)
    test_set = load_dataset(config.dataset, "test", data)
    if train_set.shape != test_set.shape:
        raise DataError(
            f"data set {config.dataset}: images of the two splits differ in size,"
            f" {train_set.shape} and {test_set.shape}"
        )
    with _threads(THREADS):
        net = _initial(config, train_set)
        accuracy = 0.0
        steps = math.ceil(len(train_set) / config.batch)
        optimiser = _optimiser(net, config.optimiser)
        for epoch in range(1, config.epochs + 1):
            for step, (images, labels) in enumerate(_batches(config, train_set, epoch), 1):
                done = (epoch - 1) * steps + step
                _set_rate(optimiser, config, (done - 1) / (steps * config.epochs))
                loss = _step(net, optimiser, images, labels)
                if not math.isfinite(loss):
                    raise EvofoolError(
                        f"training {config.name}: the loss is {loss} at step {done}"
                        f" (epoch {epoch}); lower optimiser.lr"
                    )
                measured = None
                if step == steps:
                    measured = accuracy = measure_accuracy(net, test_set)
                if progress is not None:
                    progress(
                        TrainProgress(
                            epoch,
                            config.epochs,
                            done,
                            steps * config.epochs,
                            loss,
                            measured,
                            time.perf_counter() - start,
                        )
                    )
    net.eval()
    written = write_checkpoint(net, config, out, test_set, len(train_set), accuracy)
    return TrainResult(
        weights=written.weights,
        card=written.card,
        test_accuracy=accuracy,
        sha256=written.sha256,
        seconds=time.perf_counter() - start,
    )


def measure_accuracy(net: nn.Module, dataset: Dataset) -> float:
    """Share of `dataset` whose largest output is its label; leaves the net's mode as it was."""
    was_training = net.training
    net.eval()
    right = 0
    with torch.inference_mode():
        for begin in range(0, len(dataset), _TEST_BATCH):
            part = slice(begin, begin + _TEST_BATCH)
            predicted = net(torch.from_numpy(to_float(dataset.images[part]))).argmax(1).numpy()
            right += int((predicted == dataset.labels[part]).sum())
    net.train(was_training)
    return right / len(dataset)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _initial(config: TrainConfig, dataset: Dataset) -> nn.Module:
    # Modules draw their initial weights from the global generator and offer no other way.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = build_architecture(config.architecture, dataset.shape, len(dataset.label_names))
    return net.train()


def _optimiser(net: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    if config.name == "adam":
        return torch.optim.Adam(net.parameters(), config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        net.parameters(),
        config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.momentum > 0,
    )


def _set_rate(optimiser: torch.optim.Optimizer, config: TrainConfig, share: float) -> None:
    """`share` of the training lies behind: lr (1 + cos(pi share)) / 2."""
    rate = config.optimiser.lr
    if config.optimiser.schedule == "cosine":
        rate *= (1 + math.cos(math.pi * share)) / 2
    for group in optimiser.param_groups:
        group["lr"] = rate


def _step(
    net: nn.Module, optimiser: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor
) -> float:
    optimiser.zero_grad(set_to_none=True)
    loss = functional.cross_entropy(net(images), labels)
    torch.autograd.backward(loss)
    optimiser.step()
    return float(loss.detach())


def _batches(
    config: TrainConfig, dataset: Dataset, epoch: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches of one epoch; order and augmentation depend on (seed, epoch) only."""
    generator = np.random.default_rng([config.seed, epoch])
    order = generator.permutation(len(dataset))
    for begin in range(0, len(order), config.batch):
        chosen = order[begin : begin + config.batch]
        images = augment(dataset.images[chosen], config.shift, config.mirror, generator)
        yield torch.from_numpy(to_float(images)), torch.from_numpy(dataset.labels[chosen])


def augment(
    images: UInt8Images, shift: int, mirror: bool, generator: np.random.Generator
) -> UInt8Images:
    """Moves every image by up to `shift` pixels each way (black comes in) and mirrors half."""
    count, _, height, width = images.shape
    if shift:
        padded = np.pad(images, ((0, 0), (0, 0), (shift, shift), (shift, shift)))
        top, left = generator.integers(0, 2 * shift + 1, size=(2, count))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        images = windows[np.arange(count), :, top, left]
    if mirror:
        flips = generator.integers(0, 2, size=(count, 1, 1, 1))
        images = np.where(flips == 1, images[..., ::-1], images)
    return np.ascontiguousarray(images)
