"""The Triton kernel of layered pictures: what it draws, by Triton's interpreter on the CPU in a
process of its own (and on a GPU where there is one), and that it compiles for a GPU."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evofool import encodings
from evofool.render.layers import (
    CHARTS,
    FIELDS,
    GENES,
    GROUND,
    MASKS,
    LayerColour,
    Stack,
    Stacks,
    render_layers,
    tensor_renderer,
)

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")

CASES: list[tuple[tuple[int, int], int, LayerColour]] = [
    ((16, 17), 3, "natural"),
    ((23, 31), 1, "natural"),  # more than a tile of 512 pixels
    ((1, 1), 3, "uniform"),
]
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
DRAW = """
import pickle, sys
from pathlib import Path
from evofool.render.layers import render_layers_tensor
file = Path(sys.argv[1])
stacks, cases = pickle.loads(file.read_bytes())
drawn = [
    render_layers_tensor(
        stacks, size, channels=channels, colour=colour, device=sys.argv[2], backend="triton"
    ).cpu().numpy()
    for size, channels, colour in cases
]
file.write_bytes(pickle.dumps(drawn))
"""


@pytest.fixture(scope="module")
def stacks() -> Stacks:
    """Every field on every chart, the masks in turn, what random pictures have, and no layer."""
    rng = np.random.default_rng(1)
    kinds = [(chart, field) for chart in range(len(CHARTS)) for field in range(len(FIELDS))]
    encoding = encodings.load("layers", (3, 8, 8))
    return Stacks.of(
        [
            *(
                Stack(
                    rng.random(len(GROUND), dtype=np.float32),
                    np.array([[*kind, n % len(MASKS)]], np.uint8),
                    rng.random((1, len(GENES)), dtype=np.float32),
                )
                for n, kind in enumerate(kinds)
            ),
            *(encoding.sample(rng) for _ in range(16)),
            encodings.load("layers", (3, 8, 8), {"fewest": 0, "most": 0}).sample(rng),
        ]
    )


@pytest.fixture(scope="module", params=DEVICES)
def drawn(
    request: pytest.FixtureRequest, stacks: Stacks, tmp_path_factory: pytest.TempPathFactory
) -> list[NDArray[np.uint8]]:
    """All cases."""
    file = tmp_path_factory.mktemp("drawn") / "pickle"
    file.write_bytes(pickle.dumps((stacks, CASES)))
    environment = {**os.environ, "TRITON_INTERPRET": "1" if request.param == "cpu" else "0"}
    command = [sys.executable, "-c", DRAW, str(file), request.param]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if "only 0-dimensional arrays can be converted" in done.stderr:
        pytest.skip("this Triton's interpreter does not work with this numpy")
    assert done.returncode == 0, done.stderr
    pictures: list[NDArray[np.uint8]] = pickle.loads(file.read_bytes())
    return pictures


def test_triton_draws_what_numba_draws(stacks: Stacks, drawn: list[NDArray[np.uint8]]) -> None:
    for (size, channels, colour), found in zip(CASES, drawn, strict=True):
        wanted = render_layers(stacks, size, channels=channels, colour=colour)
        assert found.dtype == np.uint8
        assert found.shape == wanted.shape
        away = np.abs(found.astype(int) - wanted)
        assert (away > 0).mean() < 0.005
        assert (away > 1).mean() < 1e-3  # at a jump of a table or an angle


@pytest.mark.parametrize("channels", [1, 3])
def test_the_kernel_compiles_for_a_gpu(
    channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To machine code, which needs no GPU: Triton's interpreter takes what its compiler may not."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.runtime.jit import JITFunction

    from evofool.render.layers import triton_backend

    if not isinstance(triton_backend.draw, JITFunction):
        pytest.skip("TRITON_INTERPRET is set")
    general = {each.name for each in triton_backend.draw.params if each.do_not_specialize}
    assert general == {"stacks", "tiles", "height", "width"}  # or it is compiled while it draws
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    known = {"CHANNELS": channels, "TILE": triton_backend.TILE}
    types = {"ints": "*i32", "floats": "*fp32", "tables": "*fp32", "out": "*u8"}
    types |= dict.fromkeys(known, "constexpr")
    signature = {name: types.get(name, "i32") for name in triton_backend.draw.arg_names}
    compiled = triton.compile(
        ASTSource(triton_backend.draw, signature, known),
        target=GPUTarget("cuda", 90, 32),
        options={"num_warps": triton_backend.WARPS, "enable_fp_fusion": False},
    )
    assert compiled.asm["cubin"]
    for inexact in (".approx", "div.full"):
        assert inexact not in compiled.asm["ptx"]


def test_a_device_gets_what_can_draw_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert tensor_renderer("cpu") == "host"
    assert tensor_renderer("meta") == "torch"

    def fails(*_: Any, **__: Any) -> torch.Tensor:
        raise RuntimeError("no C compiler")

    from evofool.render.layers import drawing

    monkeypatch.setattr(drawing, "render_layers_tensor", fails)
    tensor_renderer.cache_clear()
    assert tensor_renderer("cuda") == "torch"
    assert "no C compiler" in caplog.text
    tensor_renderer.cache_clear()
