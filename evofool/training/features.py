"""Trainings of a linear layer on features: calculated once, kept, and learnt from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save
from torch import nn

from evofool.classifiers.sources.headed import HOG, build_headed, load_backbone
from evofool.data import Dataset
from evofool.errors import Interrupted
from evofool.files import cache_folder, read_file
from evofool.images import FloatImages, to_float
from evofool.training.config import TrainConfig
from evofool.training.weights import write_atomically

_BATCH = 50
_RULE = 1
"""Of what is kept; features that are calculated in another way need another number."""
_MAX_BYTES = 1 << 34


class Head(nn.Module):
    """The linear layer: float32 features N x d x 1 x 1 to outputs, N x classes."""

    def __init__(self, size: int, n_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(size, n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features of n pictures, float32 n x d x 1 x 1, to outputs, n x classes."""
        outputs: torch.Tensor = self.head(features.flatten(1))
        return outputs


@dataclass(frozen=True)
class Features:
    """How pictures of a data set become features.

    Attributes:
        config: of the training.
        device: where a backbone runs.
        should_stop: asked between batches.
    """

    config: TrainConfig
    device: torch.device
    should_stop: Callable[[], bool] | None = None

    def of(self, dataset: Dataset) -> Dataset:
        """`dataset` with features, float32 N x d x 1 x 1, in place of its pictures.

        They are kept in ``$EVOFOOL_CACHE`` or ~/.cache/evofool, under a name made
        of the backbone's digest, the pictures and what else has a part in them, so that a second
        head on the same backbone is trained in seconds. What cannot be kept is calculated again.

        Raises:
            ClassifierError: a backbone that cannot be had, or does not fit the pictures.
            Interrupted: `should_stop` returned true.
        """
        rows: FloatImages = self._kept(dataset)[:, :, None, None]
        return replace(dataset, images=rows)  # type: ignore[arg-type]  # rows in place of pictures

    def _kept(self, dataset: Dataset) -> NDArray[np.float32]:
        wanted = self.config.backbone
        told = {
            "rule": _RULE,
            "features": HOG if wanted is None else load_backbone(wanted).digest,
            "input": None if wanted is None else wanted.input,
            "shape": dataset.images.shape,
            "pictures": hashlib.sha256(dataset.images.tobytes()).hexdigest(),
            "device": self.device.type,
            "torch": torch.__version__,
        }
        key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        path = cache_folder() / "features" / f"{key[:32]}.safetensors"
        values = _read(path, len(dataset))
        if values is None:
            values = self._calculated(dataset)
            _keep(path, values)
        return values

    def _calculated(self, dataset: Dataset) -> NDArray[np.float32]:
        net, _ = build_headed(self.config.backbone, dataset.shape, 2, self.config.name)
        net = net.to(self.device).eval()
        parts = []
        with torch.inference_mode():
            for begin in range(0, len(dataset), _BATCH):
                if self.should_stop is not None and self.should_stop():
                    raise Interrupted(
                        f"training {self.config.name}: stopped at the features of picture"
                        f" {begin} of {len(dataset)}; the same command starts again with them"
                    )
                images = torch.from_numpy(to_float(dataset.images[begin : begin + _BATCH]))
                parts.append(net.features(images.to(self.device)).cpu().numpy())
        return np.concatenate(parts)


def _read(path: Path, count: int) -> NDArray[np.float32] | None:
    """What `_keep` wrote, or None if it is not there, or is not that any more."""
    try:
        content = read_file(path, _MAX_BYTES)
        kept = load_tensors(content)
        values, digest = kept["features"], kept["sha256"]
    except (OSError, KeyError, SafetensorError, ValueError):
        return None
    whole = values.dtype == np.float32 and values.ndim == 2 and len(values) == count
    return values if whole and digest.tobytes() == _sha256(values) else None


def _keep(path: Path, values: NDArray[np.float32]) -> None:
    """Best effort: a cache that cannot be written costs the time and nothing else."""
    digest = np.frombuffer(_sha256(values), np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save({"features": values, "sha256": digest}))
    except OSError:
        return


def _sha256(values: NDArray[np.float32]) -> bytes:
    return hashlib.sha256(values.tobytes()).digest()
