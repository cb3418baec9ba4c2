"""Settings whose options are written beside their name, and checked by what the name stands for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_serializer, model_validator

from evofool.config.base import Model
from evofool.config.values import gathered


class WithOptions(Model):
    """A name and, beside it in YAML, the options of what it names, which checks them itself."""

    name: Annotated[str, Field(min_length=1)]
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        return gathered(value, "name")

    @model_serializer
    def _spread(self) -> dict[str, Any]:
        return {"name": self.name, **self.options}
