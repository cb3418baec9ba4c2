"""Layered pictures: procedural fields over charts of the plane, with palettes and masks.

Random pictures of this encoding look more like what nets were trained on than those of a CPPN do:
they have edges, textures, objects over grounds, and colours with the statistics of photographs.
Those statistics are all that was taken from pictures; what random ones are like was tuned on four
nets of ImageNet (docs/search.md). See `evofool.render.layers` for what is drawn.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evofool.images import Shape, Size, UInt8Images
from evofool.operators import polynomial_mutation
from evofool.render.layers import (
    CHARTS,
    FIELDS,
    GENES,
    GROUND,
    MASKS,
    MOST_LAYERS,
    SEEDS,
    Stack,
    Stacks,
    described,
    render_layers,
    render_layers_tensor,
    tensor_renderer,
)

if TYPE_CHECKING:
    import torch

_HEADER = struct.Struct("<4sH")
_MAGIC = b"EFL\x02"
_KINDS = np.array([len(CHARTS), len(FIELDS), len(MASKS)])
_SHADE = GENES.index("shade")
_IS_SEED = np.isin(np.arange(len(GENES)), SEEDS)

Probability: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
Layers: TypeAlias = Annotated[int, Field(ge=0, le=MOST_LAYERS)]


class Options(BaseModel):
    """Options of the layered encoding."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    colour: Literal["natural", "uniform"] = "natural"
    """Colour genes span the colours of photographs, along their principal axes, or red, green and
    blue. A grey picture has one."""
    fewest: Layers = 1
    """Layers of a random picture, at least."""
    most: Layers = 6
    """Layers of a random picture, at most."""
    covered: Probability = 0.4
    """Of a random picture's top layer to have no mask: it covers all, or all is seen through it."""
    shaded: Probability = 1.0
    """Of a new layer to be lighter and darker in places."""
    limit: Layers = 8
    """Layers that a picture may come to have."""
    gene_rate: Probability = 0.15
    """Of each gene to mutate (polynomial mutation)."""
    gene_eta: float = Field(default=2.0, ge=0.0, le=1e6)
    """Distribution index of that mutation: low, since large steps find more than gentle ones."""
    kind_rate: Probability = 0.05
    """Of each chart, field and mask to be drawn anew."""
    seed_rate: Probability = 0.05
    """Of each place in a table of noise to be drawn anew."""
    add_layer: Probability = 0.1
    """A new layer is put somewhere, once a mutation."""
    delete_layer: Probability = 0.1
    swap_layers: Probability = 0.1
    """Two layers change places."""
    crossover: Probability = 0.3
    """Of a pair to exchange layers."""

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        if not self.fewest <= self.most <= self.limit:
            raise ValueError("fewest must not be above most, nor most above limit")
        return self


