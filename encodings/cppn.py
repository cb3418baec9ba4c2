"""The indirect encoding: a CPPN draws the picture (Nguyen et al. 2015, section 2.2).

Unlike NEAT (Stanley and Miikkulainen 2002) it has no crossover, innovation numbers or species,
as in the code that paper released; the encoding follows that code.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import model_validator

from evofool.images import Shape, Size, UInt8Images
from evofool.operators import SPARSE, polynomial_mutation, vary
from evofool.operators.graph_options import GraphOptions
from evofool.operators.graphs import Draft, GraphRates, mutate_graphs
from evofool.operators.streams import Compiled, streams_of
from evofool.randomness import Generators
from evofool.render import (
    ACTIVATIONS,
    INPUTS,
    WEIGHT_LIMIT,
    Graph,
    Graphs,
    compile_tapes,
    render_cppn,
    render_cppn_tensor,
    working_backend,
)

if TYPE_CHECKING:
    import torch

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"coords": "raw", "colour": "hsv"},
    "released": {"coords": "raw", "colour": "hls"},
    "evofool": {"coords": "normalised", "colour": "hls"},
}

_HEADER = struct.Struct("<4sHHI")
_MAGIC = b"EFC\x01"


class Options(GraphOptions):
    """Options of the CPPN encoding; `preset` gives the defaults of `coords` and `colour`."""

    preset: Literal["paper", "released", "evofool"] = "evofool"
    coords: Literal["raw", "normalised"] = "normalised"
    """x and y as pixel indices at the victim's size, or on [-1, 1]."""
    colour: Literal["hls", "hsv", "rgb", "natural"] = "hls"
    """What the three outputs mean (a grey picture has one output); natural colours are those of
    photographs, as in the layered encoding."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        preset = data.get("preset", "evofool")
        return {**(PRESETS.get(preset, {}) if isinstance(preset, str) else {}), **data}


class Cppn:
    """Graphs of x, y, radius and a bias, mutated in structure and weights.

    Nodes are numbered inputs, outputs, hidden (`evofool.render.Graph`); new nodes come last.

    Args:
        shape: channels (1 or 3), height, width of the victim's input. The genome has no size:
            height and width only fix the range of raw coordinates (see `render`).
        **options: see `Options`.

    Raises:
        pydantic.ValidationError: an option is unknown or wrong.
        ValueError: not 1 or 3 channels.
    """

    name: ClassVar[str] = "cppn"
    settings_model: ClassVar[type[Options]] = Options
    any_size: ClassVar[bool] = True

    def __init__(self, shape: Shape, **options: Any) -> None:
        self.settings = Options(**options)
        if shape[0] not in (1, 3):
            raise ValueError(f"a CPPN draws 1 or 3 channels, not {shape[0]}")
        self.options: dict[str, Any] = self.settings.model_dump(mode="json")
        self.shape: Shape = (shape[0], shape[1], shape[2])
        self._codes = [ACTIVATIONS.index(name) for name in self.settings.activations]
        self._rates = GraphRates(
            self.settings.activation_rate,
            self.settings.add_connection,
            self.settings.delete_connection,
            self.settings.split_connection,
            self.settings.delete_node,
            np.array(self._codes, dtype=np.uint8),
            self.settings.max_hidden,
        )

    def sample(self, rng: np.random.Generator) -> Graph:
        """Every input joined to every output, no hidden node, random weights and activations."""
        outputs, inputs = self.shape[0], len(INPUTS)
        chosen = rng.integers(len(self._codes), size=outputs)
        return Graph(
            outputs,
            np.array([self._codes[k] for k in chosen], dtype=np.uint8),
            np.tile(np.arange(inputs, dtype=np.int16), outputs),
            np.repeat(np.arange(inputs, inputs + outputs, dtype=np.int16), inputs),
            rng.random(inputs * outputs, dtype=np.float32),
        )

    def mutate(self, genome: Graph, rng: np.random.Generator, generation: int = 0) -> Graph:
        """A changed copy: weights, activations, then at most one of each structural change.

        In the order of the released code: add a connection, delete one, split one, delete a
        hidden node. A change that is drawn and impossible is left out.
        """
        settings = self.settings
        genes = polynomial_mutation(genome.genes, rng, settings.weight_rate, settings.weight_eta)
        draft = Draft(genome.outputs, genome.activations, genome.sources, genome.targets, genes)
        for node in np.flatnonzero(rng.random(len(draft.codes)) < settings.activation_rate):
            draft.codes[node] = self._any_code(rng.random())
        # One call for the numbers of all structural changes: scalar draws would dominate.
        u = rng.random(9).tolist()
        if u[0] < settings.add_connection:
            draft.add_connection(rng.permutation(len(draft.codes)).tolist(), u[1], rng.random())
        if u[2] < settings.delete_connection:
            draft.delete_connection(u[3])
        if u[4] < settings.split_connection and draft.hidden < settings.max_hidden:
            draft.split_connection(u[5], self._any_code(u[6]))
        if u[7] < settings.delete_node:
            draft.delete_node(u[8])
        return Graph(genome.outputs, *draft.finish())

    def mutate_many(
        self, genomes: Sequence[Graph], generators: Generators, generation: int = 0
    ) -> Sequence[Graph]:
        """What `mutate` gives for each genome with its own generator."""
        settings = self.settings
        drawing = streams_of(generators)
        if settings.weight_rate < SPARSE or not isinstance(drawing, Compiled):
            pairs = zip(genomes, generators, strict=True)
            return [self.mutate(genome, rng, generation) for genome, rng in pairs]
        batch = Graphs.of(genomes)
        genes = batch.genes.copy()
        vary(genes, *drawing.mutations(batch.edges, settings.weight_rate), settings.weight_eta)
        parts = batch.nodes, batch.edges, batch.activations, batch.sources, batch.targets, genes
        return Graphs(batch.outputs, *mutate_graphs(batch.outputs, parts, drawing, self._rates))

    def mate(self, first: Graph, second: Graph, rng: np.random.Generator) -> tuple[Graph, Graph]:
        """The parents themselves: there is no crossover, and graphs are immutable."""
        return first, second

    def mate_many(
        self, firsts: Sequence[Graph], seconds: Sequence[Graph], generators: Generators
    ) -> Sequence[tuple[Graph, Graph]]:
        """The pairs themselves, as `mate`."""
        return list(zip(firsts, seconds, strict=True))

    def render(self, genomes: Sequence[Graph], size: Size) -> UInt8Images:
        """Pixels N x C x height x width uint8; releases the GIL while it draws.

        At a size other than the victim's the same picture is sampled more finely or coarsely:
        raw coordinates still run from 0 to the victim's height or width less one.
        """
        if not genomes:
            return np.empty((0, self.shape[0], *size), dtype=np.uint8)
        return render_cppn(
            compile_tapes(genomes),
            size,
            coords=self.settings.coords,
            colour=self.settings.colour,
            native=self.shape[1:],
        )

    def renderer(self, device: torch.device | str) -> str:
        """What draws on `device`: ``triton``, ``torch``, or what `render` draws with, ``host``."""
        backend = working_backend(device)
        return "host" if backend == "numba" else backend

    def render_tensor(
        self, genomes: Sequence[Graph], size: Size, device: torch.device | str
    ) -> torch.Tensor:
        """Pixels N x C x height x width uint8 on `device`, drawn there; see `render`.

        On other devices than the CPU another back end draws them, which rounds differently: a run
        that scores these pixels must store these, not those of `render`.
        """
        if not genomes:
            import torch

            return torch.empty((0, self.shape[0], *size), dtype=torch.uint8, device=device)
        return render_cppn_tensor(
            compile_tapes(genomes),
            size,
            coords=self.settings.coords,
            colour=self.settings.colour,
            native=self.shape[1:],
            device=device,
            backend=working_backend(device),
        )

    def dump(self, genome: Graph) -> bytes:
        """Magic with version, outputs, hidden (uint16), connections (uint32), then the arrays.

        Activation codes (uint8), sources, targets (int16), genes (float32); little-endian.
        """
        return b"".join(
            (
                _HEADER.pack(_MAGIC, genome.outputs, genome.hidden, genome.connections),
                genome.activations.tobytes(),
                genome.sources.astype("<i2").tobytes(),
                genome.targets.astype("<i2").tobytes(),
                genome.genes.astype("<f4").tobytes(),
            )
        )

    def load(self, data: bytes) -> Graph:
        """The inverse of `dump`.

        Raises:
            ValueError: another length or version, a graph of other outputs, more hidden nodes or
                other activations than this encoding makes, or no acyclic graph in its order.
        """
        if len(data) < _HEADER.size:
            raise ValueError(f"a CPPN genome has at least {_HEADER.size} bytes, not {len(data)}")
        magic, outputs, hidden, connections = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError("not a CPPN genome of version 1")
        if outputs != self.shape[0]:
            raise ValueError(f"the genome has {outputs} outputs, the encoding {self.shape[0]}")
        if hidden > self.settings.max_hidden:
            raise ValueError(f"{hidden} hidden nodes are more than {self.settings.max_hidden}")
        nodes = outputs + hidden
        if len(data) != _HEADER.size + nodes + 8 * connections:
            raise ValueError(f"a CPPN genome of this header does not have {len(data)} bytes")
        at = _HEADER.size + nodes
        graph = Graph(
            outputs,
            np.frombuffer(data, np.uint8, nodes, _HEADER.size),
            np.frombuffer(data, "<i2", connections, at).astype(np.int16),
            np.frombuffer(data, "<i2", connections, at + 2 * connections).astype(np.int16),
            np.frombuffer(data, "<f4", connections, at + 4 * connections).astype(np.float32),
        )
        graph.check()
        if not np.isin(graph.activations, self._codes).all():
            raise ValueError(f"an activation is not one of {', '.join(self.settings.activations)}")
        return graph

    def describe(self, genome: Graph) -> dict[str, Any]:
        """Kind, numbers of hidden nodes and connections, activations used, and the graph.

        Nodes are ``{id, kind, ...}`` with a name (inputs) or activation (others), edges
        ``{source, target, weight}``.
        """
        names = [ACTIVATIONS[code] for code in genome.activations]
        first_hidden = len(INPUTS) + genome.outputs
        nodes: list[dict[str, Any]] = [
            {"id": node, "kind": "input", "name": name} for node, name in enumerate(INPUTS)
        ]
        for node, name in enumerate(names, len(INPUTS)):
            kind = "output" if node < first_hidden else "hidden"
            nodes.append({"id": node, "kind": kind, "activation": name})
        weights = genome.genes.astype(np.float64) * (2 * WEIGHT_LIMIT) - WEIGHT_LIMIT
        edges = [
            {"source": source, "target": target, "weight": round(weight, 6)}
            for source, target, weight in zip(
                genome.sources.tolist(), genome.targets.tolist(), weights.tolist(), strict=True
            )
        ]
        return {
            "kind": self.name,
            "hidden": genome.hidden,
            "connections": genome.connections,
            "activations": {name: names.count(name) for name in ACTIVATIONS if name in names},
            "nodes": nodes,
            "edges": edges,
        }

    def _any_code(self, u: float) -> int:
        return self._codes[int(u * len(self._codes))]


ENCODING = Cppn
