"""How images go into an ONNX graph, and which of its outputs are the scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.checks.answers import two_columns
from evofool.errors import ScoringError
from evofool.images import FloatImages, UInt8Images, to_float


@dataclass(frozen=True)
class OnnxFeed:
    """What a graph takes and gives.

    Attributes:
        layout: of its input: ``nchw``, or ``nhwc`` with the channels last.
        dtype: of its input: ``float32``, ``float64`` or ``float16`` on [0, 1], or ``uint8``.
        output_name: of the output that holds the scores; None is the first.
        fixed_batch: the only number of images it takes at once; None is any.
        binary: what its one value per image is, ``logits`` or ``probs``, of a graph that becomes
            one of two classes (``task: binary``); None is a graph that gives N x classes.
        head: what makes scores, N x classes, of a graph's outputs, N x D, where these are features
            (`evofool.classifiers.prototypes`).
    """

    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "float64", "float16", "uint8"] = "float32"
    output_name: str | None = None
    fixed_batch: int | None = None
    binary: Literal["logits", "probs"] | None = None
    head: Callable[[NDArray[np.generic]], NDArray[np.float32]] | None = None

    def __str__(self) -> str:
        size = "" if self.fixed_batch is None else f" in batches of {self.fixed_batch}"
        output = "" if self.output_name is None else f", output {self.output_name}"
        return f"{self.dtype} {self.layout.upper()} images{size}{output}"

    def run(self, session: Any, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        """The graph's scores, N x classes, in its own data type (float16 as float32).

        Args:
            session: of onnxruntime.
            images: N x C x H x W, uint8 or float on [0, 1].

        Raises:
            ScoringError: images off the 8-bit lattice for a graph that takes uint8; another number
                of rows than images from a graph with a fixed batch, or of values from a `binary`
                one.
        """
        name = session.get_inputs()[0].name
        wanted = None if self.output_name is None else [self.output_name]
        batch = self._prepared(images)
        size = self.fixed_batch or max(1, len(batch))
        parts = []
        for start in range(0, max(1, len(batch)), size):
            part = batch[start : start + size]
            n = len(part)
            if self.fixed_batch is not None and n < size:  # filled up with black images
                part = np.concatenate([part, np.zeros((size - n, *part.shape[1:]), part.dtype)])
            scores: NDArray[np.generic] = session.run(wanted, {name: part})[0]
            if self.binary is not None:
                scores = two_columns(scores, len(part), self.binary == "probs")
            rows = scores.shape[:1] == (len(part),) or (scores.ndim == 1 and size == 1)
            if self.fixed_batch is not None and not rows:
                raise ScoringError(
                    f"gives {' x '.join(map(str, scores.shape)) or 'one number'} for"
                    f" {len(part)} image{'s' if len(part) > 1 else ''}, not one row of scores per"
                    " image; is it a net for another task (detection, segmentation)?"
                )
            if self.fixed_batch is not None and scores.ndim == 1 and size == 1:
                scores = scores[None]  # the axis of one image was dropped
            parts.append(scores[:n] if self.fixed_batch is not None else scores)
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self.head is not None:
            return self.head(joined)
        return joined.astype(np.float32) if joined.dtype == np.float16 else joined

    def _prepared(self, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        if self.dtype == "uint8":
            levels = images if images.dtype == np.uint8 else images * np.float32(255)
            whole = np.rint(levels)
            if np.abs(levels - whole).max(initial=0.0) > 1e-3:
                raise ScoringError(
                    "a graph that takes uint8 sees 8-bit pictures: round the images to k/255"
                )
            batch: NDArray[np.generic] = whole.astype(np.uint8)
        else:
            batch = to_float(images).astype(self.dtype, copy=False)
        if self.layout == "nhwc":
            batch = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        return batch
