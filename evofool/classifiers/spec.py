"""What a config says about a victim, checked; and the cheap answer of `inspect_classifier`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from evofool.classifiers.base import Link, Output
from evofool.classifiers.labels import check_labels, read_labels
from evofool.errors import ClassifierError
from evofool.images import Shape

_Side = Annotated[int, Field(ge=1, le=4096)]


class ClassifierSpec(BaseModel):
    """The ``classifier:`` part of a config; unknown keys fail.

    Attributes:
        name: a bundled name, ``torchvision:NAME``, ``timm:NAME``, ``path.py:function``,
            ``path.onnx``, or an architecture (``lenet``, ``efficientnet-lite0``).
        weights: name of a weights enum (torchvision), or path of a weights file.
        crops: 1, or 10 crops whose confidences are averaged.
        input_shape: channels, height, width, where the victim does not say it itself.
        labels: names in the order of the outputs, or the path of a text or JSON file.
        output: what the net gives.
        link: how outputs become confidences.
        mean: one number a channel, subtracted from inputs on [0, 1].
        std: one positive number a channel, divided by afterwards.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(min_length=1)
    weights: str | None = Field(default=None, min_length=1)
    crops: Literal[1, 10] = 1
    input_shape: tuple[Literal[1, 3], _Side, _Side] | None = None
    labels: tuple[str | int, ...] | str | None = None
    output: Output | None = None
    link: Link | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @field_validator("input_shape", "labels", "mean", "std", mode="before")
    @classmethod
    def _lists(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value  # YAML knows no tuples

    @field_validator("crops", mode="before")
    @classmethod
    def _no_bool(cls, value: object) -> object:
        if isinstance(value, bool):  # True equals 1 and would pass
            raise ValueError("Input should be 1 or 10")
        return value

    @field_validator("mean", "std")
    @classmethod
    def _finite(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (len(value) not in (1, 3) or not all(map(math.isfinite, value))):
            raise ValueError("must be 1 or 3 finite numbers, one a channel")
        return value

    @field_validator("std")
    @classmethod
    def _positive(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and min(value) <= 0:
            raise ValueError("must be positive")
        return value

    def allow(self, kind: str, keys: Iterable[str]) -> None:
        """Refuses options that mean nothing to a `kind` of victim (`name`, `crops` always do).

        Raises:
            ClassifierError: naming the first such option and what may be given.
        """
        allowed = {"name", "crops", *keys}
        for key in sorted(self.model_fields_set - allowed):
            if getattr(self, key) is not None:
                raise ClassifierError(
                    f"classifier {self.name}: {key} cannot be set for {kind};"
                    f" allowed: {', '.join(sorted(allowed))}"
                )

    def read_labels(self, base: Path) -> tuple[str, ...] | None:
        """The labels that were given, from the list or the file, or None."""
        if self.labels is None:
            return None
        if isinstance(self.labels, str):
            return read_labels(resolve(self.labels, base))
        return check_labels(self.labels, f"classifier {self.name}")


@dataclass(frozen=True)
class Inspection:
    """What is known of a victim without loading it.

    Attributes:
        name: as in the spec.
        input_shape: channels, height, width of what is scored (crops included), None if unknown.
        n_classes: number of classes, None if only loading tells.
        ready: whether everything it needs is on this machine.
        missing: what is not, and how to get it; empty if ready.
    """

    name: str
    input_shape: Shape | None
    n_classes: int | None
    ready: bool
    missing: str = ""


def parse_spec(spec: str | Mapping[str, object] | ClassifierSpec) -> ClassifierSpec:
    """A name or a mapping as a checked `ClassifierSpec`.

    Raises:
        ClassifierError: an unknown key or a bad value; the message names it.
    """
    if isinstance(spec, ClassifierSpec):
        return spec
    content: object = {"name": spec} if isinstance(spec, str) else spec
    if not isinstance(content, Mapping):
        raise ClassifierError(
            f"classifier: must be a name or a mapping with a name, not {type(spec).__name__}"
        )
    try:
        return ClassifierSpec.model_validate(dict(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][:1]) or "classifier"
        known = ", ".join(ClassifierSpec.model_fields)
        hint = f"; known keys: {known}" if first["type"] == "extra_forbidden" else ""
        raise ClassifierError(f"classifier: {place}: {first['msg']}{hint}") from error


def resolve(path: str, base: Path) -> Path:
    """`path` as an absolute path: ``~`` expanded, relative to `base`."""
    return (base / Path(path).expanduser()).absolute()
