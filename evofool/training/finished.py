"""Finished weights in a folder, held against the training that is about to replace them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evofool.errors import UsageError
from evofool.files import read_file, reason
from evofool.training.config import TrainConfig
from evofool.training.state import MEND, Checkpoints, first_difference

_MAX_CARD = 1 << 24
UNSET = ("backbone", "limit", "augment", "smoothing", "stored", "start", "validation")
"""Keys of a config that are left out of what identifies a training where they are not given."""


def check_replaceable(config: TrainConfig, out: Path) -> None:
    """Refuse to write over the weights of another training.

    Those of the same config may be written again. A checkpoint vouches for weights beside it: its
    training was killed as it ended.

    Args:
        config: of the training.
        out: the folder of its weights.

    Raises:
        UsageError: there are weights of its name, and their card is of another config, damaged or
            not there.
    """
    weights = out / f"{config.name}.safetensors"
    if not weights.exists() or Checkpoints(out, config.name, {}).path.is_file():
        return
    try:
        card = json.loads(read_file(weights.with_suffix(".json"), _MAX_CARD))
        made_with = TrainConfig.model_validate(card["config"])
    except OSError as error:
        fault = f"has no readable card ({reason(error)})"
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError):
        fault = "has a damaged card"
    else:
        if not (different := first_difference(result_keys(config), result_keys(made_with))):
            return
        fault = f"belongs to another training: config.{different}"
    raise UsageError(f"{weights} already exists and {fault}; {MEND}")


def result_keys(config: TrainConfig) -> dict[str, Any]:
    """The config without the device, and without keys that older files lack, at their defaults."""
    younger = ("loss", "temperature", "distillation", "penalty", *UNSET)
    fields = TrainConfig.model_fields
    usual = {key for key in younger if getattr(config, key) == fields[key].default}
    return config.model_dump(mode="json", exclude={"device", *usual})
