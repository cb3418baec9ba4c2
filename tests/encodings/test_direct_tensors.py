"""The direct encoding with genomes on a device, held on CPU tensors, which are one."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evofool import encodings
from evofool.encodings import DeviceEncoding, TensorEncoding, VectorEncoding
from evofool.operators.tensors import philox

SHAPE = (3, 6, 5)


@pytest.fixture
def plain() -> Any:
    return encodings.load("direct", SHAPE, {"crossover": 1.0})


@pytest.fixture
def moved(plain: Any) -> Any:
    return plain.on("cpu")


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _genes(encoding: Any, genome: Any) -> NDArray[np.float64]:
    genes: NDArray[np.float64] = encoding.to_vector(genome)
    return genes


def test_it_is_what_it_says(plain: Any, moved: Any) -> None:
    assert isinstance(plain, DeviceEncoding)
    assert isinstance(moved, TensorEncoding)
    assert isinstance(moved, VectorEncoding)
    assert not isinstance(moved, DeviceEncoding)
    assert not isinstance(plain, TensorEncoding)
    assert (moved.name, moved.options) == (plain.name, plain.options)
    assert moved.renderer("cuda:0") == "host"


@pytest.mark.parametrize("size", [(6, 5), (13, 4), (1, 1)])
def test_pixels_and_dumps_are_those_of_the_host(
    plain: Any, moved: Any, size: tuple[int, int]
) -> None:
    """Also of levels next to a step, where a rounded product would differ."""
    edges = np.resize(np.arange(256) / 255, 90).astype(np.float32)
    vectors = [_rng(1).random(90), edges, np.nextafter(edges, 0, dtype=np.float32), np.zeros(90)]
    ours = [moved.from_vector(np.asarray(v, np.float64)) for v in vectors]
    theirs = [plain.from_vector(np.asarray(v, np.float64)) for v in vectors]
    wanted = plain.render(theirs, size)
    assert np.array_equal(moved.render(ours, size), wanted)
    drawn = moved.render_tensor(ours, size, "cpu")
    assert drawn.dtype == torch.uint8
    assert np.array_equal(drawn.numpy(), wanted)
    for one, other in zip(ours, theirs, strict=True):
        assert moved.dump(one) == plain.dump(other)
        assert moved.describe(one) == plain.describe(other)
        assert np.array_equal(_genes(moved, one), _genes(plain, other))
        assert moved.dump(moved.load(moved.dump(one))) == moved.dump(one)
        assert np.array_equal(plain.load(moved.dump(one)), other)
    assert moved.render([], size).shape == (0, 3, *size)
    with pytest.raises(ValueError, match="below 0 or above 1"):
        moved.load(plain.dump(theirs[0])[:-4] + b"\xff\xff\xff\xff")


def test_children_are_the_same_however_they_are_made(moved: Any) -> None:
    """All in one batch, one at a time, or only when they are dumped; and drawn again."""

    def family() -> list[Any]:
        elders = [moved.sample(_rng(i)) for i in range(4)]
        crossed = [c for i in (0, 2) for c in moved.mate(elders[i], elders[i + 1], _rng(9 + i))]
        return [
            *elders,
            *crossed,
            *(moved.mutate(g, _rng(20 + i), 1 + 2000 * i) for i, g in enumerate(crossed)),
            moved.mutate(elders[0], _rng(30), 1),
        ]

    together, singly, dumped = family(), family(), family()
    pixels = moved.render(together, SHAPE[1:])
    assert np.array_equal(moved.render(together, SHAPE[1:]), pixels)
    for i in reversed(range(len(singly))):
        assert np.array_equal(moved.render([singly[i]], SHAPE[1:])[0], pixels[i])
        assert moved.dump(dumped[i]) == moved.dump(together[i]) == moved.dump(singly[i])
    assert len({moved.dump(each) for each in together}) == len(together)
    assert all(each.recipe is None for each in together)  # no child keeps its parents in memory


def test_operators_do_what_they_are_called(plain: Any, moved: Any) -> None:
    parent = moved.sample(_rng(0))
    assert 0.3 < _genes(moved, parent).mean() < 0.7
    child = moved.mutate(parent, _rng(1), 1)
    share = (_genes(moved, child) != _genes(moved, parent)).mean()
    assert 0.01 < share < 0.3
    late = moved.mutate(parent, _rng(1), 9001)  # after nine halvings
    assert (_genes(moved, late) != _genes(moved, parent)).sum() <= 3
    other = moved.sample(_rng(2))
    one, two = moved.mate(parent, other, _rng(3))
    total = _genes(moved, one) + _genes(moved, two)
    assert np.abs(total - _genes(moved, parent) - _genes(moved, other)).mean() < 0.1
    never = encodings.load("direct", SHAPE, {"crossover": 0.0}).on("cpu")  # type: ignore[attr-defined]
    assert never.mate(parent, other, _rng(3)) == (parent, other)
    words = philox(torch.tensor([_rng(0).integers(0, 2**32, 2).tolist()]), 90)[0]
    assert np.array_equal(_genes(moved, parent), (words >> 8).numpy() / 2**24)


def test_an_elite_does_not_hold_its_batch(moved: Any) -> None:
    batch = [moved.sample(_rng(i)) for i in range(50)]
    moved.render(batch, SHAPE[1:])
    moved.dump(batch[7])
    assert batch[7].genes.untyped_storage().nbytes() == 4 * 90


def test_threads_that_make_the_same_genome(moved: Any) -> None:
    parent = moved.sample(_rng(0))
    wanted = moved.dump(moved.mutate(moved.sample(_rng(0)), _rng(1), 1))
    children = [moved.mutate(parent, _rng(1), 1) for _ in range(8)]
    found: list[bytes] = []
    gate = threading.Barrier(8)

    def make(child: Any) -> None:
        gate.wait(600)
        moved.render(children, SHAPE[1:])
        found.append(moved.dump(child))

    threads = [threading.Thread(target=make, args=(child,)) for child in children]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert found == [wanted] * 8
