"""Fitting a module to images in memory: the loop that every training here goes through."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers.nets.stored_tensors import kind_of, type_name
from evofool.errors import EvofoolError
from evofool.files import reason
from evofool.images import FloatImages, UInt8Images
from evofool.training import keys
from evofool.training.adversary import Adversary, Source
from evofool.training.augmenting import AugmentConfig
from evofool.training.batches import Batches
from evofool.training.config import OptimiserConfig
from evofool.training.devices import parallel, repeatable
from evofool.training.losses import Losses, cross_entropy
from evofool.training.optimising import Optimiser
from evofool.training.penalties import Penalty

_RISING, _FIRST = 0.3, 1 / 25


class Diverged(EvofoolError):
    """The loss or the weights are no longer finite: what was learnt is lost from here on."""


@dataclass(frozen=True)
class FitStep:
    """What a step of the training gave.

    Attributes:
        epoch: from 1.
        step: from 1, over the whole training.
        ends_epoch: whether it was the last of its epoch.
        loss: of this batch, as minimised.
        accuracy: share of this batch that was classified rightly before the step (of the clean
            images, where any are shown); None where the labels are no classes.
    """

    epoch: int
    step: int
    ends_epoch: bool
    loss: float
    accuracy: float | None


class Fitting:
    """A training in progress: it can be looked at, saved and restored between any two steps.

    Every random draw depends on (seed, epoch, step) only, so one that was restored goes on to the
    same weights, bit for bit, on the same kind of device.

    Args:
        module: float32 N x C x H x W on [0, 1] to outputs; trained in place, and moved to `device`.
        batches: images, labels and their order.
        epochs: passes over them.
        optimiser: see `OptimiserConfig`.
        seed: of dropout and adversaries.
        adversary: makes the adversarial images of each batch, or None.
        loss: outputs and labels to n losses; by default the cross entropy.
        device: where to train.
        gpus: GPUs that share each batch.
        penalty: on the slope at the images that are shown, adversarial ones included, or None.
    """

    def __init__(
        self,
        module: nn.Module,
        batches: Batches,
        *,
        epochs: int,
        optimiser: OptimiserConfig,
        seed: int,
        adversary: Adversary | None = None,
        loss: Losses | None = None,
        device: torch.device | None = None,
        gpus: int = 1,
        penalty: Penalty | None = None,
    ) -> None:
        self.device = torch.device("cpu") if device is None else device
        self.module = module.to(self.device)
        self.batches = batches
        self.epochs = epochs
        self.done = 0
        self._rates = optimiser
        self._optimiser = Optimiser(module.parameters(), optimiser)
        self._seed = seed
        self._adversary = adversary
        self._losses = loss or cross_entropy
        self._penalty = penalty
        self._net = parallel(module, self.device, gpus)

    @property
    def steps(self) -> int:
        """Steps of the whole training; `done` of them are behind."""
        return self.batches.steps * self.epochs

    def run(self, on_step: Callable[[FitStep], None] | None = None) -> None:
        """Trains from the current step to the end; afterwards all modes are as before.

        Args:
            on_step: called after every step, with the net in train mode.

        Raises:
            Diverged: the loss is no longer finite; that step did not change the weights.
        """
        with _modes(self.module):
            self.module.train()
            while self.done < self.steps:
                epoch, behind = divmod(self.done, self.batches.steps)
                for images, labels in self.batches.epoch(epoch + 1, behind):
                    self.done += 1
                    step = self._step(epoch + 1, images, labels)
                    if on_step is not None:
                        on_step(step)

    def state(self) -> dict[str, torch.Tensor]:
        """Copies, on the CPU, of all tensors that the rest of the training depends on.

        They are those of the net and of the optimiser, by name, of any shape and data type.
        """
        tensors = {f"net.{name}": value for name, value in self.module.state_dict().items()}
        for index, entries in self._optimiser.memory.items():
            for name, value in entries.items():
                tensors[f"optimiser.{index}.{name}"] = value
        return {
            name: value.detach().to("cpu", copy=True).contiguous()
            for name, value in tensors.items()
        }

    def restore(self, done: int, state: dict[str, torch.Tensor]) -> None:
        """Goes back to a `state` taken after `done` steps.

        Args:
            done: how many steps had been made.
            state: as `Fitting.state` gave it: tensors by name, of any shape and data type.

        Raises:
            ValueError: it is of another net or optimiser.
        """
        net: dict[str, torch.Tensor] = {}
        memory: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in state.items():
            part, _, rest = name.partition(".")
            if part == "net":
                net[rest] = value
            else:
                index, _, entry = rest.partition(".")
                memory.setdefault(int(index), {})[entry] = value
        if not 0 <= done <= self.steps:
            raise ValueError(f"{done} steps of {self.steps}")
        self._check_memory(memory)
        own = self.module.state_dict()
        for name in net.keys() & own.keys():
            if kind_of(net[name].dtype) != kind_of(own[name].dtype):
                raise ValueError(f"{name} is {type_name(net[name].dtype)}")
        try:
            self.module.load_state_dict(net)
            self.check_weights()
            self._optimiser.restore(memory)
        except (RuntimeError, KeyError, TypeError, Diverged) as error:
            raise ValueError(reason(error)) from error
        self.done = done

    def _check_memory(self, memory: dict[int, dict[str, torch.Tensor]]) -> None:
        """Holds what the optimiser remembers against the weights: it does not do so itself."""
        weights = self._optimiser.weights
        for index, entries in memory.items():
            if not 0 <= index < len(weights):
                raise ValueError(f"the optimiser state has {len(weights)} weights, not {index}")
            for name, value in entries.items():
                shape = weights[index].shape
                if value.shape not in (shape, torch.Size(())) or not value.is_floating_point():
                    raise ValueError(f"{name} of weight {index} is of another kind or shape")
                if not bool(value.isfinite().all()):
                    raise ValueError(f"{name} of weight {index} is not finite")

    def check_weights(self) -> None:
        """Looks at every weight.

        Raises:
            Diverged: one is not finite.
        """
        for name, value in self.module.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise Diverged(f"the weights {name} are not finite after step {self.done}")

    def source(self) -> Source:
        """The net in training, for adversaries; evaluation mode is the caller's to set."""
        return Source(self._net, self._losses)

    def _step(self, epoch: int, images: FloatImages, labels: NDArray[np.generic]) -> FitStep:
        number = (self.done - 1) % self.batches.steps + 1
        self._set_rate((self.done - 1) / self.steps)
        clean = torch.from_numpy(images).to(self.device)
        truth = torch.from_numpy(labels).to(self.device)
        shown, wanted, alpha = clean, truth, 1.0
        if self._adversary is not None:
            alpha = self._adversary.alpha
            crafted = self._craft(self._adversary, epoch, number, clean, truth)
            # one batch of both: batch normalisation, where there is any, sees them together
            shown = torch.cat([clean, crafted]) if alpha > 0 else crafted
            wanted = torch.cat([truth, truth]) if alpha > 0 else truth
        if self._penalty is not None:
            shown = shown.detach().requires_grad_(True)
        self._optimiser.zero_grad()
        dropout = keys.key(self._seed, epoch, number, keys.Purpose.DROPOUT)
        with keys.layers_draw_from(dropout, self.device):
            outputs = self._net(shown)
        losses = self._losses(outputs, wanted)
        if 0 < alpha < 1:
            half = len(clean)
            loss = alpha * losses[:half].mean() + (1 - alpha) * losses[half:].mean()
        else:
            loss = losses.mean()
        if self._penalty is not None:
            draws = keys.generator(self._seed, epoch, number, keys.Purpose.PENALTY)
            loss = loss + self._penalty(shown, outputs, losses, draws)
        value = float(loss.detach())
        if not math.isfinite(value):
            self.done -= 1
            raise Diverged(f"the loss is {value} at step {self.done + 1} (epoch {epoch})")
        torch.autograd.backward(loss)
        self._optimiser.step()
        right = _share_right(outputs.detach()[: len(clean)], truth)
        return FitStep(epoch, self.done, number == self.batches.steps, value, right)

    def _craft(
        self, adversary: Adversary, epoch: int, step: int, clean: torch.Tensor, truth: torch.Tensor
    ) -> torch.Tensor:
        draws = keys.generator(self._seed, epoch, step, keys.Purpose.ADVERSARY)
        choice = keys.generator(self._seed, epoch, step, keys.Purpose.SOURCE)
        rising = adversary.warmup * self.batches.steps
        if self.done - 1 < rising:
            adversary = adversary.scaled((self.done - 1) / rising)
        with evaluating(self.module):
            return adversary(self.source(), clean, truth, draws, choice)

    def _set_rate(self, share: float) -> None:
        """Of the next step, when `share` of the training lies behind."""
        rate = self._rates.lr
        if self._rates.schedule == "cosine":
            rate *= (1 + math.cos(math.pi * share)) / 2
        elif self._rates.schedule == "steps":
            rate *= 1 if share < 0.6 else 0.1 if share < 0.9 else 0.01
        elif self._rates.schedule == "one-cycle":
            rate *= one_cycle(share)
        self._optimiser.rate = rate


