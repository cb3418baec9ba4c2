"""Typed rows: the results of works, one an item, as JSON in ``run.sqlite``."""

from __future__ import annotations

import builtins
import dataclasses
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

from evofool.errors import DamagedError
from evofool.validation import problem_of


@dataclass(frozen=True)
class Row:
    """One result of a work; a subclass adds its fields.

    Attributes:
        item: number of the picture, generation or class that it is about, unique in its type.
        png: a picture that belongs to it, as a PNG file, or None.
        pictured: whether these rows are the pictures that a work found.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    type: ClassVar[str]
    pictured: ClassVar[bool] = False

    item: int
    png: bytes | None = field(default=None, repr=False, kw_only=True)

    @classmethod
    def parse(cls, item: int, content: str, png: bytes | None, where: str) -> Self:
        """A stored row, checked against the fields of this class.

        Args:
            item: its number.
            content: its fields as a JSON object.
            png: its picture.
            where: for the message.

        Raises:
            StoreError: a field is missing, unknown or of the wrong type.
        """
        try:
            row: Self = _adapter(cls).validate_json(content, strict=True)
        except ValidationError as error:
            found = problem_of(error, _plain(content), cls)
            raise DamagedError(f"{where}: damaged: {cls.type} {item}: {found}") from error
        if row.item != item:
            raise DamagedError(f"{where}: damaged: {cls.type} {item} claims to be {row.item}")
        return row if png is None else dataclasses.replace(row, png=png)

    def content(self) -> str:
        """The fields but `png` as a JSON object."""
        return _adapter(type(self)).dump_json(self, exclude={"png"}).decode()


def _plain(content: str) -> object:
    """What was stored, nothing where it is no JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


@cache
def _adapter_of(row: Any) -> TypeAdapter[Any]:
    return TypeAdapter(row)


def _adapter(row: builtins.type[Row]) -> TypeAdapter[Any]:
    kind: Any = row  # mypy takes the class of something unhashable for unhashable
    return _adapter_of(kind)
