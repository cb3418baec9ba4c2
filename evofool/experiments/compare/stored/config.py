"""The schema of ``kind: compare`` over run folders that are there already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from evofool.config import Model
from evofool.config.document import Document
from evofool.config.values import listed
from evofool.experiments.sections import no_repeats


class RunsConfig(Model):
    """A comparison of what run folders hold.

    Attributes:
        runs: the folders.
        pictures: whether natural pictures are left in the folder and on the page.
        seed: of the bootstrap.
    """

    kind: Literal["compare"] = "compare"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    runs: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        BeforeValidator(listed),
        Field(min_length=1, max_length=1000),
    ]
    pictures: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("runs")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return no_repeats(value)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The folders."""
        return tuple(Path(run) for run in self.runs)


def names_runs(data: Mapping[str, Any]) -> bool:
    """Whether a config of kind compare names run folders, and not what is to be run."""
    return "runs" in data


def resolve_runs(document: Document) -> Document:
    """`document` with its run folders absolute.

    Raises:
        ConfigError: one can be no path.
    """
    for index, run in enumerate(document.data["runs"]):
        where = ("runs", index)
        path = document.resolve(where, run)
        document = document.replaced(where, str(path), document.place(where))
    return document
