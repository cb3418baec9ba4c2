"""A CPPN over a texture: its bias input is not 1 everywhere but a field of noise.

The rest is the CPPN encoding. Its smooth pictures lack what fine structure tells a net of natural
pictures; here every node may have some, as much of it as the weight of its bias connection says.
The colours are those of photographs (docs/search.md has what this is worth).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from evofool.encodings import Encoding, load
from evofool.images import Shape, Size, UInt8Images
from evofool.operators import polynomial_mutation
from evofool.operators.graph_options import GraphOptions, Probability
from evofool.render import (
    INPUTS,
    Graph,
    compile_tapes,
    render_cppn,
    render_cppn_tensor,
    working_backend,
)
from evofool.render.layers import (
    CHARTS,
    FIELDS,
    GENES,
    SEEDS,
    field_words,
    render_fields,
    render_fields_tensor,
)

if TYPE_CHECKING:
    import torch

USED = tuple(
    GENES.index(name)
    for name in (
        "scale", "angle", "x", "y", "stretch", "warp", "warp scale", "seed u", "seed v", "turns",
    )
)  # fmt: skip
"""The genes of a layer that say where and how its field is."""
FLOATS_AT_ONCE = 1 << 22
"""Of the textures that are drawn together."""

_MAGIC = b"EFT\x01"
_HEADER = struct.Struct("<4s2B")
_IS_SEED = np.isin(USED, SEEDS)


class Options(GraphOptions):
    """Options of the textured encoding; those of the graph are the CPPN's."""

    colour: Literal["natural", "hls", "hsv", "rgb"] = "natural"
    """What the three outputs mean (a grey picture has one output)."""
    charts: list[Literal["plane", "polar", "spiral"]] = Field(
        default=["plane"], min_length=1, max_length=len(CHARTS)
    )
    """Coordinates of a texture: as they are, radius and angle around a point, or these wound up."""
    fields: list[
        Literal[
            "smooth noise", "fractal noise", "cells", "cracks", "stripes", "grid", "dots", "blob"
        ]
    ] = Field(default=["fractal noise"], min_length=1, max_length=len(FIELDS))
    """What textures show."""
    gene_rate: Probability = 0.15
    """Of each gene of the texture to mutate."""
    gene_eta: float = Field(default=2.0, ge=0.0, le=1e6)
    """Distribution index of that mutation."""
    kind_rate: Probability = 0.05
    """Of the texture's chart, and of its field, to be drawn anew."""
    seed_rate: Probability = 0.05
    """Of each place in a table of noise to be drawn anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Textured:
    """A graph and its texture; immutable.

    Attributes:
        graph: of the CPPN.
        kinds: (2,) uint8, chart and field of the texture, as indices.
        genes: (10,) float32 on [0, 1], those of `USED`.
    """

    graph: Graph
    kinds: NDArray[np.uint8]
    genes: NDArray[np.float32]

    def __post_init__(self) -> None:
        self.kinds.flags.writeable = self.genes.flags.writeable = False


class TexturedCppn:
    """CPPNs whose bias input is a field of noise, moved and scaled by genes of its own.

    Args:
        shape: channels (1 or 3), height, width of the victim's input; a genome has no size.
        **options: see `Options`.

    Raises:
        pydantic.ValidationError: an option is unknown or wrong.
        ValueError: not 1 or 3 channels.
    """

    name: ClassVar[str] = "textured"
    settings_model: ClassVar[type[Options]] = Options
    any_size: ClassVar[bool] = True

    def __init__(self, shape: Shape, **options: Any) -> None:
        self.settings = Options(**options)
        of_graph = self.settings.model_dump(include=set(GraphOptions.model_fields))
        self._cppn: Encoding[Graph] = load("cppn", shape, of_graph)
        self.options: dict[str, Any] = self.settings.model_dump(mode="json")
        self.shape: Shape = (shape[0], shape[1], shape[2])
        self._kinds = [
            np.array([CHARTS.index(name) for name in self.settings.charts], np.uint8),
            np.array([FIELDS.index(name) for name in self.settings.fields], np.uint8),
        ]

    def sample(self, rng: np.random.Generator) -> Textured:
        """A random graph without hidden nodes, over a random texture."""
        graph = self._cppn.sample(rng)
        kinds = np.array([rng.choice(names) for names in self._kinds], np.uint8)
        return Textured(graph, kinds, rng.random(len(USED), dtype=np.float32))

    def mutate(self, genome: Textured, rng: np.random.Generator, generation: int = 0) -> Textured:
        """A changed copy: the graph as the CPPN encoding does it, then the texture."""
        settings = self.settings
        graph = self._cppn.mutate(genome.graph, rng, generation)
        genes = polynomial_mutation(genome.genes, rng, settings.gene_rate, settings.gene_eta)
        fresh = rng.random(len(USED), dtype=np.float32)
        anew = (fresh < settings.seed_rate) & _IS_SEED
        if anew.any():  # what is left of such a number is uniform again
            genes[anew] = fresh[anew] / np.float32(settings.seed_rate)
        kinds = genome.kinds.copy()
        for k, names in enumerate(self._kinds):
            if rng.random() < settings.kind_rate:
                kinds[k] = rng.choice(names)
        return Textured(graph, kinds, genes)

    def mate(
        self, first: Textured, second: Textured, rng: np.random.Generator
    ) -> tuple[Textured, Textured]:
        """The parents themselves: as for CPPNs there is no crossover."""
        return first, second

    def render(self, genomes: Sequence[Textured], size: Size) -> UInt8Images:
        """Pixels N x C x height x width uint8; releases the GIL while it draws."""
        images = np.empty((len(genomes), self.shape[0], *size), dtype=np.uint8)
        for part in self._parts(len(genomes), size):
            some = genomes[part]
            images[part] = render_cppn(
                compile_tapes([genome.graph for genome in some]),
                size,
                coords="normalised",
                colour=self.settings.colour,
                native=self.shape[1:],
                bias=render_fields(*self._textures(some), size),
            )
        return images

    def renderer(self, device: torch.device | str) -> str:
        """What draws on `device`: ``triton``, ``torch``, or what `render` draws with, ``host``."""
        backend = working_backend(device)
        return "host" if backend == "numba" else backend

    def render_tensor(
        self, genomes: Sequence[Textured], size: Size, device: torch.device | str
    ) -> torch.Tensor:
        """Pixels N x C x height x width uint8 on `device`, drawn there; see `render`."""
        import torch

        backend = working_backend(device)
        if backend == "numba":
            return torch.from_numpy(self.render(genomes, size)).to(device)
        images = torch.empty((len(genomes), self.shape[0], *size), dtype=torch.uint8, device=device)
        for part in self._parts(len(genomes), size):
            some = genomes[part]
            images[part] = render_cppn_tensor(
                compile_tapes([genome.graph for genome in some]),
                size,
                coords="normalised",
                colour=self.settings.colour,
                native=self.shape[1:],
                device=device,
                backend=backend,
                bias=render_fields_tensor(*self._textures(some), size, device),
            )
        return images

    def dump(self, genome: Textured) -> bytes:
        """Magic with version, chart, field (uint8), genes (float32), and the dump of the graph."""
        return b"".join(
            (
                _HEADER.pack(_MAGIC, *genome.kinds.tolist()),
                genome.genes.astype("<f4").tobytes(),
                self._cppn.dump(genome.graph),
            )
        )

    def load(self, data: bytes) -> Textured:
        """The inverse of `dump`.

        Raises:
            ValueError: another version, a texture that this encoding does not make, a gene that is
                not on [0, 1], or no graph that the CPPN encoding loads.
        """
        at = _HEADER.size + 4 * len(USED)
        if len(data) < at:
            raise ValueError(f"a textured genome has at least {at} bytes, not {len(data)}")
        magic, chart, field = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError("not a textured genome of version 1")
        if chart not in self._kinds[0] or field not in self._kinds[1]:
            raise ValueError("the texture is none of those that the options name")
        genes = np.frombuffer(data, "<f4", len(USED), _HEADER.size).astype(np.float32)
        if not ((genes >= 0) & (genes <= 1) & ~np.signbit(genes)).all():  # NaN is neither
            raise ValueError("a gene of the texture is below 0 or above 1")
        return Textured(self._cppn.load(data[at:]), np.array([chart, field], np.uint8), genes)

    def describe(self, genome: Textured) -> dict[str, Any]:
        """What `Cppn.describe` says, with the texture in words in place of the bias."""
        named = {
            GENES[gene]: value for gene, value in zip(USED, genome.genes.tolist(), strict=True)
        }
        words = field_words(genome.kinds.tolist(), named)
        described = dict(self._cppn.describe(genome.graph))
        described["nodes"][INPUTS.index("bias")]["name"] = words
        genes = {name: round(value, 6) for name, value in named.items()}
        return {**described, "kind": self.name, "texture": {"words": words, "genes": genes}}

    def _textures(self, genomes: Sequence[Textured]) -> tuple[Any, Any]:
        """Kinds (N x 2 uint8) and genes of layers (N x 36 float32)."""
        genes = np.zeros((len(genomes), len(GENES)), np.float32)
        genes[:, USED] = [genome.genes for genome in genomes]
        return np.stack([genome.kinds for genome in genomes]), genes

    def _parts(self, genomes: int, size: Size) -> list[slice]:
        step = max(1, FLOATS_AT_ONCE // (size[0] * size[1]))
        return [slice(start, start + step) for start in range(0, genomes, step)]


ENCODING = TexturedCppn
