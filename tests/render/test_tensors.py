"""The choice of a back end, and what of the back ends needs no drawing to be judged."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from evofool.render import (
    Graph,
    compile_tapes,
    render_cppn,
    render_cppn_tensor,
    tensor_backend,
    torch_backend,
)


def test_a_device_gets_its_back_end(random_graph: Callable[..., Graph]) -> None:
    assert tensor_backend("cpu") == "numba"
    assert tensor_backend("cuda:1") == ("triton" if find_spec("triton") else "torch")
    assert tensor_backend(torch.device("meta")) == "torch"
    rng = np.random.default_rng(1)
    tapes = compile_tapes([random_graph(rng, 3, hidden) for hidden in (0, 7, 20)])
    shared: Any = {"coords": "raw", "colour": "hls", "native": (9, 8)}
    tensor = render_cppn_tensor(tapes, (9, 8), **shared, device="cpu")
    np.testing.assert_array_equal(tensor, render_cppn(tapes, (9, 8), **shared))
    tensor = render_cppn_tensor(tapes, (9, 8), **shared, device="cpu", backend="torch")
    wanted = torch_backend.render(tapes, (9, 8), **shared, device=torch.device("cpu"))
    assert torch.equal(tensor, wanted)


@pytest.mark.parametrize("colour", ["hls", "hsv"])
def test_torch_converts_every_level_as_numba_does(colour: Literal["hls", "hsv"]) -> None:
    from evofool.render import kernel

    convert = {"hls": kernel.hls_to_rgb, "hsv": kernel.hsv_to_rgb}[colour]
    steps = np.r_[0:256:3, 1, 254]
    axes = np.meshgrid(np.arange(256), steps, steps, indexing="ij")
    channels = np.stack([axis.reshape(-1) for axis in axes]).astype(np.uint8)
    wanted = np.empty_like(channels)
    rows = np.zeros((3, kernel.TILE), np.float32)
    for start in range(0, channels.shape[1], kernel.TILE):
        part = channels[:, start : start + kernel.TILE]
        rows[:, : part.shape[1]] = part
        convert(rows.reshape(-1), *wanted[:, start : start + kernel.TILE])
    found = torch_backend.to_rgb(torch.from_numpy(channels), colour).numpy()
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max() <= (colour == "hsv")
    # HSV has ties, which go where fused multiply-adds, if the CPU has them, make them go.
    fused = platform.machine() in ("x86_64", "AMD64")
    allowed = 0 if colour == "hls" or fused else 0.02 * difference.size
    assert np.count_nonzero(difference) <= allowed


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize(
    ("outputs", "mode", "biased"),
    [
        (1, "PLAIN", False),
        (3, "HLS", False),
        (3, "HSV", False),
        (3, "VALUES", False),
        (3, "NATURAL", True),
    ],
)
def test_the_kernel_compiles_for_a_gpu(
    outputs: int, mode: str, biased: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To machine code, which needs no GPU: Triton's interpreter takes what its compiler may not."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.runtime.jit import JITFunction

    from evofool.render import triton_backend

    if not isinstance(triton_backend.draw, JITFunction):
        pytest.skip("TRITON_INTERPRET is set")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    known = {
        "BIASED": biased,
        "OUTPUTS": outputs,
        "MODE": getattr(triton_backend, mode),
        "TILE": triton_backend.TILE,
    }
    floats = ("constants", "weights", "work", "bias", "table")
    types = dict.fromkeys(("items", "tiles", "pixels", "rows"), "i32")
    types |= dict.fromkeys(floats, "*fp32")
    types |= {"out": "*fp32" if mode == "VALUES" else "*u8"}
    types |= dict.fromkeys(known, "constexpr")
    signature = {name: types.get(name, "*i32") for name in triton_backend.draw.arg_names}
    compiled = triton.compile(
        ASTSource(triton_backend.draw, signature, known),
        target=GPUTarget("cuda", 90, 32),
        options={"num_warps": triton_backend.WARPS, "num_stages": 1, "enable_fp_fusion": False},
    )
    assert compiled.asm["cubin"]
    code = compiled.asm["ptx"]
    assert "fma.rn.f32" in code
    for inexact in (".approx", "div.full", "mad.f32"):
        assert inexact not in code
    assert compiled.metadata.shared == 0
    # What one thread stores another may load; no interpreter would notice that a barrier is gone.
    assert code.count("bar.sync") >= 2
