"""Options of encodings whose genomes are graphs."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Probability: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]


class GraphOptions(BaseModel):
    """How graphs vary."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    activations: list[Literal["sine", "sigmoid", "gaussian", "linear", "tanh5"]] = Field(
        default=["sine", "sigmoid", "gaussian", "linear"], min_length=1, max_length=5
    )
    """What nodes draw from; tanh5 takes the place of the sine in the no-sine variant of the
    Innovation Engine (Nguyen, Yosinski, Clune 2015)."""
    weight_rate: Probability = 0.1
    """Of each weight to mutate."""
    weight_eta: float = Field(default=15.0, ge=0.0, le=1e6)
    """Distribution index of that mutation."""
    activation_rate: Probability = 0.1
    """Of each node to draw its activation anew."""
    add_connection: Probability = 0.5
    delete_connection: Probability = 0.3
    split_connection: Probability = 0.5
    """A connection is replaced by a new node and two connections of the same weight."""
    delete_node: Probability = 0.2
    max_hidden: int = Field(default=256, ge=0, le=4096)
    """No connection is split in a graph of this many hidden nodes."""
