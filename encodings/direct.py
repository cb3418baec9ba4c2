"""The direct encoding: one gene a pixel and channel (Nguyen et al. 2015, section 2.2)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evofool.images import Shape, Size, UInt8Images
from evofool.operators import polynomial_mutation, polynomial_mutations, sbx, sbx_pairs
from evofool.operators.recipes import Recipe, TensorGenome
from evofool.randomness import Generators

if TYPE_CHECKING:
    import torch

Genome: TypeAlias = NDArray[np.float32]
"""float32 channels x h x w on [0, 1], C-contiguous and read-only."""

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
    settings_model: ClassVar[type[Options]] = Options

    def __init__(self, shape: Shape, **options: Any) -> None:
        self.settings = Options(**options)
        self.options: dict[str, Any] = self.settings.model_dump(mode="json")
        height, width = self.settings.resolution or shape[1:]
        self.shape: Shape = (shape[0], height, width)
        """Channels x h x w of a genome."""

    def sample(self, rng: np.random.Generator) -> Genome:
        """A genome of uniform genes."""
        return _frozen(rng.random(self.shape, dtype=np.float32))

    def mutate(self, genome: Genome, rng: np.random.Generator, generation: int = 0) -> Genome:
        """Polynomial mutation of `genome` (channels x h x w).

        The rate is that of `generation` (from 1).
        """
        rate = self.rate_in(generation)
        genes = polynomial_mutation(genome.reshape(-1), rng, rate, self.settings.eta)
        return _frozen(genes.reshape(self.shape))

    def mutate_many(
        self, genomes: Sequence[Genome], generators: Generators, generation: int = 0
    ) -> Sequence[Genome]:
        """What `mutate` gives for each genome with its own generator."""
        rate, eta = self.rate_in(generation), self.settings.eta
        return [_frozen(child) for child in polynomial_mutations(genomes, generators, rate, eta)]

    def rate_in(self, generation: int) -> float:
        """Probability of a gene to mutate in `generation` (from 1)."""
        rate = self.settings.rate
        if self.settings.halve_every is not None:
            rate *= 0.5 ** (max(generation - 1, 0) // self.settings.halve_every)
        return rate

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

    def mate_many(
        self, firsts: Sequence[Genome], seconds: Sequence[Genome], generators: Generators
    ) -> Sequence[tuple[Genome, Genome]]:
        """What `mate` gives for each pair with its own generator."""
        s = self.settings
        pairs = list(zip(firsts, seconds, strict=True))
        crossed = sbx_pairs(firsts, seconds, generators, s.crossover, s.sbx_eta, s.reset_equal)
        for row, (one, two) in crossed.items():
            pairs[row] = _frozen(one), _frozen(two)
        return pairs

    def render(self, genomes: Sequence[Genome], size: Size) -> UInt8Images:
        """The pixels of `genomes`, uint8 N x C x height x width: each takes the gene under its
        centre.
        """
        channels, height, width = self.shape
        levels = np.empty((len(genomes), channels, height, width), dtype=np.uint8)
        for level, genome in zip(levels, genomes, strict=True):
            np.multiply(genome, np.float32(255), out=level, casting="unsafe")
        if size == (height, width):
            return levels
        rows, columns = nearest(size[0], height), nearest(size[1], width)
        return np.ascontiguousarray(levels[:, :, rows[:, None], columns])

    def dump(self, genome: Genome) -> bytes:
        """The canonical bytes of `genome`, which is channels x h x w.

        Magic with version, channels, height, width (uint32), genes (float32); little-endian.
        """
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
            raise ValueError("a gene is below 0 or above 1")
        return _frozen(genes.reshape(self.shape))

    def describe(self, genome: Genome) -> dict[str, Any]:
        """Kind, shape, number of genes, and their mean and standard deviation.

        `genome` is channels x h x w.
        """
        return {
            "kind": self.name,
            "shape": list(self.shape),
            "genes": int(genome.size),
            "mean": round(float(genome.mean(dtype=np.float64)), 6),
            "deviation": round(float(genome.std(dtype=np.float64)), 6),
        }

    def to_vector(self, genome: Genome) -> NDArray[np.float64]:
        """The genes of `genome` (channels x h x w) as (n,), channel by channel, row by row."""
        return genome.reshape(-1).astype(np.float64)

    def from_vector(self, vector: NDArray[np.float64]) -> Genome:
        """The genome whose genes are `vector`, (n,), clipped to [0, 1]; the inverse of `to_vector`.

        Raises:
            ValueError: another length, or a value that is not a number.
        """
        if vector.shape != (int(np.prod(self.shape)),) or np.isnan(vector).any():
            raise ValueError(
                f"a direct genome is a vector of {int(np.prod(self.shape))} numbers here"
            )
        return _frozen(np.clip(vector, 0.0, 1.0).astype(np.float32).reshape(self.shape))

    def on(self, device: torch.device | str) -> DirectTensors:
        """The same encoding with genomes on `device`."""
        return DirectTensors(self, device)


class DirectTensors:
    """`Direct` with genomes on a device: children are made there when they are rendered.

    Operators only note recipes; a whole micro-batch is sampled, crossed, mutated and quantised at
    once. A genome is copied to the host when it is dumped, so only if it wins a cell. Pixels equal
    those of `Direct.render` to the last bit; operators draw other numbers than `Direct` does
    (`evofool.operators.tensors`), the same ones on all devices.
    """

    name: ClassVar[str] = "direct"
    breeder: ClassVar[str] = "philox4x32"

    def __init__(self, plain: Direct, device: torch.device | str) -> None:
        self.options = plain.options
        self._plain = plain
        self._device = device
        self._settings = plain.settings

    def sample(self, rng: np.random.Generator) -> TensorGenome:
        """As `Direct.sample`."""
        return TensorGenome(recipe=Recipe(_words(rng)))

    def mutate(
        self, genome: TensorGenome, rng: np.random.Generator, generation: int = 0
    ) -> TensorGenome:
        """As `Direct.mutate`."""
        return TensorGenome(recipe=Recipe(_words(rng), (genome,), self._plain.rate_in(generation)))

    def mate(
        self, first: TensorGenome, second: TensorGenome, rng: np.random.Generator
    ) -> tuple[TensorGenome, TensorGenome]:
        """As `Direct.mate`."""
        if rng.random() >= self._settings.crossover:
            return first, second
        keys = _words(rng)
        one, two = (TensorGenome(recipe=Recipe(keys, (first, second), side=k)) for k in (0, 1))
        return one, two

    def renderer(self, device: torch.device | str) -> str:
        """``host``, since the pixels are those of `Direct.render`."""
        return "host"

    def render_tensor(
        self, genomes: Sequence[TensorGenome], size: Size, device: torch.device | str
    ) -> torch.Tensor:
        """Pixels of `genomes` as `Direct.render`: uint8 N x C x height x width on `device`."""
        import torch

        channels, height, width = self._plain.shape
        if not genomes:
            return torch.empty((0, channels, *size), dtype=torch.uint8, device=device)
        genes = self._genes(genomes).view(-1, channels, height, width)
        levels = (genes * 255.0).to(torch.uint8)
        if size != (height, width):
            rows, columns = (
                torch.from_numpy(nearest(wanted, length)).to(levels.device)
                for wanted, length in zip(size, (height, width), strict=True)
            )
            levels = levels[:, :, rows[:, None], columns]
        return levels.to(device).contiguous()

    def render(self, genomes: Sequence[TensorGenome], size: Size) -> UInt8Images:
        """The same as an array, uint8 N x C x height x width."""
        images: UInt8Images = self.render_tensor(genomes, size, self._device).cpu().numpy()
        return images

    def dump(self, genome: TensorGenome) -> bytes:
        """As `Direct.dump`."""
        return self._plain.dump(self._array(genome))

    def load(self, data: bytes) -> TensorGenome:
        """As `Direct.load`."""
        return self._moved(self._plain.load(data))

    def describe(self, genome: TensorGenome) -> dict[str, Any]:
        """As `Direct.describe`."""
        return self._plain.describe(self._array(genome))

    def to_vector(self, genome: TensorGenome) -> NDArray[np.float64]:
        """As `Direct.to_vector`: the genes as (n,), channel by channel, row by row."""
        return self._plain.to_vector(self._array(genome))

    def from_vector(self, vector: NDArray[np.float64]) -> TensorGenome:
        """As `Direct.from_vector`: the genome whose genes are `vector`, (n,)."""
        return self._moved(self._plain.from_vector(vector))

    def _moved(self, genome: Genome) -> TensorGenome:
        import torch

        return TensorGenome(torch.tensor(genome).view(-1).to(self._device))

    def _array(self, genome: TensorGenome) -> Genome:
        row = self._genes([genome])[0]
        # who is asked for stays: in memory of its own, not as a row of the batch it was made in
        genome.genes = row
        array: Genome = row.cpu().numpy().reshape(self._plain.shape)
        return array

    def _genes(self, genomes: Sequence[TensorGenome]) -> torch.Tensor:
        """Genes of `genomes`, a copy N x n; those that are still recipes are made now."""
        import torch

        # what another thread makes meanwhile comes out the same
        waiting = [(each, each.recipe) for each in genomes if each.recipe is not None]
        for count in (0, 1, 2):
            some = [(g, r) for g, r in waiting if r is not None and len(r.parents) == count]
            if some:
                made = self._cook([recipe for _, recipe in some])
                for (genome, _), genes in zip(some, made.unbind(), strict=True):
                    genome.genes = genes
                    genome.recipe = None  # and with it the parents
        tensors = [each.genes for each in genomes if each.genes is not None]
        assert len(tensors) == len(genomes)
        return torch.stack(tensors)

    def _cook(self, recipes: Sequence[Recipe]) -> torch.Tensor:
        """Genes of recipes with the same number of parents, N x n."""
        import torch

        from evofool.operators import tensors

        keys = torch.tensor([recipe.keys for recipe in recipes], dtype=torch.int64)
        keys = keys.to(self._device)
        parents = [
            self._genes(column) for column in zip(*(r.parents for r in recipes), strict=True)
        ]
        if not parents:
            return tensors.uniform(keys, int(np.prod(self._plain.shape)))
        if len(parents) == 1:
            rates = torch.tensor([r.rate for r in recipes], dtype=torch.float64)
            rates = rates.to(self._device)
            return tensors.polynomial_mutation(parents[0], keys, rates, self._settings.eta)
        first, second = parents
        one, two = tensors.sbx(
            first, second, keys, self._settings.sbx_eta, self._settings.reset_equal
        )
        other = torch.tensor([bool(r.side) for r in recipes]).to(self._device)
        return torch.where(other[:, None], two, one)


def nearest(count: int, length: int) -> NDArray[np.int64]:
    """For each of `count` pixels along a side, which of `length` genes its centre falls on:
    (count,).
    """
    return (2 * np.arange(count) + 1) * length // (2 * count)


def _words(rng: np.random.Generator) -> tuple[int, int]:
    first, second = rng.integers(0, 2**32, 2).tolist()
    return first, second


def _frozen(genome: Genome) -> Genome:
    genome.flags.writeable = False
    return genome


ENCODING = Direct
