"""What is allowed where: the models, keys and tags that a schema has at a path.

A schema is a pydantic model, a dataclass, or any annotation that is made of them.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from evofool.text import suggested
from evofool.validation.keys import KeyPath

_DEEPEST = 3
"""Parts of a key above its last one, at most, where a key is looked for by its last part."""


def models_at(schema: Any, path: KeyPath) -> list[type[Any]]:
    """The models and dataclasses allowed at `path` of `schema`, several where there is a choice."""
    allowed = [schema]
    for part in path:
        allowed = [inner for annotation in allowed for inner in _below(annotation, part)]
    return [model for annotation in allowed for model in _models_in(annotation)]


def fields_of(model: type[Any]) -> Mapping[str, Any]:
    """The annotation of each field of a model or a dataclass."""
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    kind: Any = model  # mypy takes a class for unhashable
    return _hints(kind)


def tags_of(model: type[Any]) -> list[str]:
    """The texts by which `model` is told from others: its fields that have one value only."""
    return [
        str(value)
        for annotation in fields_of(model).values()
        if get_origin(annotation) is Literal and len(get_args(annotation)) == 1
        for value in get_args(annotation)
    ]


def fitting(model: type[Any], section: object) -> Collection[str]:
    """Keys of `model` that can stand in a `section`; all of them where it is not written.

    A model may say so itself: `evofool.config.base.Model.fitting`.
    """
    own = getattr(model, "fitting", None)
    if own is None or section is None:
        return fields_of(model).keys()
    keys: Collection[str] = own(section if isinstance(section, Mapping) else {"name": section})
    return keys


def key_called(schema: Any, name: str, data: object = None, *, near: bool = True) -> str | None:
    """The key of a config whose last part is `name`, such as ``stop.generations``.

    Args:
        schema: of the config.
        name: the last part.
        data: the config, for keys that can stand in it alone; without it, in any.
        near: whether a key that is only spelt like it will do.
    """
    keys: dict[str, str] = {}
    for model in _models_in(schema):
        for key in _keys(model, (), data):  # those nearest to the top first
            keys.setdefault(key[-1].casefold(), ".".join(key))
    wanted = name.casefold()
    if wanted in keys:
        return keys[wanted]
    nearest = suggested(wanted, keys) if near else None
    return None if nearest is None else keys[nearest]


def _keys(model: type[Any], above: tuple[str, ...], data: object) -> list[tuple[str, ...]]:
    """Every key path of a config, those nearest to the top first; items of lists are left out."""
    keys: dict[tuple[str, ...], None] = {}
    possible = fitting(model, data)
    for name, annotation in fields_of(model).items():
        if name not in possible:
            continue
        keys[*above, name] = None
        if len(above) < _DEEPEST:
            within = data.get(name) if isinstance(data, Mapping) else None
            for inner in _models_in(annotation):
                keys |= dict.fromkeys(_keys(inner, (*above, name), within))
    return sorted(keys, key=len)


def _models_in(annotation: Any) -> list[type[Any]]:
    """The models that a value itself may be, not those of its items."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        known = issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
        return [annotation] if known else []
    return [inner for choice in _choices(annotation) for inner in _models_in(choice)]


def _below(annotation: Any, part: str | int) -> list[Any]:
    """What is allowed at `part` of a value that `annotation` allows."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        if not isinstance(part, int) or not inner:
            return []
        return [inner[0] if inner[-1] is Ellipsis or part >= len(inner) else inner[part]]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return [] if isinstance(part, int) else list(inner[1:])
    if choices := _choices(annotation):
        return [below for choice in choices for below in _below(choice, part)]
    fields = [fields_of(model) for model in _models_in(annotation)]
    return [each[part] for each in fields if isinstance(part, str) and part in each]


def _choices(annotation: Any) -> tuple[Any, ...]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return get_args(annotation)[:1]
    return get_args(annotation) if origin in (Union, types.UnionType) else ()


@cache
def _hints(model: type[Any]) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(model)]
    try:
        hints = typing.get_type_hints(model, include_extras=True)
    except NameError:  # imported for type checkers only: then no more than names is known
        hints = {}
    return {name: hints.get(name, Any) for name in names}
