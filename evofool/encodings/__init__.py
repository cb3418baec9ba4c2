"""Encodings: how a genome becomes pixels. Only the protocol and the loader live here.

The encodings themselves are in the folder ``encodings/`` at the root of the project, one file
each, and are imported as ``evofool.encodings.NAME``. In a checkout the line at the end of this
file puts that folder on this package's path; a wheel carries the files here already.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from evofool.errors import EncodingError
from evofool.images import Shape, Size, UInt8Images
from evofool.plugins import (
    ClassSource,
    class_from_entry_point,
    class_from_file,
    entry_names,
    in_file,
)
from evofool.plugins import file_is_missing as file_is_missing
from evofool.text import suggestion
from evofool.validation import problem_of

if TYPE_CHECKING:
    import torch

    from evofool.randomness import Generators

G = TypeVar("G")

GROUP = "evofool.encodings"
"""The entry point group by which packages offer encodings."""
EncodingSource: TypeAlias = ClassSource
"""An encoding's class, with path and sha256 where it comes from a file of the user's."""

_ROOT = Path(__file__).resolve().parents[2]
if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "encodings").is_dir():
    __path__.append(str(_ROOT / "encodings"))


class Encoding(Protocol[G]):
    """What evolution needs of an encoding. Encodings know nothing of classifiers.

    An encoding is made by ``Class(shape, **options)`` with `shape` the victim's channels, height
    and width; wrong options raise ``ValueError`` (pydantic's ``ValidationError`` is one, and its
    locations are shown to the user). A class whose options are a pydantic model may name it as
    ``settings_model``: messages can then tell which options there are. Operators never change
    their arguments, and draw randomness from `rng` alone.
    """

    name: str
    options: Mapping[str, Any]
    """Every option, resolved, as plain YAML values; ``Class(shape, **options)`` gives the same."""

    def sample(self, rng: np.random.Generator) -> G:
        """A random genome."""
        ...

    def mutate(self, genome: G, rng: np.random.Generator, generation: int = 0) -> G:
        """A changed copy; `generation` (from 1) is for rates that anneal."""
        ...

    def mate(self, first: G, second: G, rng: np.random.Generator) -> tuple[G, G]:
        """Two children of two parents (copies of them, where the encoding has no crossover)."""
        ...

    def render(self, genomes: Sequence[G], size: Size) -> UInt8Images:
        """Pixels N x C x H x W (uint8) at any height and width, releasing the GIL if it can."""
        ...

    def dump(self, genome: G) -> bytes:
        """The canonical bytes of a genome: equal genomes give equal bytes on every machine."""
        ...

    def load(self, data: bytes) -> G:
        """The inverse of `dump`; raises ``ValueError`` on anything `dump` cannot have written."""
        ...

    def describe(self, genome: G) -> dict[str, Any]:
        """A description of a genome for people, as JSON values (kind, size, graph...)."""
        ...


@runtime_checkable
class BatchEncoding(Protocol[G]):
    """An encoding that varies many genomes in one call, for the sake of speed alone.

    Each genome comes out as by `Encoding.mutate` or `Encoding.mate` with the generator of its own
    row: to the last bit, whatever else is in the batch. Campaigns call both from several threads at
    once. ``generators[k]`` is an ordinary generator at its beginning;
    `evofool.operators.streams` draws from all of them at once.
    """

    def mutate_many(
        self, genomes: Sequence[G], generators: Generators, generation: int = 0
    ) -> Sequence[G]:
        """A changed copy of each of N genomes. What is returned may make a genome when it is taken
        out, and `render` is handed it as it is."""
        ...

    def mate_many(
        self, firsts: Sequence[G], seconds: Sequence[G], generators: Generators
    ) -> Sequence[tuple[G, G]]:
        """Two children of each of N pairs."""
        ...


@runtime_checkable
class VectorEncoding(Protocol[G]):
    """An encoding whose genomes are points of a box [0, 1]^n, as CMA-ES needs."""

    def to_vector(self, genome: G) -> NDArray[np.float64]:
        """The genome as n numbers on [0, 1], (n,)."""
        ...

    def from_vector(self, vector: NDArray[np.float64]) -> G:
        """The genome at `vector`, (n,), whose numbers are clipped to [0, 1]."""
        ...


@runtime_checkable
class TensorEncoding(Protocol):
    """An encoding that draws on a device, where a campaign on CUDA then scores."""

    def renderer(self, device: torch.device | str) -> str:
        """The name of what draws on `device`: the same name, the same pixels on one machine.

        ``host`` if they are those of `Encoding.render` to the last bit. Runs record it.
        """
        ...

    def render_tensor(
        self, genomes: Sequence[Any], size: Size, device: torch.device | str
    ) -> torch.Tensor:
        """Pixels N x C x H x W, uint8, on `device`; need not wait until they are drawn."""
        ...


@runtime_checkable
class StagedEncoding(Protocol[G]):
    """An encoding whose pictures are put together one part after the other: galleries show how."""

    def stages(self, genome: G) -> Sequence[tuple[str, G]]:
        """What each part adds, in words, and a genome that draws the parts up to it."""
        ...


@runtime_checkable
class AnySizeEncoding(Protocol):
    """An encoding that says whether its pictures have more detail at a larger size."""

    any_size: bool
    """Whether they do. Without it a picture has the pixels of the victim's input and no more."""


