"""Weights and the card that says how they were made, written so that a crash leaves no half."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from evofool.data import Dataset
from evofool.errors import UsageError
from evofool.training.config import TrainConfig


@dataclass(frozen=True)
class Written:
    """The two files, and the sha256 of the first."""

    weights: Path
    card: Path
    sha256: str


def write_checkpoint(
    net: nn.Module,
    config: TrainConfig,
    out: Path,
    test_set: Dataset,
    train_images: int,
    test_accuracy: float,
) -> Written:
    """``NAME.safetensors`` (float32) and ``NAME.json`` in `out`, the card last.

    Raises:
        UsageError: `out` cannot be written.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    content = save(state)
    sha256 = hashlib.sha256(content).hexdigest()
    card = {
        "name": config.name,
        "architecture": config.architecture,
        "dataset": config.dataset,
        "input_shape": list(test_set.shape),
        "labels": list(test_set.label_names),
        "train_images": train_images,
        "test_images": len(test_set),
        "test_accuracy": test_accuracy,
        "seed": config.seed,
        "config": config.model_dump(mode="json"),
        "sha256": sha256,
        "versions": {
            "evofool": _version("evofool"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
    weights_path = out / f"{config.name}.safetensors"
    card_path = out / f"{config.name}.json"
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write_atomically(weights_path, content)
        _write_atomically(card_path, text.encode())
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror})") from error
    return Written(weights_path, card_path, sha256)


def _write_atomically(path: Path, content: bytes) -> None:
    """All of `content` under `path`, or what was there before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
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


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