def fit(
    module: nn.Module,
    images: UInt8Images | FloatImages,
    labels: NDArray[np.generic],
    *,
    epochs: int,
    batch: int = 128,
    optimiser: OptimiserConfig | None = None,
    seed: int = 1,
    adversary: Adversary | None = None,
    loss: Losses | None = None,
    shift: int = 0,
    mirror: bool = False,
    augment: AugmentConfig | None = None,
    device: torch.device | None = None,
    threads: int = 1,
    on_epoch: Callable[[int, float], None] | None = None,
    penalty: Penalty | None = None,
) -> float:
    """Trains `module` in place; it is in the modes it had before when this returns.

    The same arguments give the same weights on the same kind of device.

    Args:
        module: float32 N x C x H x W on [0, 1] to outputs.
        images: uint8 N x C x H x W, or float32 on [0, 1].
        labels: class indices, int64 (N,), or N rows of whatever `loss` takes.
        epochs: passes over the images.
        batch: images a step.
        optimiser: by default SGD with Nesterov momentum, its rate falling along half a cosine.
        seed: of order, augmentation, dropout and adversaries (initial weights are the caller's).
        adversary: makes the adversarial images of each batch (`evofool.training.adversary`).
        loss: outputs and labels to n losses; by default the cross entropy.
        shift: images are moved at random by up to so many pixels in each direction.
        mirror: images are mirrored left to right at random.
        augment: images are turned, scaled, sheared, moved and lit at random, or None.
        device: where to train; the module stays there. By default the CPU.
        threads: to compute with on a CPU; part of the result, as sums in another order give other
            weights. Small nets on small batches are fastest with one, by far so on a machine that
            has other work.
        on_epoch: called with the epoch (from 1) and its mean loss.
        penalty: on the slope at the images that are shown (`evofool.training.penalties`).

    Returns:
        The mean loss of the last epoch.

    Raises:
        Diverged: the loss is no longer finite.
        UsageError: no images, or not as many labels.
    """
    fitting = Fitting(
        module,
        Batches(images, labels, batch, seed, shift, mirror, augment),
        epochs=epochs,
        optimiser=optimiser or OptimiserConfig(),
        seed=seed,
        adversary=adversary,
        loss=loss,
        device=device,
        penalty=penalty,
    )
    losses: list[float] = []
    means: list[float] = []

    def note(step: FitStep) -> None:
        losses.append(step.loss)
        if step.ends_epoch:
            means.append(sum(losses) / len(losses))
            if on_epoch is not None:
                on_epoch(step.epoch, means[-1])
            losses.clear()

    with repeatable(threads):
        fitting.run(note)
    fitting.check_weights()
    return means[-1]


