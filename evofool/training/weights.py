"""Weights, and the card that describes how they were made: each written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from evofool.data import Dataset
from evofool.errors import UsageError
from evofool.files import reason, short
from evofool.seal import sealed
from evofool.training.config import TrainConfig
from evofool.training.losses import COSTS


@dataclass(frozen=True)
class Written:
    """The two files, and the sha256 of the first."""

    weights: Path
    card: Path
    sha256: str


def write_weights(
    net: nn.Module,
    config: TrainConfig,
    out: Path,
    test_set: Dataset,
    train_images: int,
    facts: Mapping[str, Any],
) -> Written:
    """``NAME.safetensors`` (float32, or as `config.stored` says) and ``NAME.json``, the card last.

    Args:
        net: the bare net.
        config: what made it.
        out: the folder; made if it is not there.
        test_set: what it was measured on.
        train_images: how many it was trained on.
        facts: what was measured, and where; part of the card.

    Raises:
        UsageError: `out` cannot be written.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    if config.stored is not None:
        state = {
            key: value.half() if value.is_floating_point() else value
            for key, value in state.items()
        }
    content = save(state)
    sha256 = hashlib.sha256(content).hexdigest()
    card = sealed(
        {
            "name": config.name,
            "architecture": config.architecture,
            "dataset": config.dataset,
            "input_shape": list(test_set.shape),
            "labels": list(test_set.label_names),
            "output": COSTS[config.loss].output,
            "link": COSTS[config.loss].link,
            "train_images": train_images,
            "test_images": len(test_set),
            **facts,
            "seed": config.seed,
            "config": config.model_dump(mode="json"),
            "sha256": sha256,
            "versions": {
                "evofool": version("evofool"),
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
        }
    )
    weights_path = out / f"{config.name}.safetensors"
    card_path = out / f"{config.name}.json"
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(weights_path, content)
        write_atomically(card_path, text.encode())
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UsageError(f"{short(out)}: cannot be written ({reason(error)})") from error
    return Written(weights_path, card_path, sha256)


def round_weights(net: nn.Module) -> None:
    """Rounds all weights to what 16 bits hold, in place; they stay of the type they are."""
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.half())


def write_atomically(path: Path, content: bytes) -> None:
    """All of `content` under `path`, or what was there before; raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes it private
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def version(package: str) -> str:
    """The installed version of a package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