class Layered:
    """Stacks of layers, mutated in genes, kinds and order, crossed by whole layers.

    Args:
        shape: channels (1 or 3), height, width of the victim's input; a genome has no size.
        **options: see `Options`.

    Raises:
        pydantic.ValidationError: an option is unknown or wrong.
        ValueError: not 1 or 3 channels.
    """

    name: ClassVar[str] = "layers"
    settings_model: ClassVar[type[Options]] = Options
    any_size: ClassVar[bool] = True

    def __init__(self, shape: Shape, **options: Any) -> None:
        self.settings = Options(**options)
        if shape[0] not in (1, 3):
            raise ValueError(f"layers have 1 or 3 channels, not {shape[0]}")
        self.options: dict[str, Any] = self.settings.model_dump(mode="json")
        self.shape: Shape = (shape[0], shape[1], shape[2])

    def sample(self, rng: np.random.Generator) -> Stack:
        """Random layers: kinds alike but for the top one's mask, genes uniform but for shade."""
        layers = int(rng.integers(self.settings.fewest, self.settings.most + 1))
        ground = rng.random(len(GROUND), dtype=np.float32)
        kinds, genes = self._layers(layers, rng)
        if rng.random() < self.settings.covered:
            kinds[-1:, 2] = MASKS.index("none")
        return Stack(ground, kinds, genes)

    def mutate(self, genome: Stack, rng: np.random.Generator, generation: int = 0) -> Stack:
        """A changed copy: genes, seeds, kinds, then layers added, deleted and swapped."""
        settings = self.settings
        layers = len(genome)
        flat = np.concatenate((genome.ground, genome.genes.reshape(-1)))
        flat = polynomial_mutation(flat, rng, settings.gene_rate, settings.gene_eta)
        ground, genes = flat[: len(GROUND)], flat[len(GROUND) :].reshape(layers, len(GENES))
        fresh = rng.random((layers, len(GENES)), dtype=np.float32)
        anew = (fresh < settings.seed_rate) & _IS_SEED
        if anew.any():
            genes[anew] = fresh[anew] / np.float32(settings.seed_rate)
        u = rng.random((layers, 3))
        kinds = genome.kinds
        if (turned := u < settings.kind_rate).any():
            # what is left of such a number is uniform again
            drawn = np.minimum(u / settings.kind_rate * _KINDS, _KINDS - 1).astype(np.uint8)
            kinds = np.where(turned, drawn, kinds)
        order = self._new_order(layers, rng)
        if order is None:
            return Stack(ground, kinds, genes)
        if -1 in order:
            new_kinds, new_genes = self._layers(1, rng)
            kinds, genes = np.concatenate((kinds, new_kinds)), np.concatenate((genes, new_genes))
        return Stack(ground, kinds[order], genes[order])

    def mate(self, first: Stack, second: Stack, rng: np.random.Generator) -> tuple[Stack, Stack]:
        """Two children: each takes the lower layers of one parent and the upper ones of the other.

        The ground goes with the lower ones. Layers above the limit are left out.
        """
        if rng.random() >= self.settings.crossover:
            return first, second
        cut = int(rng.integers(len(first) + 1)), int(rng.integers(len(second) + 1))
        return (
            self._joined(first, cut[0], second, cut[1]),
            self._joined(second, cut[1], first, cut[0]),
        )

    def render(self, genomes: Sequence[Stack], size: Size) -> UInt8Images:
        """Pixels N x C x height x width uint8; releases the GIL while it draws."""
        if not genomes:
            return np.empty((0, self.shape[0], *size), dtype=np.uint8)
        return render_layers(
            Stacks.of(genomes), size, channels=self.shape[0], colour=self.settings.colour
        )

    def renderer(self, device: torch.device | str) -> str:
        """What draws on `device`: ``triton``, ``torch``, or what `render` draws with, ``host``."""
        return tensor_renderer(device)

    def render_tensor(
        self, genomes: Sequence[Stack], size: Size, device: torch.device | str
    ) -> torch.Tensor:
        """Pixels N x C x height x width uint8 on `device`, drawn there; see `render`."""
        import torch

        if not genomes:
            return torch.empty((0, self.shape[0], *size), dtype=torch.uint8, device=device)
        renderer = tensor_renderer(device)
        if renderer == "host":
            return torch.from_numpy(self.render(genomes, size)).to(device)
        return render_layers_tensor(
            Stacks.of(genomes),
            size,
            channels=self.shape[0],
            colour=self.settings.colour,
            device=device,
            backend=renderer,
        )

    def dump(self, genome: Stack) -> bytes:
        """Magic with version, layers (uint16), ground (float32), kinds (uint8), genes (float32)."""
        return b"".join(
            (
                _HEADER.pack(_MAGIC, len(genome)),
                genome.ground.astype("<f4").tobytes(),
                genome.kinds.tobytes(),
                genome.genes.astype("<f4").tobytes(),
            )
        )

    def load(self, data: bytes) -> Stack:
        """The inverse of `dump`.

        Raises:
            ValueError: another length or version, more layers than the limit, a kind that there is
                not, or a gene that is not on [0, 1].
        """
        if len(data) < _HEADER.size:
            raise ValueError(f"a layered genome has at least {_HEADER.size} bytes, not {len(data)}")
        magic, layers = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError("not a layered genome of version 2")
        if layers > self.settings.limit:
            raise ValueError(f"{layers} layers are more than {self.settings.limit}")
        at = _HEADER.size + 4 * len(GROUND)
        if len(data) != at + layers * (3 + 4 * len(GENES)):
            raise ValueError(f"a genome of {layers} layers does not have {len(data)} bytes")
        kinds = np.frombuffer(data, np.uint8, 3 * layers, at).reshape(layers, 3)
        genes = np.frombuffer(data, "<f4", layers * len(GENES), at + 3 * layers)
        stack = Stack(
            np.frombuffer(data, "<f4", len(GROUND), _HEADER.size).astype(np.float32),
            kinds.copy(),
            genes.astype(np.float32).reshape(layers, len(GENES)),
        )
        stack.check()
        return stack

    def describe(self, genome: Stack) -> dict[str, Any]:
        """Kind, and what each layer is in words and numbers, the lowest first."""
        return {"kind": self.name, "layers": described(genome)}

    def stages(self, genome: Stack) -> list[tuple[str, Stack]]:
        """The ground, then each layer with all below it."""
        words = ["the ground", *(layer["words"] for layer in described(genome))]
        return [
            (words[n], Stack(genome.ground, genome.kinds[:n], genome.genes[:n]))
            for n in range(len(genome) + 1)
        ]

    def _layers(self, count: int, rng: np.random.Generator) -> tuple[Any, Any]:
        kinds = (rng.random((count, 3)) * _KINDS).astype(np.uint8)
        genes = rng.random((count, len(GENES)), dtype=np.float32)
        shade = genes[:, _SHADE]
        shaded = rng.random(count) < self.settings.shaded
        # a gene below a half is no shade; much shade is more like a photograph than a little
        genes[:, _SHADE] = np.where(shaded, 0.75 + 0.25 * shade, 0.5 * shade)
        return kinds, genes

    def _new_order(self, layers: int, rng: np.random.Generator) -> list[int] | None:
        """Indices of the layers after changes of the structure, -1 for a new one; None if as is."""
        u = rng.random(7).tolist()
        order, changed = list(range(layers)), False
        if u[0] < self.settings.delete_layer and layers > 1:
            del order[int(u[1] * len(order))]
            changed = True
        if u[2] < self.settings.swap_layers and len(order) > 1:
            i, j = int(u[3] * len(order)), int(u[4] * len(order))
            order[i], order[j] = order[j], order[i]
            changed = True
        if u[5] < self.settings.add_layer and len(order) < self.settings.limit:
            order.insert(int(u[6] * (len(order) + 1)), -1)
            changed = True
        return order if changed else None

    def _joined(self, lower: Stack, upto: int, upper: Stack, start: int) -> Stack:
        kinds = np.concatenate((lower.kinds[:upto], upper.kinds[start:]))
        genes = np.concatenate((lower.genes[:upto], upper.genes[start:]))
        limit = self.settings.limit
        return Stack(lower.ground, kinds[:limit], genes[:limit])


ENCODING = Layered
