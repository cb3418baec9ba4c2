"""Every interpreter of tapes against the float64 oracle, and against each other.

Triton's is run by Triton's own interpreter on the CPU, in a process of its own because that is
chosen by a variable before Triton is imported; on a GPU where there is one.
"""

from __future__ import annotations

import os
import pickle
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evofool.render import (
    ACTIVATIONS,
    Colour,
    Coords,
    Graph,
    Tapes,
    compile_tapes,
    coordinate_planes,
    output_values,
    render_cppn,
)
from evofool.render.layers import colour_matrix

Floats = NDArray[np.floating[Any]]
Pictures = dict[str, NDArray[Any]]

BACKENDS = ["numba", "torch", "triton"]
if torch.cuda.is_available():
    BACKENDS += ["torch on cuda", "triton on cuda"]
SIZES = [(1, 1), (1, 7), (23, 23), (61, 47), (5, 513)]
"""Less than a tile of Triton's (512 pixels), a little more than one, several."""
GRAPHS = 24
GRAPH_SIZE = (20, 20)
BIASED = 2
RAMPS = (18, 256)
COORDS: tuple[Coords, ...] = ("raw", "normalised")
LIMITS = (1, 20, 200, 10_000)
POINTS = 2048
THIRDS = (51, 119, 135, 153, 255)
"""Levels of the third channel; their factors are those that give HSV its ties."""


@dataclass(frozen=True)
class Case:
    """What a back end is to draw; the values of the output nodes where there is no colour."""

    tapes: Tapes
    size: tuple[int, int]
    coords: Coords
    native: tuple[int, int]
    colour: Colour | None = None
    bias: NDArray[np.float32] | None = None
    """What the bias input is, N x height x width."""


def single(code: int, weight: float) -> Tapes:
    """A node that reads weight * x alone: exactly that for a weight of 1 or -1."""
    return Tapes(
        1,
        np.array([0, 1], np.int32),
        np.array([code], np.uint8),
        np.zeros(1, np.float32),
        np.array([0, 1], np.int32),
        np.zeros(1, np.int32),
        np.array([weight], np.float32),
    )


def ramps(third: int) -> Tapes:
    """Raw on 256 x 256 pixels: the levels x, y and `third`."""
    step = 3 / 255 * 1.00001  # no level is missed by rounding down
    return Tapes(
        3,
        np.array([0, 3], np.int32),
        np.full(3, ACTIVATIONS.index("linear"), np.uint8),
        np.array([0, 0, third * step], np.float32),
        np.array([0, 1, 2, 2], np.int32),
        np.array([0, 1], np.int32),
        np.array([step, step], np.float32),
    )


@pytest.fixture(scope="module")
def graphs(random_graph: Callable[..., Graph]) -> list[Graph]:
    """In colour, of 0 to 200 hidden nodes."""
    rng = np.random.default_rng(3)
    return [random_graph(rng, 3, int(hidden)) for hidden in np.linspace(0, 200, GRAPHS)]


@pytest.fixture(scope="module")
def common(random_graph: Callable[..., Graph]) -> list[Graph]:
    """In colour, of about 20 hidden nodes and without tanh5, as evolution makes them."""
    rng = np.random.default_rng(9)
    return [random_graph(rng, 3, int(rng.integers(10, 31)), codes=4) for _ in range(8)]


@pytest.fixture(scope="module")
def small(random_graph: Callable[..., Graph]) -> list[Graph]:
    rng = np.random.default_rng(4)
    return [random_graph(rng, outputs, hidden) for outputs in (1, 3) for hidden in (0, 1, 2)]


