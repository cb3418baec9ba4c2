"""The ``backbone:`` of a training config, and of the card that the training leaves."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from evofool.classifiers.sources.bundled import BUNDLED


class BackboneConfig(BaseModel):
    """A trained net whose last layer is replaced (transfer learning).

    Attributes:
        name: a bundled net. Others are not taken, since a card, which may come from anyone, names
            it again.
        frozen: whether its weights stay as they are, so that only the new layer is learnt.
        input: side in pixels to which pictures are brought (bilinear) before they enter it; by
            default its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200)
    frozen: bool = True
    input: int | None = Field(default=None, ge=8, le=1024)

    @field_validator("name")
    @classmethod
    def _bundled(cls, value: str) -> str:
        if value not in BUNDLED:
            raise ValueError(f"{value!r} is not a bundled net; known: {', '.join(BUNDLED)}")
        return value
