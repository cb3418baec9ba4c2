"""The ``classifier:`` part of a config, checked; and what `inspect_classifier` returns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from evofool.classifiers.labels import check_labels, read_labels
from evofool.config import ClassifierConfig
from evofool.config.transforms import TransformsConfig
from evofool.errors import ClassifierError
from evofool.files import PathError, absolute_path, reason, short
from evofool.images import Shape
from evofool.validation import problem_of


class ClassifierSpec(ClassifierConfig):
    """The ``classifier:`` part of a config, with the checks that sources of victims need."""

    def allow(self, kind: str, keys: Iterable[str]) -> None:
        """Refuses options that mean nothing to a `kind` of victim (`name`, `crops`, `answers`,
        `transforms` and several labels always do).

        Raises:
            ClassifierError: naming the first such option and what may be given.
        """
        allowed = {"name", "crops", *keys}
        everywhere = {"answers", "prototypes", "transforms"} | (
            {"task"} if self.task == "multi-label" else set()
        )
        for key in sorted(self.model_fields_set - allowed - everywhere):
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
    """The description of a victim that has not been loaded.

    Attributes:
        name: as in the spec.
        input_shape: channels, height, width of what is scored (crops included), None if unknown.
        n_classes: number of classes, None if only loading shows it.
        ready: whether everything it needs is on this machine.
        missing: what is not, and how to get it; empty if ready.
        about: what is known of it, one line; empty if nothing is.
    """

    name: str
    input_shape: Shape | None
    n_classes: int | None
    ready: bool
    missing: str = ""
    about: str = ""

    def lines(self, work: str, ready: bool = True) -> list[str]:
        """What a dry run prints of it, of the `work` there is to do, and whether it can be done.

        `ready` is False where something else is missing, which another line tells.
        """
        shape = "unknown" if self.input_shape is None else " x ".join(map(str, self.input_shape))
        classes = "unknown" if self.n_classes is None else f"{self.n_classes:,}"
        lines = [f"# victim: {self.name}, input {shape}, classes {classes}", f"# {work}"]
        if not self.ready:
            lines.append(f"# not ready: {self.missing}")
        elif ready:
            lines.append("# ready to run")
        return lines


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
        raise ClassifierError(
            f"classifier: {problem_of(error, content, ClassifierSpec)}"
        ) from error


def parse_transforms(transforms: Mapping[str, object]) -> TransformsConfig:
    """A mapping as checked transforms.

    Raises:
        ClassifierError: an unknown key or a bad value; the message names it.
    """
    parsed = parse_spec({"name": "transforms", "transforms": dict(transforms)}).transforms
    assert parsed is not None
    return parsed


def resolve(path: str, base: Path) -> Path:
    """`path` as an absolute path: ``~`` expanded, relative to `base`.

    Raises:
        ClassifierError: it can be no path (no such user, a NUL, a name that is too long...), or
            its folder may not be looked into.
    """
    try:
        resolved = absolute_path(path, base)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            resolved.stat()
        return resolved
    except (PathError, OSError) as error:
        raise ClassifierError(
            f"classifier: {short(path)!r} cannot be used as a path ({reason(error)})"
        ) from error
