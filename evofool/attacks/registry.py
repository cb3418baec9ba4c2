"""Attacks by name: what can be named, with which parameters, and how a config's values fit them.

Our own attacks, those that installed packages offer, foolbox's, and classes in a user's file.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Union, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError

import evofool.attacks as shipped
from evofool.attacks.base import Aim, Attack, Needs, Parameter
from evofool.attacks.foreign.classes import checked_attack
from evofool.attacks.foreign.peers import PREFIX, peer, peer_names
from evofool.classifiers import Classifier
from evofool.classifiers.base import short_name
from evofool.errors import AttackError, UsageError
from evofool.plugins import class_from_entry_point, class_from_file, entry_names, in_file
from evofool.render.masks import Mask
from evofool.text import suggestion
from evofool.validation import KeyPath, dotted, problem_of, shown

GROUP = "evofool.attacks"
"""The entry point group by which packages offer attacks."""

MAX_GRID = 10_000
"""Most combinations of one grid."""
_FRACTION = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*/\s*(\d{1,9}(?:\.\d{1,9})?)\s*")


@dataclass(frozen=True)
class Description:
    """An attack as a config names it.

    Attributes:
        name: in a config.
        needs: the least a victim must give: ``gradients``, ``scores`` or ``labels``.
        aim: ``untargeted``, ``targeted`` or ``both``.
        paper: where it comes from.
        about: one line.
        parameters: in the order of its signature.
        factory: makes one from checked parameters.
    """

    name: str
    needs: Needs
    aim: Aim
    paper: str
    about: str
    parameters: tuple[Parameter, ...]
    factory: Callable[..., Attack]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values, for listings."""
        return {
            "name": self.name,
            "needs": self.needs,
            "aim": self.aim,
            "paper": self.paper,
            "about": self.about,
            "parameters": {
                p.name: "(required)" if p.required else plain(p.default) for p in self.parameters
            },
        }


def names() -> tuple[str, ...]:
    """Our own attacks, those of entry points, then those of an installed foolbox."""
    own = _own()
    return (*own, *(name for name in entry_names(GROUP) if name not in own), *peer_names())


def describe(name: str) -> Description:
    """The attack called `name`: ours, from an entry point, of foolbox, or ``file.py:Class``.

    Raises:
        AttackError: no such attack, with those that are near; a peer that is not installed; a file
            or package that fails to import, or whose class is no attack that a config can name.
    """
    if in_file(name):
        source = class_from_file(name, AttackError)
        return _described(checked_attack(source.factory, name), name=name)
    if name.startswith(PREFIX):
        kind = peer(name.removeprefix(PREFIX))
        return _described(kind, kind.make)
    own = _own()
    if name in own:
        return _described(own[name])
    if (offered := class_from_entry_point(GROUP, name, AttackError)) is not None:
        return _described(checked_attack(offered.factory, name), name=name)
    near = suggestion(name, (*own, *entry_names(GROUP))) or "; there are " + ", ".join(own)
    raise AttackError(
        f"no attack is called {name!r}{near} (write path/to/file.py:Class for your own,"
        f" {PREFIX}NAME for one of an installed foolbox)"
    )


def title(name: str) -> str:
    """What tables and pages call the attack that a config calls `name`: of a file no folders."""
    return short_name(name) if in_file(name) else name


def grid(name: str, options: Mapping[str, Any]) -> Iterator[Attack]:
    """The attacks that `options` name, in order: a list is a grid, the last one runs fastest.

    An attack that is a parameter of another has its seed, unless it is given one of its own.

    Args:
        name: one of `names`.
        options: plain values; where a fraction of 1 is wanted, also texts such as ``8/255``.

    Raises:
        AttackError: an unknown attack or parameter, a value of the wrong type or out of range.
    """
    entry = describe(name)
    known = {parameter.name: parameter for parameter in entry.parameters}
    choices: list[list[tuple[str, Any]]] = []
    size, seeded = 1, set[int]()
    for key, value in options.items():
        if key not in known:
            mend = suggestion(key, known) or "; known here: " + (", ".join(known) or "none")
            raise AttackError(f"unknown parameter of {name}{mend}", key)
        if known[key].type is Attack:
            attacks = _inner(name, known[key], value)
            seeded |= {id(attack) for attack, own in attacks if own}
            values: list[Any] = [attack for attack, _ in attacks]
        else:
            values = _choices(name, known[key], value)
        size *= len(values)
        choices.append([(key, each) for each in values])
    if size > MAX_GRID:
        raise AttackError(f"{name}: a grid of {size} combinations; at most {MAX_GRID}")
    missing = [p.name for p in entry.parameters if p.required and p.name not in options]
    if missing:
        raise AttackError("is missing, and it has no default", missing[0], owner=name)
    nested = [p for p in entry.parameters if p.type is Attack]
    choices += [[(p.name, p.default)] for p in nested if p.name not in options]
    for combination in itertools.product(*choices):
        given = dict(combination)
        try:
            for parameter in nested:
                inner = given[parameter.name]
                if "seed" in given and id(inner) not in seeded:
                    given[parameter.name] = replace(inner, seed=given["seed"])
            yield entry.factory(**given)
        except AttackError:
            raise
        except UsageError as error:
            first = next((key for key, _ in combination if f" {key} " in f"{error} "), None)
            raise AttackError(str(error), first) from error


