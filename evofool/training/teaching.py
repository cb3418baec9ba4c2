"""What a student of a distillation learns from: its teacher's answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evofool.classifiers import load_classifier
from evofool.classifiers.identity.files import sha256_file
from evofool.data import Dataset
from evofool.errors import ClassifierError, UsageError
from evofool.images import to_float
from evofool.training.config import TrainConfig
from evofool.training.fitting import evaluating
from evofool.training.state import Checkpoints

_BATCH = 1000


@dataclass(frozen=True)
class Lesson:
    """A teacher that is trained.

    Attributes:
        weights: its safetensors file, with the card beside it.
    """

    weights: Path

    @cached_property
    def sha256(self) -> str:
        """Of the weights."""
        return sha256_file(self.weights)


def learnt(config: TrainConfig, out: Path) -> Lesson | None:
    """The teacher that a stopped training of `config` in `out` has had, or None.

    Only a checkpoint of the student vouches for it: it names the teacher's weights, and is
    compared with them when it is read. A file of that name alone may be of other data.
    """
    assert config.teacher is not None
    weights = out / f"{config.teacher.name}.safetensors"
    if not Checkpoints(out, config.name, {}).path.is_file():
        return None
    if not (weights.is_file() and weights.with_suffix(".json").is_file()):
        return None
    return Lesson(weights)


def soft_labels(
    lesson: Lesson, dataset: Dataset, temperature: float, device: torch.device
) -> NDArray[np.generic]:
    """softmax(z / T) of the teacher's logits z for the images as they are.

    Returns:
        N x classes, float32.

    Raises:
        UsageError: the teacher's files were changed.
    """
    try:
        net = load_classifier(str(lesson.weights.absolute())).module
    except ClassifierError as error:
        raise UsageError(f"{error}; give --fresh to train the teacher again") from error
    assert net is not None
    net.to(device)
    batches = []
    with evaluating(net), torch.inference_mode():
        for begin in range(0, len(dataset), _BATCH):
            images = torch.from_numpy(to_float(dataset.images[begin : begin + _BATCH]))
            batches.append((net(images.to(device)) / temperature).softmax(1).cpu().numpy())
    return np.concatenate(batches)
