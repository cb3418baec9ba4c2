"""The direct encoding: one gene a pixel and channel (Nguyen et al. 2015, section 2.2)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evofool.images import Shape, Size, UInt8Images
from evofool.operators import polynomial_mutation, sbx

Genome: TypeAlias = NDArray[np.float32]
"""Channels x h x w float32 on [0, 1], C-contiguous and read-only."""

PRESETS: dict[str, dict[str, Any]] = {
    # The text: mutation only, and its rate halves every 1000 generations.
    "paper": {"halve_every": 1000, "crossover": 0.0, "reset_equal": False},
    # The code: a constant rate, and a crossover that resets equal genes.
    "released": {"halve_every": None, "crossover": 0.5, "reset_equal": True},
    # Ours: the text's annealing and the code's crossover, without its reset.
    "evofool": {"halve_every": 1000, "crossover": 0.5, "reset_equal": False},
}

_HEADER = struct.Struct("<4s3I")
_MAGIC = b"EFD\x01"

Length: TypeAlias = Annotated[int, Field(ge=1, le=16384)]


class Options(BaseModel):
    """Options of the direct encoding; `preset` gives the defaults of those it names."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    preset: Literal["paper", "released", "evofool"] = "evofool"
    rate: float = Field(default=0.1, ge=0.0, le=1.0)
    """Probability of a gene to mutate."""
    eta: float = Field(default=15.0, ge=0.0, le=1e6)
    """Distribution index of the mutation."""
    halve_every: int | None = Field(default=None, ge=1)
    """Generations after which the rate halves, again and again; null for never."""
    crossover: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability of a pair to cross over."""
    sbx_eta: float = Field(default=10.0, ge=0.0, le=1e6)
    """Distribution index of the crossover."""
    reset_equal: bool = False
    """Crossover sets genes that are equal in both parents to 1/2, as the released code does."""
    resolution: tuple[Length, Length] | None = Field(default=None, strict=False)
    """Height and width of the genome; null for the victim's."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        preset = data.get("preset", "evofool")
        return {**(PRESETS.get(preset, {}) if isinstance(preset, str) else {}), **data}


class Direct:
    """Genes are pixel values: level = int(255 gene), enlarged to the picture by nearest pixel.

    Args:
        shape: channels, height, width of the victim's input.
        **options: see `Options`.

    Raises:
        pydantic.ValidationError: an option is unknown or wrong.
    """

    name: ClassVar[str] = "direct"

    def __init__(self, shape: Shape, **options: Any) -> None:
        self.settings = Options(**options)
        self.options: dict[str, Any] = self.settings.model_dump(mode="json")
        height, width = self.settings.resolution or shape[1:]
        self.shape: Shape = (shape[0], height, width)
        """Of a genome."""

    def sample(self, rng: np.random.Generator) -> Genome:
        """Uniform genes."""
        return _frozen(rng.random(self.shape, dtype=np.float32))

    def mutate(self, genome: Genome, rng: np.random.Generator, generation: int = 0) -> Genome:
        """Polynomial mutation; the rate is that of `generation` (from 1)."""
        rate = self.settings.rate
        if self.settings.halve_every is not None:
            rate *= 0.5 ** (max(generation - 1, 0) // self.settings.halve_every)
        genes = polynomial_mutation(genome.reshape(-1), rng, rate, self.settings.eta)
        return _frozen(genes.reshape(self.shape))

    def mate(
        self, first: Genome, second: Genome, rng: np.random.Generator
    ) -> tuple[Genome, Genome]:
        """Simulated binary crossover for a share `crossover` of the pairs, else the parents."""
        if rng.random() >= self.settings.crossover:
            return first, second
        children = sbx(
            first.reshape(-1),
            second.reshape(-1),
            rng,
            self.settings.sbx_eta,
            self.settings.reset_equal,
        )
        return _frozen(children[0].reshape(self.shape)), _frozen(children[1].reshape(self.shape))

    def render(self, genomes: Sequence[Genome], size: Size) -> UInt8Images:
        """Pixels N x C x height x width uint8; each takes the gene its centre falls on."""
        channels, height, width = self.shape
        levels = np.empty((len(genomes), channels, height, width), dtype=np.uint8)
        for level, genome in zip(levels, genomes, strict=True):
            np.multiply(genome, np.float32(255), out=level, casting="unsafe")
        if size == (height, width):
            return levels
        rows = (2 * np.arange(size[0]) + 1) * height // (2 * size[0])
        columns = (2 * np.arange(size[1]) + 1) * width // (2 * size[1])
        return np.ascontiguousarray(levels[:, :, rows[:, None], columns])

    def dump(self, genome: Genome) -> bytes:
        """Magic with version, channels, height, width (uint32), genes (float32); little-endian."""
        # Adding zero turns -0 into 0: equal genomes give equal bytes.
        return _HEADER.pack(_MAGIC, *genome.shape) + (genome + 0).astype("<f4").tobytes()

    def load(self, data: bytes) -> Genome:
        """The inverse of `dump`.

        Raises:
            ValueError: another length, shape or version than this encoding's, or a gene that is
                not on [0, 1].
        """
        if len(data) < _HEADER.size:
            raise ValueError(f"a direct genome has at least {_HEADER.size} bytes, not {len(data)}")
        magic, *shape = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError("not a direct genome of version 1")
        if tuple(shape) != self.shape:
            raise ValueError(f"the genome has shape {tuple(shape)}, the encoding {self.shape}")
        if len(data) != _HEADER.size + 4 * int(np.prod(self.shape)):
            raise ValueError(
                f"a direct genome of shape {self.shape} does not have {len(data)} bytes"
            )
        genes = np.frombuffer(data, dtype="<f4", offset=_HEADER.size).astype(np.float32)
        # Read as unsigned, the bit patterns of 0 to 1 come first: NaN, -0 and the rest lie above.
        if np.any(genes.view(np.uint32) > np.float32(1.0).view(np.uint32)):
            raise ValueError("a gene is not on [0, 1]")
        return _frozen(genes.reshape(self.shape))

    def describe(self, genome: Genome) -> dict[str, Any]:
        """Kind, shape, number of genes, and their mean and standard deviation."""
        return {
            "kind": self.name,
            "shape": list(self.shape),
            "genes": int(genome.size),
            "mean": round(float(genome.mean(dtype=np.float64)), 6),
            "deviation": round(float(genome.std(dtype=np.float64)), 6),
        }

    def to_vector(self, genome: Genome) -> NDArray[np.float64]:
        """The genes as (n,) float64, channel by channel, row by row."""
        return genome.reshape(-1).astype(np.float64)

    def from_vector(self, vector: NDArray[np.float64]) -> Genome:
        """The genome whose genes are `vector`, clipped to [0, 1].

        Raises:
            ValueError: another length, or a value that is not a number.
        """
        if vector.shape != (int(np.prod(self.shape)),) or np.isnan(vector).any():
            raise ValueError(f"a vector of {int(np.prod(self.shape))} numbers is wanted")
        return _frozen(np.clip(vector, 0.0, 1.0).astype(np.float32).reshape(self.shape))


def _frozen(genome: Genome) -> Genome:
    genome.flags.writeable = False
    return genome


ENCODING = Direct