def parameters_of(attack: Attack) -> dict[str, Any]:
    """The parameters of an attack as JSON values, the seed left out."""
    return {key: plain(value) for key, value in attack.plain_parameters().items()}


def plain(value: Any) -> Any:
    """A parameter as a JSON value."""
    if isinstance(value, Mask):
        return value.identity()
    if isinstance(value, Attack):
        return {"name": value.name, "seed": value.seed, **parameters_of(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


@cache
def _own() -> dict[str, type[Attack]]:
    """All concrete attacks that the package exports."""
    classes = [getattr(shipped, name) for name in shipped.__all__]
    concrete = [
        kind
        for kind in classes
        if inspect.isclass(kind) and issubclass(kind, Attack) and not inspect.isabstract(kind)
    ]
    return {kind.name: kind for kind in concrete}


def _described(
    kind: type[Attack], factory: Callable[..., Attack] | None = None, name: str | None = None
) -> Description:
    about = " ".join((inspect.getdoc(kind) or "").split("\n\n", 1)[0].split())
    return Description(
        name or kind.name,
        kind.needs,
        kind.aim,
        kind.paper,
        about,
        kind.parameters(),
        factory or kind,
    )


def _choices(name: str, parameter: Parameter, value: Any) -> list[Any]:
    """The values given for one parameter: one, or those of a grid."""
    if not isinstance(value, list | tuple):
        return [_checked(name, parameter, value)]
    if not value:
        raise AttackError(
            "is an empty list; give one value, or several for a grid", parameter.name, owner=name
        )
    try:  # a parameter may itself be a list; a grid of such ones is a list of lists
        return [_checked(name, parameter, tuple(value))]
    except AttackError:
        return [_checked(name, parameter, each, item) for item, each in enumerate(value)]


def _inner(name: str, parameter: Parameter, value: Any) -> list[tuple[Attack, bool]]:
    """The attacks given for a parameter, each with whether it has a seed of its own."""
    grid = isinstance(value, list | tuple) and value
    return [
        (attack, isinstance(one, Mapping) and "seed" in one)
        for item, one in enumerate(value if grid else [value])
        for attack in _nested(name, f"{parameter.name}[{item}]" if grid else parameter.name, one)
    ]


def _nested(name: str, key: str, value: Any) -> list[Attack]:
    """An attack that is a parameter of another: its name, or a mapping as in a config."""
    options = {"name": value} if isinstance(value, str) else value
    if not isinstance(options, Mapping) or not isinstance(options.get("name"), str):
        raise AttackError("must be an attack, its name or {name: ..., eps: ...}", key, owner=name)
    rest = {key: inner for key, inner in options.items() if key != "name"}
    try:
        return list(grid(options["name"], rest))
    except AttackError as error:
        option = f"{key}.{error.option}" if error.option else key
        raise AttackError(error.message, option, owner=name) from error


def _mask(name: str, value: Any) -> Mask | None:
    if value is None or isinstance(value, Mask):
        return value
    if not isinstance(value, Mapping):
        raise AttackError(
            f"must be a mapping, as in {{shape: disc, size: 0.4}}, not {shown(value)}",
            "mask",
            owner=name,
        )
    try:
        return Mask.model_validate(dict(value))
    except ValidationError as error:
        found = problem_of(error, value, Mask)
        raise AttackError(found.message, dotted(("mask", *found.path)), owner=name) from error


def _checked(name: str, parameter: Parameter, value: Any, item: int | None = None) -> Any:
    if Mask in get_args(parameter.type):
        return _mask(name, value)
    adapter = _adapter(parameter.type)
    for candidate in (value, _fraction(value)):
        try:
            return adapter.validate_python(candidate, strict=True)
        except ValidationError as error:
            failure = error
    found = problem_of(failure, value, parameter.type)
    at: KeyPath = (parameter.name,) if item is None else (parameter.name, item)
    raise AttackError(found.message, dotted((*at, *found.path)), owner=name)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    if Classifier in get_args(kind):  # a config can only name one
        kind = Union[tuple(each for each in get_args(kind) if each is not Classifier)]  # noqa: UP007
    return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))


def _fraction(value: Any) -> Any:
    """``8/255`` as the number it is."""
    match = _FRACTION.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[2]) == 0:
        return value
    return float(match[1]) / float(match[2])
