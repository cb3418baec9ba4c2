"""`check_encoding` finds deliberate faults, each by its own name, and lets a correct one pass."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evofool.randomness import Generators
from evofool.testing import ConformanceError, check_encoding

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "grating.py"
SHAPE = (3, 8, 10)
Genome = NDArray[np.float64]


class Ramp:
    """A correct encoding of a third party: one slope and one level a channel."""

    name = "ramp"

    def __init__(self, shape: tuple[int, int, int], rate: float = 0.5) -> None:
        self.channels = shape[0]
        self.options = {"rate": rate}

    def sample(self, rng: np.random.Generator) -> Genome:
        return rng.random((2, self.channels))

    def mutate(self, genome: Genome, rng: np.random.Generator, generation: int = 0) -> Genome:
        changed = rng.random(genome.shape) < self.options["rate"]
        return np.where(changed, rng.random(genome.shape), genome)

    def mate(self, a: Genome, b: Genome, rng: np.random.Generator) -> tuple[Genome, Genome]:
        swapped = rng.random(a.shape) < 0.5
        return np.where(swapped, b, a), np.where(swapped, a, b)

    def render(self, genomes: Sequence[Genome], size: tuple[int, int]) -> NDArray[np.uint8]:
        images = np.empty((len(genomes), self.channels, *size), np.uint8)
        across = np.linspace(0, 1, size[1])
        for image, genome in zip(images, genomes, strict=True):
            slope, level = genome[:, :, None, None]
            image[:] = (255 * (level * (1 - across) + slope * across)).astype(np.uint8)
        return images

    def dump(self, genome: Genome) -> bytes:
        return genome.astype("<f8").tobytes()

    def load(self, data: bytes) -> Genome:
        if len(data) != 16 * self.channels:
            raise ValueError("a ramp is two numbers a channel")
        genome = np.frombuffer(data, "<f8").reshape(2, self.channels).astype(np.float64)
        if not ((genome >= 0) & (genome <= 1)).all() or self.dump(genome + 0.0) != data:
            raise ValueError("a ramp is numbers on [0, 1]")
        return genome + 0.0  # -0.0 is 0.0

    def describe(self, genome: Genome) -> dict[str, Any]:
        return {"kind": self.name, "slopes": genome[0].tolist()}

    def to_vector(self, genome: Genome) -> Genome:
        return genome.ravel()

    def from_vector(self, vector: Genome) -> Genome:
        return np.clip(vector, 0, 1).reshape(2, self.channels)


class Together(Ramp):
    """The same with batch operations."""

    def mutate_many(
        self, genomes: Sequence[Genome], generators: Generators, generation: int = 0
    ) -> Sequence[Genome]:
        return [
            self.mutate(genome, rng, generation)
            for genome, rng in zip(genomes, generators, strict=True)
        ]

    def mate_many(
        self, firsts: Sequence[Genome], seconds: Sequence[Genome], generators: Generators
    ) -> Sequence[tuple[Genome, Genome]]:
        return [self.mate(*three) for three in zip(firsts, seconds, generators, strict=True)]


class SharesOneGenerator(Together):
    def mutate_many(
        self, genomes: Sequence[Genome], generators: Generators, generation: int = 0
    ) -> Sequence[Genome]:
        rng = generators[0] if len(genomes) else None
        return [self.mutate(genome, rng, generation) for genome in genomes]  # type: ignore[arg-type]


class LosesAPair(Together):
    def mate_many(
        self, firsts: Sequence[Genome], seconds: Sequence[Genome], generators: Generators
    ) -> Sequence[tuple[Genome, Genome]]:
        return super().mate_many(firsts, seconds, generators)[1:]


class Rounds(Ramp):
    def dump(self, genome: Genome) -> bytes:
        return genome.astype("<f2").tobytes()

    def load(self, data: bytes) -> Genome:
        if len(data) != 4 * self.channels:
            raise ValueError("length")
        genome = np.frombuffer(data, "<f2").reshape(2, self.channels).astype(np.float64)
        if not ((genome >= 0) & (genome <= 1)).all() or self.dump(genome + 0.0) != data:
            raise ValueError("range")
        return genome + 0.0


class Forgets(Ramp):
    def load(self, data: bytes) -> Genome:
        return np.roll(super().load(data), 1)


class ChannelsLast(Ramp):
    def render(self, genomes: Sequence[Genome], size: tuple[int, int]) -> NDArray[np.uint8]:
        return super().render(genomes, size).transpose(0, 2, 3, 1)


class Floats(Ramp):
    def render(self, genomes: Sequence[Genome], size: tuple[int, int]) -> Any:
        return super().render(genomes, size) / 255


class MutatesInPlace(Ramp):
    def mutate(self, genome: Genome, rng: np.random.Generator, generation: int = 0) -> Genome:
        genome[0, 0] = rng.random()
        return genome


class MatesInPlace(Ramp):
    def mate(self, a: Genome, b: Genome, rng: np.random.Generator) -> tuple[Genome, Genome]:
        a[0], b[0] = b[0].copy(), a[0].copy()
        return a, b


class MutatesByItself(Ramp):
    def mutate(self, genome: Genome, rng: np.random.Generator, generation: int = 0) -> Genome:
        own = np.random.default_rng()
        return np.where(own.random(genome.shape) < 0.5, own.random(genome.shape), genome)


class SamplesGlobally(Ramp):
    def sample(self, rng: np.random.Generator) -> Genome:
        return np.random.random((2, self.channels))  # noqa: NPY002


class SeedsGlobally(Ramp):
    def mate(self, a: Genome, b: Genome, rng: np.random.Generator) -> tuple[Genome, Genome]:
        np.random.seed(3)  # noqa: NPY002
        return super().mate(a, b, rng)


class Trusting(Ramp):
    def load(self, data: bytes) -> Genome:
        return np.frombuffer(data, "<f8").reshape(2, self.channels).copy()


class RaisesTheWrongThing(Ramp):
    def load(self, data: bytes) -> Genome:
        struct.unpack("<d", data[:8])
        return super().load(data)


class PadsShortDumps(Ramp):
    def load(self, data: bytes) -> Genome:
        return super().load(data[: 16 * self.channels].ljust(16 * self.channels, b"\0"))


class OneSize(Ramp):
    def render(self, genomes: Sequence[Genome], size: tuple[int, int]) -> NDArray[np.uint8]:
        return super().render(genomes, SHAPE[1:])


class NoEmptyBatch(Ramp):
    def render(self, genomes: Sequence[Genome], size: tuple[int, int]) -> NDArray[np.uint8]:
        return np.stack([super(NoEmptyBatch, self).render([each], size)[0] for each in genomes])


class Stretches(Ramp):
    def render(self, genomes: Sequence[Genome], size: tuple[int, int]) -> NDArray[np.uint8]:
        images = super().render(genomes, size).astype(float)
        return (255 * images / max(images.max(initial=0), 1)).astype(np.uint8)


class OneBuffer(Ramp):
    def render(self, genomes: Sequence[Genome], size: tuple[int, int]) -> NDArray[np.uint8]:
        images = super().render(genomes, size)
        kept = self.__dict__.setdefault("kept", {}).setdefault(images.shape, images)
        kept[:] = images
        return kept


class RenderingChanges(Ramp):
    def render(self, genomes: Sequence[Genome], size: tuple[int, int]) -> NDArray[np.uint8]:
        images = super().render(genomes, size)
        for genome in genomes:
            genome *= 0.999
        return images


class HidesOptions(Ramp):
    def __init__(self, shape: tuple[int, int, int], rate: float = 0.5) -> None:
        super().__init__(shape, rate)
        self.options = {"rate": np.float32(rate)}  # type: ignore[dict-item]


class DescribesArrays(Ramp):
    def describe(self, genome: Genome) -> dict[str, Any]:
        return {"slopes": genome}


class WrapsVectors(Ramp):
    def from_vector(self, vector: Genome) -> Genome:
        return (vector % 1).reshape(2, self.channels)


TWINS = [
    (Forgets, "load does not undo dump"),
    (ChannelsLast, "render does not give uint8 pictures N x C x H x W at its own size"),
    (Floats, "render does not give uint8 pictures N x C x H x W at its own size"),
    (MutatesInPlace, "mutate changes its parent"),
    (MatesInPlace, "mate changes its parent"),
    (MutatesByItself, "mutate is not determined by its generator"),
    (SamplesGlobally, "sample is not determined by its generator"),
    (SeedsGlobally, "it uses the global random generators"),
    (Trusting, "load accepts bytes that dump cannot have written"),
    (PadsShortDumps, "load accepts bytes that dump cannot have written"),
    (RaisesTheWrongThing, "load raises something other than ValueError"),
    (OneSize, "render does not give uint8 pictures N x C x H x W at other sizes"),
    (Stretches, "a picture depends on what else is drawn with it"),
    (OneBuffer, "a picture depends on what was drawn before"),
    (RenderingChanges, "render changes its genomes"),
    (HidesOptions, "its options are not all of them, resolved"),
    (DescribesArrays, "describe does not give a JSON object"),
    (SharesOneGenerator, "mate_many or mutate_many differs"),
    (LosesAPair, "mate_many or mutate_many differs"),
    (WrapsVectors, "to_vector and from_vector are not inverse"),
]


@pytest.mark.parametrize("shape", [SHAPE, (1, 6, 6)])
def test_correct_ones_pass(shape: tuple[int, int, int]) -> None:
    check_encoding(Ramp, shape)
    check_encoding(Ramp(shape, 0.1), shape)
    check_encoding(Together, shape)
    check_encoding(f"{EXAMPLE}:Grating", shape, {"max_waves": 4})


@pytest.mark.parametrize(
    ("name", "options"), [("cppn", {}), ("direct", {"resolution": [4, 5]}), ("layers", {})]
)
def test_ours_pass(name: str, options: dict[str, Any]) -> None:
    check_encoding(name, SHAPE, options)


@pytest.mark.parametrize(("twin", "what"), TWINS, ids=[twin.__name__ for twin, _ in TWINS])
def test_a_broken_twin_is_found(twin: type[Any], what: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_encoding(twin, SHAPE)
    (fault, *_) = [each for each in caught.value.faults if each.what.startswith(what)] or [None]
    assert fault is not None, str(caught.value)
    assert fault.mend
    assert f"encoding {twin.__name__} does not conform" in str(caught.value)


def test_one_fault_is_told_alone() -> None:
    """The first cause, and nothing that follows from it."""
    for twin, what in TWINS:
        if twin in (SamplesGlobally, RenderingChanges):
            continue  # which also use the global generators, and change parents
        with pytest.raises(ConformanceError) as caught:
            check_encoding(twin, SHAPE)
        kinds = {fault.what.rpartition(" at ")[0] or fault.what for fault in caught.value.faults}
        assert len(kinds) == 1, (what, kinds)


def test_several_faults_are_all_told() -> None:
    class Both(MutatesInPlace, Trusting, DescribesArrays):
        pass

    with pytest.raises(AssertionError) as caught:
        check_encoding(Both, SHAPE)
    text = str(caught.value)
    assert "does not conform: 3 faults" in text
    assert all(f"\n\n{n}. " in text for n in (1, 2, 3))
    assert "to fix: copy the genome first" in text


def test_rounding_in_both_directions_is_found_by_its_pictures() -> None:
    with pytest.raises(ConformanceError, match="pictures after dump and load"):
        check_encoding(Rounds, SHAPE)


def test_what_it_raises_is_told_with_its_line() -> None:
    class Raises(Ramp):
        def mate(self, a: Genome, b: Genome, rng: np.random.Generator) -> tuple[Genome, Genome]:
            raise KeyError("no such thing")

    with pytest.raises(ConformanceError) as caught:
        check_encoding(Raises, SHAPE)
    (fault, *_) = caught.value.faults
    assert fault.what.startswith("it raises KeyError at")
    assert 'raise KeyError("no such thing")' in fault.detail
    with pytest.raises(ConformanceError, match="no method sample, mutate, mate"):
        check_encoding(type("Empty", (), {"__init__": lambda self, shape: None}), SHAPE)
    with pytest.raises(ConformanceError, match=r"cannot be loaded\s+unknown encoding 'rampp'"):
        check_encoding("rampp", SHAPE)
