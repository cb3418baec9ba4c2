"""The section ``scoring``: how images are scored, and where."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from evofool.config.base import Model
from evofool.config.values import Positive

RAY_ADDRESS = r"auto|[\w.\-]+:\d{1,5}|\[[0-9a-fA-F:.]+\]:\d{1,5}"
"""Where a cluster of Ray is: ``auto`` or ``HOST:PORT``."""


class ScoringConfig(Model):
    """How images are scored.

    Attributes:
        engine: ``auto`` takes the best one that is installed.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        batch: images a forward pass; part of the result, since float sums depend on it.
        workers: threads; not part of the result.
        budget: images that may be scored in all.
        precision: what children are screened in; ``tf32`` (CUDA) and ``bf16`` are faster on some
            devices, and what would win a cell by them is confirmed in ``float32``. Part of the
            result (`map_elites` only).
    """

    engine: Literal["auto", "torch", "onnxruntime"] = "auto"
    device: str = "auto"
    batch: Annotated[int, Field(ge=1, le=65536)] = 64
    workers: Annotated[int, Field(ge=1, le=1024)] = 2
    budget: Positive | None = None
    precision: Literal["float32", "tf32", "bf16"] = "float32"

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
            raise ValueError(f"must be auto, cpu, cuda or cuda:N, not {value!r}")
        return value


class RayConfig(Model):
    """How a campaign is spread over a cluster of Ray; no part of the result.

    Attributes:
        address: ``HOST:PORT`` of a running cluster, or ``auto`` for the one of this machine; None
            starts one on this machine, which ends with the run.
        actors: workers; None is as many as the cluster has room for.
        cores: CPU cores of an actor, each of which works on a micro-batch of its own; None is one,
            or two of an actor with a GPU, of which it has one.
        timeout: seconds after which an actor that gives no answer to a micro-batch is replaced.
    """

    address: Annotated[str, Field(max_length=300)] | None = None
    actors: Annotated[int, Field(ge=1, le=4096)] | None = None
    cores: Annotated[int, Field(ge=1, le=1024)] | None = None
    timeout: Annotated[float, Field(gt=0, le=1e7)] = 1800.0

    @field_validator("address")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(RAY_ADDRESS, value):
            client = value.startswith("ray://")
            mend = " of its head; run evofool on a node of the cluster" if client else ""
            raise ValueError(f"must be auto or HOST:PORT{mend}, not {value!r}")
        return value


class SpreadScoring(ScoringConfig):
    """How the images of a campaign are scored.

    ``engine: ray`` is short for ``engine: auto`` with ``ray: {}``: what scores in a worker is one
    of the other engines, which alone decides the result.

    Attributes:
        ray: where pictures are drawn and scored by workers of Ray; None is in this process.
    """

    ray: RayConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _engine_ray(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("engine") == "ray":
            return {**data, "engine": "auto", "ray": data.get("ray") or {}}
        return data