def initial(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A module with initial weights from `seed`."""
    # modules draw their initial weights from the global generator and offer no other way
    with keys.layers_draw_from(seed, torch.device("cpu")):
        return build()


def one_cycle(share: float) -> float:
    """The step size as a share of the largest one, when `share` of the training lies behind.

    It rises from 1/25 to 1 until 30 % are done and falls to 0 until the end, both along half a
    cosine (Smith and Topin 2018, 1708.07120; shape and proportions as PyTorch's ``OneCycleLR``).
    """
    if share < _RISING:
        return _FIRST + (1 - _FIRST) * (1 - math.cos(math.pi * share / _RISING)) / 2
    return (1 + math.cos(math.pi * (share - _RISING) / (1 - _RISING))) / 2


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode; each part has its own mode again afterwards."""
    with _modes(net):
        net.eval()
        yield


@contextmanager
def _modes(net: nn.Module) -> Iterator[None]:
    before = [(part, part.training) for part in net.modules()]
    try:
        yield
    finally:
        for part, mode in before:
            part.training = mode


def _share_right(outputs: torch.Tensor, labels: torch.Tensor) -> float | None:
    if outputs.ndim != 2 or labels.ndim != 1 or labels.is_floating_point():
        return None
    return float((outputs.argmax(1) == labels).float().mean())
