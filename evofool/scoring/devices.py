"""Devices, and what goes wrong on them."""

from __future__ import annotations

import contextlib
import copy
import math
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from evofool.errors import EvofoolError, ScoringError, UsageError
from evofool.images import FloatImages, UInt8Images

if TYPE_CHECKING:
    import torch
    from torch import nn

Batch: TypeAlias = "UInt8Images | FloatImages | torch.Tensor"
"""One micro-batch N x C x H x W: an array (uint8, or float32 on [0, 1]), or a uint8 tensor that was
drawn on the engine's device."""


INPUT_BYTES = 6 * 2**20
"""Largest input, as float32, that a net is given at once on a CPU: ten pictures of 224 x 224."""


class OutOfMemory(ScoringError):
    """The device has no room for a micro-batch of this size."""


class EngineUnavailable(UsageError):
    """The engine cannot run this victim here; the message says why."""


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Whatever a victim raises, as `OutOfMemory` or as a `ScoringError` that names the victim."""
    try:
        yield
    except EvofoolError:
        raise
    except (Exception, SystemExit) as error:
        # the victim is anyone's code: every engine has types of its own, and a script may end
        # with sys.exit, which must not end the run as if it were done
        if is_out_of_memory(error):
            raise OutOfMemory(f"{name}: out of memory ({first_line(error)})") from error
        raise ScoringError(
            f"{name} failed while scoring ({type(error).__name__}: {first_line(error)})"
        ) from error


def parts_for_cpu(images: Batch) -> Iterator[Batch]:
    """A micro-batch in parts that a CPU computes fast, at least one picture each.

    What a layer gives for many large pictures fits no cache and is given back to the system after
    every call: a hundred pictures of 224 x 224 at once take EfficientNet-Lite0 2.7 times as long in
    PyTorch as ten by ten, and 1.5 times as long in onnxruntime.

    Args:
        images: N x C x H x W.
    """
    one = 4 * math.prod(images.shape[1:])
    step = max(1, INPUT_BYTES // max(1, one))
    for start in range(0, max(1, len(images)), step):
        yield images[start : start + step]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, judged by its type and its message."""
    torch = sys.modules.get("torch")
    message = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or (torch is not None and isinstance(error, torch.OutOfMemoryError))
        or "failed to allocate" in message
        or "bad_alloc" in message
        or ("alloc" in message and "memory" in message)
    )


def pick_device(device: str) -> str:
    """`auto` is the first CUDA device where there is one, else the CPU.

    Raises:
        UsageError: no such device, or a CUDA device was asked for that is not there.
    """
    import torch

    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"scoring.device: {device} is not one of auto, cpu, cuda, cuda:N")
    if device.startswith("cuda"):
        number = int(device.partition(":")[2] or 0)
        if not torch.cuda.is_available() or number >= torch.cuda.device_count():
            raise UsageError(f"scoring.device: {device} is not on this machine; use cpu or auto")
        return f"cuda:{number}"
    return device


def on(module: nn.Module, device: str) -> nn.Module:
    """`module` on `device`: itself if it is there already, else a copy, since others may use it."""
    from itertools import chain

    import torch

    from evofool.classifiers.checks.threads import refers_to

    if all(t.device == torch.device(device) for t in chain(module.parameters(), module.buffers())):
        return module
    with contextlib.suppress(RuntimeError, TypeError):  # cannot be copied: then it moves
        copied = copy.deepcopy(module)
        if not refers_to(copied, module):
            module = copied
    return module.to(device)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
