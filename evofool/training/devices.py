"""Where a training runs, and what keeps it repeatable there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from evofool.errors import UsageError

THREADS = 2
"""Fixed, because sums in another order give other weights."""


def choose_device(name: str, gpus: int = 1) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N`` as a device that is here.

    Raises:
        UsageError: there is no such GPU, or there are fewer than `gpus`.
    """
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if here else "cpu"
    device = torch.device(name)
    if device.type == "cpu":
        if gpus > 1:
            raise UsageError(f"gpus: {gpus} were asked for, but the training runs on the CPU")
        return device
    index = device.index or 0
    if index + gpus > here:
        raise UsageError(
            f"device: cuda:{index + gpus - 1} was asked for, but PyTorch finds {here} GPUs here;"
            " set device=cpu, or fewer gpus"
        )
    return torch.device("cuda", index)


def parallel(net: nn.Module, device: torch.device, gpus: int) -> nn.Module:
    """`net`, on `device`, or shared by `gpus` that follow it (each batch is split among them)."""
    if gpus == 1:
        return net
    first = device.index or 0
    return nn.DataParallel(net, device_ids=list(range(first, first + gpus)))


@contextmanager
def repeatable(count: int = THREADS) -> Iterator[None]:
    """So many threads on any machine, and cuDNN's algorithms that sum in the same order."""
    threads = torch.get_num_threads()
    cudnn = torch.backends.cudnn
    deterministic, benchmark = cudnn.deterministic, cudnn.benchmark
    torch.set_num_threads(count)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cudnn.deterministic, cudnn.benchmark = deterministic, benchmark