@pytest.fixture(scope="module")
def cases(graphs: list[Graph], common: list[Graph], small: list[Graph]) -> dict[str, Case]:
    found = {"nothing": Case(compile_tapes([]), (4, 5), "raw", (4, 5), "hls")}
    for limit in LIMITS:
        for code in range(len(ACTIVATIONS)):
            for sign in (1, -1):
                tapes = single(code, sign)
                name = f"{ACTIVATIONS[code]} {sign * limit}"
                found[name] = Case(tapes, (1, POINTS), "raw", (1, limit + 1))
    native = (20, 30)
    for coords in COORDS:
        found[f"graphs {coords}"] = Case(compile_tapes(graphs), GRAPH_SIZE, coords, GRAPH_SIZE)
        for size in SIZES:
            for outputs in (1, 3):
                tapes = compile_tapes([graph for graph in small if graph.outputs == outputs])
                name = f"{outputs} {size} {coords}"
                found[name] = Case(tapes, size, coords, native)
                found[f"{name} levels"] = Case(tapes, size, coords, native, "rgb")
    for colour in ("rgb", "hls", "hsv", "natural"):
        tapes = compile_tapes(common)
        found[f"common {colour}"] = Case(tapes, (22, 22), "normalised", (22, 22), colour)
        grey = compile_tapes(small[:3])
        found[f"grey {colour}"] = Case(grey, (9, 8), "normalised", (9, 8), colour)
        for third in THIRDS:
            # Every hue, and every fifteenth level of the second channel.
            name = f"ramps {third} {colour}"
            found[name] = Case(ramps(third), RAMPS, "raw", (256, 256), colour)
    few = compile_tapes(common[:BIASED])  # Triton's interpreter takes half a second for each
    for size in SIZES:
        found[f"biased {size}"] = Case(few, size, "normalised", size, bias=bias_of(size))
    found["one"] = Case(few, (9, 8), "normalised", (9, 8), "natural")
    found["biased by one"] = replace(found["one"], bias=np.ones((BIASED, 9, 8), np.float32))
    return found


def bias_of(size: tuple[int, int]) -> NDArray[np.float32]:
    return np.random.default_rng(1).random((BIASED, *size), dtype=np.float32)


def numba(case: Case) -> NDArray[Any]:
    shared: dict[str, Any] = {"coords": case.coords, "native": case.native, "bias": case.bias}
    if case.colour is None:
        return output_values(case.tapes, case.size, **shared)
    return render_cppn(case.tapes, case.size, colour=case.colour, **shared)


DRAW = """
import pickle, sys, torch
from importlib import import_module
from pathlib import Path
drawn = {}
backend = import_module("evofool.render." + sys.argv[1] + "_backend")
for name, (tapes, size, shared) in pickle.loads(Path(sys.argv[2]).read_bytes()).items():
    draw = backend.render if "colour" in shared else backend.values
    if shared["bias"] is not None:
        shared["bias"] = torch.from_numpy(shared["bias"]).to(sys.argv[3])
    tensor = draw(tapes, size, **shared, device=torch.device(sys.argv[3]))
    assert tensor.device.type == sys.argv[3], tensor.device
    drawn[name] = tensor.cpu().numpy()
Path(sys.argv[2]).write_bytes(pickle.dumps(drawn))
"""


def elsewhere(backend: str, device: str, cases: dict[str, Case], file: Path) -> Pictures:
    """What a back end draws in a process of its own."""
    plain = {}
    for name, case in cases.items():
        shared: dict[str, Any] = {"coords": case.coords, "native": case.native, "bias": case.bias}
        if case.colour is not None:
            shared["colour"] = case.colour
        plain[name] = (case.tapes, case.size, shared)
    file.write_bytes(pickle.dumps(plain))
    environment = {**os.environ, "TRITON_INTERPRET": "1" if device == "cpu" else "0"}
    command = [sys.executable, "-c", DRAW, backend, str(file), device]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if "only 0-dimensional arrays can be converted" in done.stderr:
        pytest.skip("this Triton's interpreter does not work with this numpy")
    assert done.returncode == 0, done.stderr
    drawn: Pictures = pickle.loads(file.read_bytes())
    return drawn


def chosen_of(backend: str) -> slice:
    """Of the graphs: Triton's interpreter takes seconds for all of them."""
    return slice(None, None, 3 if backend == "triton" else 1)


@pytest.fixture(scope="module")
def numbas(cases: dict[str, Case]) -> Pictures:
    return {name: numba(case) for name, case in cases.items()}


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if "triton" in name and find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    return name


