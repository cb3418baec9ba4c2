"""The schema of ``kind: reproduce``: which claims, at which scale."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from evofool.config import Model
from evofool.config.document import Document
from evofool.config.values import listed
from evofool.experiments.reproduce.registry import ALL, BY_NAME
from evofool.experiments.reproduce.scales import ScaleName
from evofool.experiments.sections import ExperimentScoring, no_repeats
from evofool.text import suggestion

FOLDERS = ("imagenet", "picbreeder")
"""Keys that name folders of pictures."""


class ReproduceConfig(Model):
    """Claims of the literature that are put to the test, checked and complete.

    Attributes:
        claims: by name, or ``all``.
        scale: how much is done: ``small`` for two CPU cores, ``medium``, ``paper``.
        imagenet: folder of labelled pictures of ImageNet: ``labels.csv`` (columns file and label)
            and the pictures, beside it or in ``images/``; None for ``imagenet1000`` among the data
            sets.
        picbreeder: folder of pictures of CPPNs in which people recognise something; None where
            there are none.
        scoring: how images are scored.
        seed: of noise and attacks; campaigns and trainings have those of their scale.
    """

    kind: Literal["reproduce"] = "reproduce"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    claims: Annotated[tuple[str, ...], BeforeValidator(listed), Field(min_length=1)]
    scale: ScaleName = "small"
    imagenet: Annotated[str, Field(min_length=1)] | None = None
    picbreeder: Annotated[str, Field(min_length=1)] | None = None
    scoring: ExperimentScoring = Field(default_factory=ExperimentScoring)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("claims", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("claims")
    @classmethod
    def _declared(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name != ALL and name not in BY_NAME:
                names = (ALL, *BY_NAME)
                mend = suggestion(name[:80], names) or f"; there are {', '.join(names)}"
                raise ValueError(f"no claim is called {name[:80]!r}{mend}")
        return no_repeats(value)


def resolve(config: ReproduceConfig, document: Document, check_files: bool) -> Document:
    """`document` with its folders absolute, see `evofool.experiments.engine.study`.

    Raises:
        ConfigError: a folder is missing.
    """
    for key in FOLDERS:
        written = getattr(config, key)
        if written is None:
            continue
        folder = document.resolve((key,), written)
        if check_files and not folder.is_dir():
            raise document.error(key, f"no such folder: {folder}")
        document = document.replaced((key,), str(folder), document.place((key,)))
    return document
