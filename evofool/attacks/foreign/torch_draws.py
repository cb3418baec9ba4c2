"""Random tensors for code of others that names no generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_DRAWING = frozenset(
    (
        torch.bernoulli,
        torch.multinomial,
        torch.normal,
        torch.rand,
        torch.randint,
        torch.randn,
        torch.randperm,
        torch.Tensor.bernoulli,
        torch.Tensor.bernoulli_,
        torch.Tensor.exponential_,
        torch.Tensor.multinomial,
        torch.Tensor.normal_,
        torch.Tensor.random_,
        torch.Tensor.uniform_,
    )
)
"""Functions of torch that draw, and that take a ``generator``."""


class TorchDraws(TorchFunctionMode):
    """Inside, and in this thread only, torch draws from generators seeded by `seed`, one a device.

    They give what torch's global generators give after ``torch.manual_seed(seed)``; these are
    neither read nor written. Layers that drop out take no generator and are not reached.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in _DRAWING and given.get("generator") is None:
            tensors = [value for value in args if isinstance(value, torch.Tensor)]
            where = tensors[0].device if tensors else given.get("device")
            given["generator"] = self._generator(where)
        return func(*args, **given)

    def _generator(self, where: object) -> torch.Generator:
        device = torch.get_default_device() if where is None else torch.device(str(where))
        if str(device) == "cuda":  # the present one of several
            device = torch.device("cuda", torch.cuda.current_device())
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]