@pytest.fixture(scope="module")
def drawn(
    backend: str,
    cases: dict[str, Case],
    numbas: Pictures,
    graphs: list[Graph],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pictures:
    """All cases, drawn by `backend`; of the graphs those that `chosen_of` it."""
    if backend == "numba":
        return numbas
    name, _, device = backend.partition(" on ")
    file = tmp_path_factory.mktemp("drawn") / "pickle"
    if backend == "triton":
        tapes = compile_tapes(graphs[chosen_of(backend)])
        names = [f"graphs {coords}" for coords in COORDS]
        cases = cases | {each: replace(cases[each], tapes=tapes) for each in names}
    return elsewhere(name, device or "cpu", cases, file)


def test_activations_are_within_1e5_of_float64(
    drawn: Pictures, activate: Callable[..., Floats]
) -> None:
    for limit in LIMITS:
        x = coordinate_planes((1, POINTS), "raw", (1, limit + 1))[0].astype(np.float64)
        assert x.max() == limit
        for code, name in enumerate(ACTIVATIONS):
            for sign in (1, -1):
                found = drawn[f"{name} {sign * limit}"].reshape(-1)
                assert found.dtype == np.float32
                worst = np.abs(found - activate(code, sign * x)).max()
                assert worst < 5e-7, (name, limit, worst)  # 1e-5 is what is promised
                assert np.abs(found).max() <= 1.0


@pytest.fixture(scope="module")
def oracle(
    graphs: list[Graph], evaluate: Callable[..., Floats]
) -> dict[str, list[tuple[Floats, Floats]]]:
    """Of each graph the outputs in float64, and in float32 in four orders of the connections."""
    rng = np.random.default_rng(5)
    found: dict[str, list[tuple[Floats, Floats]]] = {"raw": [], "normalised": []}
    for coords, pairs in found.items():
        native = GRAPH_SIZE if coords == "raw" else None
        for graph in graphs:
            orders = [graph] + [shuffled(graph, rng) for _ in range(3)]
            numpy32 = [evaluate(order, GRAPH_SIZE, native, np.float32) for order in orders]
            pairs.append((evaluate(graph, GRAPH_SIZE, native, np.float64), np.stack(numpy32)))
    return found


def shuffled(graph: Graph, rng: np.random.Generator) -> Graph:
    order = rng.permutation(graph.connections)
    return replace(
        graph,
        sources=graph.sources[order],
        targets=graph.targets[order],
        genes=graph.genes[order],
    )


def levels(values: Floats) -> NDArray[np.int64]:
    return (np.abs(values) * values.dtype.type(255)).astype(np.int64)


@pytest.mark.parametrize("coords", ["raw", "normalised"])
def test_graphs_are_as_exact_as_float32_allows(
    coords: Coords,
    backend: str,
    drawn: Pictures,
    oracle: dict[str, list[tuple[Floats, Floats]]],
) -> None:
    """The rule of `test_cppn.py`, with the reasons given there."""
    ratios, beyond, differ, differ_numpy = [], 0, 0.0, 0.0
    pairs = oracle[coords][chosen_of(backend)]
    for found, (wanted, numpy32) in zip(drawn[f"graphs {coords}"], pairs, strict=True):
        error, numpy_errors = np.abs(found - wanted), np.abs(numpy32 - wanted)
        ratios.append(error.mean() / (numpy_errors.mean() + 1e-9))
        beyond += error.max() > 4 * numpy_errors.max() + 1e-6
        differ += (levels(found) != levels(wanted)).mean() / len(pairs)
        differ_numpy += (levels(numpy32[0]) != levels(wanted)).mean() / len(pairs)
    assert beyond <= 0.05 * len(pairs), f"{beyond} of {len(pairs)} graphs beyond 4 x numpy float32"
    assert np.median(ratios) < 1.2, f"median error {np.median(ratios):.2f} x numpy float32"
    message = f"{differ:.2%} of levels differ from float64, {differ_numpy:.2%} of numpy float32's"
    assert differ < 1.25 * differ_numpy + 0.005, message


@pytest.mark.parametrize("coords", ["raw", "normalised"])
@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_drawn_whole(
    size: tuple[int, int],
    coords: Coords,
    drawn: Pictures,
    small: list[Graph],
    evaluate: Callable[..., Floats],
) -> None:
    for outputs in (1, 3):
        values = drawn[f"{outputs} {size} {coords}"]
        images = drawn[f"{outputs} {size} {coords} levels"]
        assert values.shape == images.shape == (3, outputs, *size)
        assert (values.dtype, images.dtype) == (np.float32, np.uint8)
        for n, graph in enumerate(graph for graph in small if graph.outputs == outputs):
            wanted = evaluate(graph, size, (20, 30) if coords == "raw" else None, np.float64)
            np.testing.assert_allclose(values[n], wanted, atol=2e-3)
        np.testing.assert_array_equal(images, levels(values))


def test_no_tapes_are_no_pictures(drawn: Pictures) -> None:
    assert drawn["nothing"].shape == (0, 1, 4, 5)
    assert drawn["nothing"].dtype == np.uint8


def rounds_once(backend: str) -> bool:
    """Whether multiply-adds are known to be fused, on both sides of a comparison with numba."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    if backend != "triton":
        return True
    from triton.runtime import interpreter  # older ones multiply, round and add

    return hasattr(interpreter._interpreter, "fma_fp32")


@pytest.mark.parametrize("third", THIRDS)
def test_colours_are_those_of_numba(
    third: int, backend: str, drawn: Pictures, numbas: Pictures
) -> None:
    grid = np.broadcast_to(np.arange(256), RAMPS)
    column = np.broadcast_to(np.arange(0, 256, 15)[:, None], RAMPS)
    plain = np.stack([grid, column, np.full_like(grid, third)])
    np.testing.assert_array_equal(drawn[f"ramps {third} rgb"][0], plain)
    name = f"ramps {third} hls"
    np.testing.assert_array_equal(drawn[name], numbas[name])
    # HSV has ties between two levels; where they go depends on whether multiply-adds are fused.
    name = f"ramps {third} hsv"
    difference = np.abs(drawn[name].astype(int) - numbas[name])
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= (0 if rounds_once(backend) else 0.02 * difference.size)


@pytest.mark.parametrize("third", THIRDS)
def test_natural_colours_are_those_of_the_layers(third: int, drawn: Pictures) -> None:
    grid = np.broadcast_to(np.arange(256), RAMPS)
    column = np.broadcast_to(np.arange(0, 256, 15)[:, None], RAMPS)
    levels = np.stack([grid, column, np.full_like(grid, third)]) / 255
    t = 2 * levels[1:] - 1
    levels[1:] = 0.5 + 0.35 * t * np.abs(t)
    matrix = colour_matrix(3, "natural").astype(np.float64)
    wanted = 255 * (np.einsum("kc,cyx->kyx", matrix[:, :3], levels) + matrix[:, 3, None, None])
    assert np.abs(drawn[f"ramps {third} natural"][0] - wanted.clip(0, 255)).max() < 0.501


@pytest.mark.parametrize("size", SIZES)
def test_the_bias_input_may_differ_from_pixel_to_pixel(
    size: tuple[int, int], drawn: Pictures, common: list[Graph], evaluate: Callable[..., Floats]
) -> None:
    away = [
        np.abs(found - evaluate(graph, size, None, np.float64, plane)).mean()
        for found, graph, plane in zip(
            drawn[f"biased {size}"], common[:BIASED], bias_of(size), strict=True
        )
    ]
    assert np.median(away) < 1e-4
    assert max(away) < 0.02


def test_a_bias_of_one_everywhere_is_none(drawn: Pictures) -> None:
    np.testing.assert_array_equal(drawn["biased by one"], drawn["one"])


def test_grey_has_no_colour(drawn: Pictures) -> None:
    assert drawn["grey rgb"].shape == (3, 1, 9, 8)
    np.testing.assert_array_equal(drawn["grey hls"], drawn["grey rgb"])
    np.testing.assert_array_equal(drawn["grey hsv"], drawn["grey rgb"])
    np.testing.assert_array_equal(drawn["grey natural"], drawn["grey rgb"])


@pytest.mark.parametrize("colour", ["rgb", "hls", "hsv"])
def test_back_ends_draw_the_same_but_for_rounding(
    colour: Colour, backend: str, drawn: Pictures, numbas: Pictures
) -> None:
    """Measured: 0.1 % of levels in PyTorch, 0.01 % in Triton, which rounds more as numba does."""
    name = f"common {colour}"
    difference = np.abs(drawn[name].astype(int) - numbas[name])
    share = np.mean(difference > 0)
    bound = 0.001 if "triton" in backend and rounds_once(backend) else 0.005
    assert share < bound, f"{share:.3%} of levels differ from numba's"
    # The hue jumps where a saturated channel loses its last bit.
    assert np.mean(difference > 2) < bound


def test_graphs_differ_little_between_back_ends(
    backend: str, drawn: Pictures, numbas: Pictures
) -> None:
    """Measured, with up to 200 hidden nodes: 0.3 % of levels in PyTorch, 0.007 % in Triton."""
    for coords in COORDS:
        found, known = drawn[f"graphs {coords}"], numbas[f"graphs {coords}"][chosen_of(backend)]
        share = np.mean(levels(found) != levels(known))
        assert share < 0.01, f"{share:.2%} of levels differ from numba's"


@pytest.mark.gpu
def test_a_gpu_draws_what_the_interpreter_draws(cases: dict[str, Case], tmp_path: Path) -> None:
    pytest.importorskip("triton")
    if not rounds_once("triton"):
        pytest.skip("this Triton's interpreter does not fuse multiply-adds")
    chosen = {name: cases[name] for name in ("graphs raw", "common hls", "common hsv")}
    one, other = (elsewhere("triton", on, chosen, tmp_path / on) for on in ("cpu", "cuda"))
    for name in chosen:
        np.testing.assert_array_equal(one[name], other[name])
