"""The defenses that a config can name: shipped ones, those of packages, classes in files."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evofool.defenses.base import Defense
from evofool.errors import DefenseError, UsageError
from evofool.files import PathError, absolute_path, reason, short
from evofool.plugins import class_from_entry_point, class_from_file, entry_names, in_file
from evofool.text import suggestion
from evofool.validation import problem_of

GROUP = "evofool.defenses"
"""The entry point group by which packages offer defenses."""
_SHIPPED: Mapping[str, str] = {
    "jpeg": "evofool.defenses.transforms:Jpeg",
    "bit-depth": "evofool.defenses.transforms:BitDepth",
    "median": "evofool.defenses.transforms:MedianBlur",
    "max-softmax": "evofool.defenses.detectors:MaxSoftmax",
    "energy": "evofool.defenses.detectors:Energy",
    "denoiser": "evofool.defenses.denoiser:Denoiser",
}
"""Imported on demand: most of them import torch."""


@dataclass(frozen=True)
class Description:
    """A description of a defense for people.

    Attributes:
        name: in a config.
        kind: where it acts: before the net, behind it, or in its weights.
        about: one line.
        paper: where it comes from, or empty.
        parameters: with their defaults, None where there is none.
    """

    name: str
    kind: str
    about: str
    paper: str
    parameters: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


_BEFORE, _BEHIND = "before the net", "behind the net"
_ALL = (
    Description("none", "control", "no defense: the verdict must be green", "", {}),
    Description(
        "jpeg", _BEFORE, "pictures are compressed and decoded again", "Dziugaite et al., 2016",
        {"quality": 75},
    ),
    Description(
        "bit-depth", _BEFORE, "pictures keep 2^bits levels", "Xu et al., NDSS 2018", {"bits": 3}
    ),
    Description(
        "median", _BEFORE, "a median over size x size pixels", "Xu et al., NDSS 2018", {"size": 3}
    ),
    Description(
        "max-softmax", _BEHIND, "rejects pictures whose largest confidence is small",
        "Hendrycks, Gimpel, ICLR 2017", {"threshold": None, "false_alarms": 0.05},
    ),
    Description(
        "energy", _BEHIND, "rejects pictures whose logits have a high free energy",
        "Liu et al., NeurIPS 2020", {"threshold": None, "false_alarms": 0.05, "temperature": 1.0},
    ),
    Description(
        "denoiser", _BEFORE, "a U-net that removes the noise, trained in front of the frozen"
                             " net (HGD)",
        "Liao et al., CVPR 2018",
        {
            "weights": None, "loss": "logits", "width": 64, "levels": 5, "epochs": 20,
            "batch": 64, "lr": 0.01, "images": 10_000, "attacks": None, "sources": None,
            "device": "auto",
        },
    ),
    Description(
        "trained", "in the weights",
        "a net from evofool train, or a training config that runs first (adversarial training"
        " with FGSM, R+FGSM, PGD or an ensemble: see configs/train)",
        "Goodfellow et al., ICLR 2015; Madry et al., Tramèr et al., ICLR 2018",
        {"weights": None, "train": None},
    ),
)  # fmt: skip


def names() -> tuple[str, ...]:
    """Every defense a config can name, those of installed packages last."""
    own = tuple(each.name for each in _ALL)
    return (*own, *(name for name in entry_names(GROUP) if name not in own))


def describe(name: str) -> Description:
    """A defense by name.

    Raises:
        DefenseError: there is none of this name, or it fails to load.
    """
    for each in _ALL:
        if each.name == name:
            return each
    kind = find(name)
    about = " ".join((inspect.getdoc(kind) or "").split("\n\n", 1)[0].split())
    defaults = {
        f.name: None if f.default is dataclasses.MISSING else f.default
        for f in dataclasses.fields(kind)
    }
    return Description(name, kind.place, about, kind.paper, defaults)


def is_foreign(name: str) -> bool:
    """Whether `name` is that of a defense in a file or of an installed package."""
    return in_file(name) or (
        name not in {each.name for each in _ALL} and name in entry_names(GROUP)
    )


def find(name: str) -> type[Defense]:
    """The class of a defense: shipped, of an installed package, or ``path/to/file.py:Class``.

    Raises:
        DefenseError: there is none, it fails to import, or it is no defense.
    """
    if name in _SHIPPED:
        module, _, attribute = _SHIPPED[name].partition(":")
        kind: type[Defense] = getattr(importlib.import_module(module), attribute)
        return kind
    if in_file(name):
        return _checked(class_from_file(name, DefenseError).factory, name)
    if (offered := class_from_entry_point(GROUP, name, DefenseError)) is not None:
        return _checked(offered.factory, name)
    near = suggestion(name, names()) or f"; there are {', '.join(names())}"
    raise DefenseError(f"no defense is called {name!r}{near} (or path/to/file.py:Class)")


def make(name: str, options: Mapping[str, Any], folder: Path) -> Defense:
    """A defense with its options, checked.

    Args:
        name: as for `find`; a file's path starts from `folder`.
        options: plain values.
        folder: that relative paths start from.

    Raises:
        DefenseError: as `find`, or an option is unknown or wrong; the message names it.
    """
    if in_file(name):
        file, _, attribute = name.rpartition(":")
        name = f"{_absolute(name, None, file, folder)}:{attribute}"
    kind = find(name)
    given = {
        key: _absolute(name, key, value, folder)
        if key in kind.files and isinstance(value, str)
        else value
        for key, value in options.items()
    }
    try:
        adapter: TypeAdapter[Defense] = TypeAdapter(kind)
        return adapter.validate_json(json.dumps(given))  # strictly, as YAML's types are JSON's
    except ValidationError as error:
        found = problem_of(error, given, kind, called="option")
        raise DefenseError(found.message, found.key or None, owner=f"defense {name}") from error
    except UsageError as error:
        raise DefenseError(str(error)) from error
    except Exception as error:  # a defense may be anyone's: whatever it raises is its fault
        raise DefenseError(f"defense {name}: {type(error).__name__}: {error}") from error


def _absolute(name: str, option: str | None, path: str, folder: Path) -> str:
    try:
        return str(absolute_path(path, folder))
    except PathError as error:
        raise DefenseError(
            f"cannot be a path ({reason(error)})", option, owner=f"defense {short(name)}"
        ) from error


def _checked(kind: type[Any], name: str) -> type[Defense]:
    """`kind`, a class from outside, once it is known to be a defense that a config can name."""
    if not issubclass(kind, Defense):
        raise DefenseError(
            f"{name}: {kind.__name__} is not a defense; derive it from"
            " evofool.defenses.base.Defense"
        )
    if missing := sorted(getattr(kind, "__abstractmethods__", ())):
        raise DefenseError(f"{name}: {kind.__name__} does not define {', '.join(missing)}")
    own = vars(kind).get("__annotations__", {})
    if any("ClassVar" not in str(hint) for hint in own.values()) and (
        "__dataclass_fields__" not in vars(kind)
    ):
        raise DefenseError(
            f"{name}: {kind.__name__} is not a dataclass; put @dataclass(frozen=True) above it"
        )
    if not isinstance(getattr(kind, "name", None), str):
        raise DefenseError(f'{name}: {kind.__name__} has no name; add name: ClassVar[str] = "mine"')
    return kind
