"""The base of every config model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Base of every config model: exact types, no unknown keys, immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def fitting(cls, written: Mapping[str, Any]) -> Collection[str]:
        """The keys that can stand in a section, for messages about one that cannot.

        Args:
            written: the section as it is written.
        """
        return cls.model_fields.keys()
