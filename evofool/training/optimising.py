"""SGD, Adam and AdamW: PyTorch's own updates of weights, without its optimiser classes.

The first object of a class of ``torch.optim`` in a process imports PyTorch's compiler, which takes
1.4 s of CPU and is not used here. The functions that these classes call need none of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import torch
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from evofool.training.config import OptimiserConfig

Memory: TypeAlias = dict[int, dict[str, torch.Tensor]]
"""By number of the weight and name: ``momentum_buffer``, or ``step``, ``exp_avg``, ``exp_avg_sq``,
as the classes of ``torch.optim`` call them."""
_BETAS, _EPS = (0.9, 0.999), 1e-8
"""PyTorch's, and those of Kingma and Ba, ICLR 2015, 1412.6980, section 2."""


class Optimiser:
    """Updates weights in place by their gradients.

    On a CPU the weights and what is remembered are, bit for bit, those of ``torch.optim.SGD`` (with
    Nesterov's momentum where it is not 0), ``Adam`` or ``AdamW``.

    Args:
        weights: of any shape, floats; those that need no gradient are left out.
        config: how they are updated.

    Attributes:
        weights: those that are updated.
        memory: what is remembered between steps: tensors of any shape and data type.
        rate: size of the next step.
    """

    def __init__(self, weights: Iterable[torch.nn.Parameter], config: OptimiserConfig) -> None:
        self.weights = [weight for weight in weights if weight.requires_grad]
        self.memory: Memory = {}
        self.rate = config.lr
        self._config = config

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the weights that have a gradient."""
        moved = [i for i, weight in enumerate(self.weights) if weight.grad is not None]
        weights = [self.weights[i] for i in moved]
        slopes = [weight.grad for weight in weights if weight.grad is not None]
        if not weights:
            return
        if self._config.name == "sgd":
            self._descend(moved, weights, slopes)
        else:
            self._adapt(moved, weights, slopes)

    def restore(self, memory: Mapping[int, Mapping[str, torch.Tensor]]) -> None:
        """Remember copies of another optimiser's memory.

        Args:
            memory: tensors of the same method, by number of the weight and name, of any shape and
                data type.

        Raises:
            KeyError: an entry is missing, or of another method.
        """
        names = {"momentum_buffer"} if self._config.name == "sgd" else {
            "step", "exp_avg", "exp_avg_sq",
        }  # fmt: skip
        held: Memory = {}
        for index, entries in memory.items():
            if entries.keys() != names:
                raise KeyError(f"weight {index} has {', '.join(entries)}, not {', '.join(names)}")
            weight = self.weights[index]
            held[index] = {
                # PyTorch counts steps on the CPU, in float32 whatever the weights are
                name: value.clone() if name == "step" else value.to(weight, copy=True)
                for name, value in entries.items()
            }
        self.memory = held

    def _descend(
        self, moved: list[int], weights: list[torch.nn.Parameter], slopes: list[torch.Tensor]
    ) -> None:
        config = self._config
        buffers = [self.memory.get(i, {}).get("momentum_buffer") for i in moved]
        sgd(
            list(weights), slopes, buffers, lr=self.rate, momentum=config.momentum,
            weight_decay=config.weight_decay, nesterov=config.momentum > 0, dampening=0.0,
            maximize=False,
        )  # fmt: skip
        for index, buffer in zip(moved, buffers, strict=True):
            if buffer is not None:
                self.memory[index] = {"momentum_buffer": buffer}

    def _adapt(
        self, moved: list[int], weights: list[torch.nn.Parameter], slopes: list[torch.Tensor]
    ) -> None:
        for index, weight in zip(moved, weights, strict=True):
            if index not in self.memory:
                self.memory[index] = {
                    "step": torch.tensor(0.0, dtype=torch.float32),
                    "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
                    "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
                }
        held = [self.memory[index] for index in moved]
        update = adamw if self._config.name == "adamw" else adam
        update(
            list(weights), slopes, [m["exp_avg"] for m in held], [m["exp_avg_sq"] for m in held],
            [], [m["step"] for m in held], amsgrad=False, beta1=_BETAS[0], beta2=_BETAS[1],
            lr=self.rate, weight_decay=self._config.weight_decay, eps=_EPS, maximize=False,
        )  # fmt: skip
