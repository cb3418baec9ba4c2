"""Pixels as tensors, by whatever draws them best on a device."""

from __future__ import annotations

from functools import lru_cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from evofool.images import Size
from evofool.render.cppn import Colour, Coords, render_cppn
from evofool.render.devices import can_draw
from evofool.render.graph import INPUTS, Graph
from evofool.render.tape import Tapes, compile_tapes

if TYPE_CHECKING:
    import torch

Backend: TypeAlias = Literal["numba", "torch", "triton"]


def tensor_backend(device: torch.device | str) -> Backend:
    """What `render_cppn_tensor` draws with on `device`, as far as it is installed.

    Triton on CUDA, numba on the CPU, else plain PyTorch.
    """
    import torch

    best: dict[str, Backend] = {"cuda": "triton", "cpu": "numba"}
    backend = best.get(torch.device(device).type, "torch")
    return backend if find_spec(backend) is not None else "torch"


@lru_cache(maxsize=16)
def working_backend(device: torch.device | str) -> Backend:
    """`tensor_backend`, or PyTorch where Triton is installed and cannot draw a small picture.

    Its kernels are compiled where they run, which takes a C compiler and a GPU that it supports.
    """
    backend = tensor_backend(device)
    if backend != "triton":
        return backend
    graph = Graph(
        1,
        np.zeros(1, np.uint8),
        np.zeros(1, np.int16),
        np.full(1, len(INPUTS), np.int16),
        np.ones(1, np.float32),
    )
    draw = partial(
        render_cppn_tensor,
        compile_tapes([graph]),
        (1, 1),
        coords="normalised",
        colour="rgb",
        native=(1, 1),
        device=device,
        backend=backend,
    )
    return backend if can_draw(draw, device) else "torch"


def render_cppn_tensor(
    tapes: Tapes,
    size: Size,
    *,
    coords: Coords,
    colour: Colour,
    native: Size,
    device: torch.device | str,
    backend: Backend | None = None,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """The pictures of `render_cppn` as a tensor, N x outputs x height x width uint8 on `device`.

    Args:
        backend: what draws them; None for `tensor_backend` of the device.
        bias: what the bias input is, N x height x width float32 on `device`; None where it is 1.

    Back ends round differently. Against numba, 0.1 % of the levels of graphs of some 20 hidden
    nodes differ in PyTorch and 0.01 % in Triton, most by one level; tests bound this. On CUDA the
    call returns before the pictures are drawn, as PyTorch's own operators do.
    """
    import torch

    device = torch.device(device)
    backend = backend or tensor_backend(device)
    if backend == "numba":
        plane = None if bias is None else bias.cpu().numpy()
        images = render_cppn(tapes, size, coords=coords, colour=colour, native=native, bias=plane)
        return torch.from_numpy(images).to(device)
    if backend == "torch":
        from evofool.render.torch_backend import render
    else:
        from evofool.render.triton_backend import render
    return render(
        tapes, size, coords=coords, colour=colour, native=native, device=device, bias=bias
    )