@runtime_checkable
class BackgroundEncoding(Protocol):
    """An encoding whose genomes draw on a background, which is the same for all."""

    def backdrop(self) -> UInt8Images:
        """The background alone, uint8 C x H x W of the victim's size."""
        ...


@runtime_checkable
class DeviceEncoding(Protocol[G]):
    """An encoding whose genomes can live on a device, and vary there."""

    def on(self, device: torch.device | str) -> Encoding[G]:
        """The same encoding with genomes on `device`; `dump` and `load` mean the same.

        Its operators need not draw the same numbers: it has an attribute `breeder`, a name that
        runs record, of operators that give the same genomes on every device.
        """
        ...


def names() -> tuple[str, ...]:
    """The encodings that can be named in a config: those shipped and those of entry points."""
    shipped = {
        path.stem
        for folder in __path__
        for path in Path(folder).glob("*.py")
        if not path.stem.startswith("_")
    }
    return tuple(sorted(shipped.union(entry_names(GROUP))))


def find(name: str) -> EncodingSource:
    """The encoding called `name`: shipped, from an entry point, or ``path/to/file.py:Class``.

    Raises:
        EncodingError: no such encoding, file or class, or the file or package fails to import.
    """
    if in_file(name):
        return class_from_file(name, EncodingError)
    if re.fullmatch(r"[a-z][a-z0-9_]*", name) and any(
        (Path(folder) / f"{name}.py").is_file() for folder in __path__
    ):
        return EncodingSource(importlib.import_module(f"evofool.encodings.{name}").ENCODING)
    if (offered := class_from_entry_point(GROUP, name, EncodingError)) is not None:
        return offered
    mend = suggestion(name, names()) or f"; known: {', '.join(names())}, or path.py:Class"
    raise EncodingError(f"unknown encoding {name!r}{mend}")


def load(name: str, shape: Shape, options: Mapping[str, Any] | None = None) -> Encoding[Any]:
    """The encoding called `name` for images of `shape`, with `options` checked by it.

    Raises:
        EncodingError: as `find`, or an option is unknown or wrong (the message names it).
    """
    source, given = find(name), dict(options or {})
    try:
        encoding: Encoding[Any] = source.factory(shape, **given)
    except (TypeError, ValueError) as error:
        option, message = _wrong_option(error, source, shape, given)
        raise EncodingError(message, option, owner=f"encoding {name}") from error
    return encoding


def _wrong_option(
    error: Exception, source: EncodingSource, shape: Shape, given: Mapping[str, Any]
) -> tuple[str | None, str]:
    """The option that `error` is about, None where it does not say, and what is wrong with it."""
    settings = getattr(source.factory, "settings_model", None)
    option, message = "", str(error)
    unknown = re.search(r"unexpected keyword argument '(\w+)'", message)
    if isinstance(error, ValidationError):
        found = problem_of(error, given, settings, called="option")
        option, message = found.key, found.message
    elif unknown and unknown[1] in given:  # a plain class, without a model of options
        option, message = unknown[1], "unknown option"
    if settings is None and message.startswith("unknown option"):
        message = f"unknown option{_near(source, shape, option)}"
    first, _, rest = message.partition(" ")
    if not option and first.rstrip(":") in given:  # of a check of several options
        option, message = first.rstrip(":"), rest
    return option or None, message


def _near(source: EncodingSource, shape: Shape, option: str) -> str:
    """For an error message: an option like `option` that the encoding has, or all its options."""
    try:
        known = tuple(source.factory(shape).options)
    except Exception:  # a user's own may want arguments or fail in any way: then no suggestion
        return ""
    return suggestion(option, known) or f"; its options: {', '.join(known) or 'none'}"
