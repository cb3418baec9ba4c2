"""What ``manifest.json`` must hold before anything of it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evofool.errors import StoreError

_Text = Annotated[str, Field(max_length=4096)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Side = Annotated[int, Field(ge=1, le=65536)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    name: _Text
    path: _Text | None = None
    sha256: _Sha256 | None = None


class _Classifier(_Part):
    digest: _Text
    input_shape: Annotated[list[_Side], Field(min_length=3, max_length=3)]
    labels: list[str]


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    kind: _Text
    run_id: _Text
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    command: str | None = None
    created: _Text | None = None
    classifier: _Classifier
    encoding: _Part


def check_manifest(manifest: dict[str, Any], path: Path) -> dict[str, Any]:
    """`manifest` as it is, once all that is read from it has the right type.

    Raises:
        StoreError: a part is missing or of the wrong type; the message names it.
    """
    if manifest.get("kind") != "evolve":
        return manifest  # other kinds say other things; `kind` is looked at by whoever opens one
    try:
        _Manifest.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"{path}: damaged: {where}: {first['msg']}") from error
    return manifest
