"""Whether the code of a module looks at the values of tensors, so that no recording can hold it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

_LOOKS = {
    "aten::_local_scalar_dense": "it reads a number from a tensor",
    "aten::equal": "torch.equal",
    "aten::allclose": "torch.allclose",
    "aten::is_nonzero": "torch.is_nonzero",
}
"""Operators by which a value leaves the graph without a warning from the tracer."""


class _Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = func.name().partition(".")[0]
        if name in _LOOKS:
            self.seen.append(_LOOKS[name])
        return func(*args, **(kwargs or {}))


def looks_at_values(module: nn.Module, images: torch.Tensor) -> str:
    """What in `module` makes Python decide by values, or "" if nothing was seen.

    ``if hit.any():`` (a trigger, a guard, an early exit) runs one branch only while a module is
    traced, and the other is lost. PyTorch's tracer warns of most such code, but not of all.

    Args:
        module: in evaluation mode, on the device of `images`.
        images: float32 N x C x H x W on [0, 1].
    """
    with torch.no_grad(), _Watching() as watching:
        module(images.clone())
    return watching.seen[0] if watching.seen else ""
