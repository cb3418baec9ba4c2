"""What a victim is: a name, labels, an input shape and a way from images to outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.locks import CallLock
from evofool.images import Shape, UInt8Images

if TYPE_CHECKING:  # torch takes seconds to import; a black-box victim does without it
    from torch import nn

Output: TypeAlias = Literal["logits", "log_probs", "probs", "topk", "label"]
Link: TypeAlias = Literal["softmax", "sigmoid", "identity"]
Predict: TypeAlias = Callable[[UInt8Images], NDArray[np.generic]]
"""uint8 N x C x H x W to what `output` says: N x classes, or N integers for ``label``.

With ``topk`` the matrix holds NaN where the service said nothing."""


@dataclass(frozen=True)
class Resize:
    """How a natural picture of any size becomes an input: shorter side, then centre crop.

    A picture of exactly the input size is taken as it is.
    """

    shorter_side: int
    interpolation: Literal["bicubic", "bilinear", "nearest"] = "bicubic"


@dataclass(frozen=True)
class Classifier:
    """A victim. Exactly one of `module`, `onnx` and `predict` is set.

    Attributes:
        name: as in a config (``mnist-lenet``, ``torchvision:alexnet``, ``path.py:function``).
        labels: one name a class, in the order of the outputs.
        input_shape: channels, height and width of the image that is scored.
        digest: hex sha256 of the weights (of the source file, for a predict function).
        output: what the net gives.
        link: how outputs become confidences: softmax over classes, a sigmoid a class, or as they
            are.
        module: white box: float32 N x C x H x W on [0, 1] to N x classes; normalisation is inside.
        onnx: an ONNX file with the same contract as `module`, without gradients.
        predict: black box: uint8 images to outputs.
        crops: 1, or 10 (four corners and the centre, mirrored) of `crop_size`, whose softmax
            confidences are averaged; `input_shape` is then that of the image before cropping.
        resize: for natural pictures.
        preprocessing: one line for people.
        source: path and sha256 of a file from outside that defines the victim, else None.
        reject: the class that stands for "no answer" (of a detector), else None. To be put there
            is neither right nor fooled.
        probed: pictures that a predict function has been sent by the probe; 0 for a net on this
            machine, which nobody pays by the picture.
        lock: held during calls of a victim that one thread at a time may call.
    """

    name: str
    labels: tuple[str, ...]
    input_shape: Shape
    digest: str
    output: Output = "logits"
    link: Link = "softmax"
    module: nn.Module | None = field(default=None, repr=False)
    onnx: Path | None = None
    predict: Predict | None = field(default=None, repr=False)
    crops: int = 1
    crop_size: int | None = None
    resize: Resize | None = None
    preprocessing: str = ""
    source: tuple[Path, str] | None = None
    reject: int | None = None
    probed: int = 0
    lock: CallLock = field(default_factory=CallLock, repr=False, compare=False)

    @property
    def metered(self) -> bool:
        """Whether its pictures leave this program one by one, and may be paid for: a service."""
        return self.predict is not None

    @property
    def n_classes(self) -> int:
        """Number of classes (cells of a champion archive over all of them)."""
        return len(self.labels)

    @property
    def white_box(self) -> bool:
        """Whether gradients can be had."""
        return self.module is not None
