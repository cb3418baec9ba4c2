"""The schema of ``kind: sweep``: which config, which of its keys take which values, which seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from evofool import kinds
from evofool.config import Loaded, Model, kind_of
from evofool.config.document import Document
from evofool.config.explain import looks_like
from evofool.config.folders import names_folder, with_prefix_of, without_prefix
from evofool.config.loading import absolute_code
from evofool.config.values import Positive, listed
from evofool.errors import EvofoolError
from evofool.files import is_file
from evofool.kinds import Kind

BASES = ("evolve", "attack", "defend")
"""Kinds of config that can be swept."""
MOST = 100
"""Runs, unless ``most`` says more."""
_FILES = (".onnx", ".pt2", ".safetensors", ".skops", ".yaml", ".yml")


class SweepConfig(Model):
    """A grid of runs, checked and complete.

    Attributes:
        base: a config of kind evolve, attack or defend: a file, the name of a shipped one, or what
            such a file holds. In a run folder it is always the latter.
        set: keys of it that are the same for all runs, ``evolution.children: 50``.
        grid: keys of it that are not, each with its values; a run has one of each.
        seeds: one run each of every combination.
        budget: most pictures that all runs may send to their victims, shared out equally before
            the first begins; None is no limit.
        most: of how many runs the grid may be.
        seed: of the run folder; the runs have their own.
    """

    kind: Literal["sweep"] = "sweep"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    base: str | dict[str, Any]
    set: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, Annotated[tuple[Any, ...], BeforeValidator(listed), Field(min_length=1)]] = (
        Field(default_factory=dict, max_length=8)
    )
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**63)], ...],
        BeforeValidator(listed),
        Field(min_length=1, max_length=10_000),
    ] = (1, 2, 3)
    budget: Positive | None = None
    most: Positive = MOST
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("seeds")
    @classmethod
    def _once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        for seed in value:
            if value.count(seed) > 1:
                raise ValueError(f"names {seed} twice")
        return value

    @field_validator("grid")
    @classmethod
    def _axes(cls, value: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        for key, values in value.items():
            if key in ("seed", "seeds"):
                raise ValueError("seeds belong beside the grid: seeds: [1, 2, 3]")
            for one in values:
                if sum(one == other and type(one) is type(other) for other in values) > 1:
                    raise ValueError(f"{key}: names {shown(one)} twice")
        return value

    @property
    def count(self) -> int:
        """Of runs."""
        count = len(self.seeds)
        for values in self.grid.values():
            count *= len(values)
        return count

    @property
    def points(self) -> list[tuple[Any, ...]]:
        """The combinations of the grid: a value of each key, the last one running fastest."""
        return list(product(*self.grid.values()))


def resolve(config: SweepConfig, document: Document, check_files: bool) -> Document:
    """`document` with the base in it as a whole, and all files that it names absolute.

    Raises:
        ConfigError: there is no such config, it cannot be swept, or a file is missing.
    """
    if config.count > config.most:
        raise document.error(
            "most",
            f"{config.count:,} runs, but most allows {config.most}: write most={config.count},"
            " or give fewer values or seeds",
        )
    if isinstance(config.base, str):
        source = _beside(document, ("base",), config.base) or config.base
        kind = _checked(document, kind_of(source))
        loaded = kind.part("load")(source)
        base = {"kind": kind.name, **loaded.document.data}
        document = document.replaced(("base",), base, document.place("base"))
    else:
        _checked(document, _kind(config.base))
    for section in ("set", "grid"):
        document = _absolute(absolute_code(document, (section,), check_files), (section,))
    return document


def load(config: SweepConfig, point: Sequence[Any], seed: int | None) -> Loaded[Any]:
    """The config of one run.

    Args:
        config: whose base is a mapping.
        point: a value of each key of the grid.
        seed: of the run; None is the base's.

    Raises:
        ConfigError: a key or a value is wrong; the message names it.
    """
    assert isinstance(config.base, dict)
    changes = {**config.set, **dict(zip(config.grid, point, strict=True))}
    overrides = [f"{key}={written(value)}" for key, value in changes.items()]
    loaded: Loaded[Any] = _kind(config.base).part("load")(config.base, overrides, seed)
    return loaded


def base_kind(config: SweepConfig) -> Kind:
    """The kind of the runs."""
    assert isinstance(config.base, dict)
    return _kind(config.base)


def written(value: Any) -> str:
    """A value as an override writes it: YAML in one line."""
    return json.dumps(value, ensure_ascii=False)


def shown(value: Any) -> str:
    """A value as tables and figures show it: files by their last part."""
    if isinstance(value, str):
        file, colon, attribute = value.partition(".py:")
        return f"{Path(file).name}{colon}{attribute}" if colon else value
    if isinstance(value, dict) and "name" in value:
        rest = [f"{k} {shown(v)}" for k, v in value.items() if k != "name"]
        return " ".join([shown(value["name"]), *rest])
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "default"}[value]
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(each) for each in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def short_keys(keys: Sequence[str]) -> list[str]:
    """Dotted keys as tables name them: their last part, where that tells them apart."""
    last = [key.rpartition(".")[2] for key in keys]
    return [one if last.count(one) == 1 else key for one, key in zip(last, keys, strict=True)]


def _kind(base: Mapping[str, Any]) -> Kind:
    name = base.get("kind")
    if name:
        return kinds.find(str(name))
    return looks_like(base) or kinds.find("evolve")


def _checked(document: Document, kind: Kind) -> Kind:
    if kind.name not in BASES:
        raise document.error(
            "base", f"{kind.about} cannot be swept; give a config of kind {', '.join(BASES)}"
        )
    return kind


def _beside(document: Document, key: tuple[str | int, ...], text: str) -> str | None:
    """The file that `text` names, seen from where it is written; None where there is none."""
    try:
        path = document.resolve(key, text)
    except (EvofoolError, ValueError):
        return None
    return str(path) if is_file(path) else None


def _absolute(document: Document, key: tuple[str | int, ...]) -> Document:
    """`document` with texts below `key` absolute that name a net, a graph or weights on disk."""
    value: Any = document.data
    for part in key:
        if isinstance(value, Mapping) and part not in value:
            return document
        value = value[part]
    if isinstance(value, Mapping):
        for part in list(value):
            document = _absolute(document, (*key, part))
    elif isinstance(value, list | tuple):
        for index in range(len(value)):
            document = _absolute(document, (*key, index))
    elif isinstance(value, str) and names_folder(value, document.place(key).folder):
        folder = document.resolve(key, without_prefix(value))
        place = document.place(key)
        return document.replaced(key, with_prefix_of(value, str(folder)), place)
    elif isinstance(value, str) and value.endswith(_FILES):
        path = _beside(document, key, value)
        if path is not None:
            return document.replaced(key, path, document.place(key))
    return document
