"""The engine of a victim behind transforms: the net's own engine, shown every picture k times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier
from evofool.config.transforms import Combine
from evofool.errors import ScoringError
from evofool.images import FloatImages, UInt8Images, to_float
from evofool.randomness import Stream
from evofool.scoring.batches import is_tensor
from evofool.scoring.devices import INPUT_BYTES, Batch
from evofool.scoring.ensemble import EnsembleEngine, MemberEngine, combined, combined_scores
from evofool.scoring.ranking import Matrix, Scores, average_log_odds, to_scores
from evofool.scoring.torch_engine import TorchEngine

if TYPE_CHECKING:
    import torch


def combined_log_odds(log_odds: NDArray[np.float64], combine: Combine) -> Matrix:
    """The log-odds of k transforms of N pictures as one figure a class, float64 N x classes.

    Args:
        log_odds: float64 N x k x classes; a row of NaN where the net gave no scores, which the
            picture then has none for either.
        combine: how; see `evofool.config.transforms.TransformsConfig`.
    """
    if combine == "mean":
        return average_log_odds(log_odds)
    return combined(log_odds.swapaxes(0, 1), "least" if combine == "least" else "mean")


class TransformedEngine:
    """Transforms every picture on the device of a net, and runs the net on what comes of it.

    For onnxruntime and other nets on the host the transforms are computed there, by PyTorch on the
    CPU, so that engines differ by what the net itself computes.

    Args:
        classifier: the victim behind transforms.
        inner: what runs its net, given k times as many rows as this.
        transforms: which; by default those of the victim.
        stream: see `evofool.classifiers.transforms.drawing.draw`.
    """

    def __init__(
        self,
        classifier: Classifier,
        inner: MemberEngine,
        transforms: range | None = None,
        stream: Stream = Stream.TRANSFORM,
    ) -> None:
        from evofool.classifiers.transforms.pictures import Transformation

        assert classifier.transformed is not None
        self.net, config = classifier.transformed.net, classifier.transformed.config
        numbers, onto = range(config.k) if transforms is None else transforms, None
        if classifier.transformed.onto is not None:
            onto = classifier.transformed.onto.under(numbers, stream)
        self.inner = inner
        self.name, self.device = inner.name, inner.device
        self.transformation = Transformation(config, self.net.input_shape, numbers, stream, onto)
        self._combine = config.combine

    @property
    def way(self) -> str:
        """How the net is run, for people."""
        return str(getattr(self.inner, "way", ""))

    def forward(self, images: Batch) -> NDArray[np.generic]:
        """The combined log-odds of one micro-batch, float64 N x classes.

        With a single transform they are the outputs of the net, of its own data type.

        Args:
            images: N x C x H x W of the net's input shape, uint8, or floating on [0, 1].

        Raises:
            OutOfMemory, ScoringError: as the net's engine.
        """
        return self._scored(images, screen=False)

    def screen(self, images: Batch) -> NDArray[np.generic]:
        """As `forward`, but the net computes in its engine's lower precision.

        Args:
            images: as for `forward`.

        Returns:
            float64 N x classes.
        """
        return self._scored(images, screen=True)

    def each(self, images: Batch) -> Scores:
        """`Scores` of the N k transformed pictures; those of one picture are neighbours.

        Args:
            images: as for `forward`.
        """
        outputs = self._outputs(images, screen=False)
        if self.net.ensemble is not None:
            return combined_scores(np.asarray(outputs, np.float64))
        return to_scores(outputs, self.net.output, self.net.link, 1)

    def _scored(self, images: Batch, *, screen: bool) -> NDArray[np.generic]:
        outputs = self._outputs(images, screen=screen)
        k = self.transformation.k
        if k == 1:
            return outputs
        if self.net.ensemble is not None:
            odds = combined_scores(np.asarray(outputs, np.float64)).log_odds
        else:
            odds = to_scores(outputs, self.net.output, self.net.link, 1).log_odds
        return combined_log_odds(odds.reshape(-1, k, odds.shape[-1]), self._combine)

    def _outputs(self, images: Batch, *, screen: bool) -> NDArray[np.generic]:
        """Of the net, (N k) x classes."""
        seen = self._seen(images)
        if isinstance(self.inner, TorchEngine | EnsembleEngine):
            outputs = self.inner.screen(seen) if screen else self.inner.forward(seen)
        else:
            outputs = self.inner.forward(_host(seen))
        wanted = (len(images) * self.transformation.k, self.net.n_classes)
        if outputs.shape != wanted or outputs.dtype.kind not in "fiu":
            raise ScoringError(
                f"{self.net.name} gave {outputs.dtype} of shape {outputs.shape} where scores of"
                f" shape {wanted} are wanted"
            )
        return outputs

    def _seen(self, images: Batch) -> Batch:
        """The transformed pictures, (N k) x C x H x W: a tensor where the net is on a GPU."""
        import torch

        if self.device.startswith("cuda"):
            batch = images if is_tensor(images) else torch.from_numpy(np.asarray(images))
            return self.transformation.to_score(_floating(batch.to(self.device)))
        parts = []
        for part in self._parts(images):
            floats = torch.from_numpy(to_float(_host(part)))
            parts.append(self.transformation.to_score(floats).numpy())
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _parts(self, images: Batch) -> Iterator[Batch]:
        """So few pictures at a time that what each stage makes of them stays in a CPU's cache."""
        one = 4 * math.prod(images.shape[1:]) * self.transformation.k
        step = max(1, INPUT_BYTES // one)
        for start in range(0, max(1, len(images)), step):
            yield images[start : start + step]


def _host(images: Batch) -> UInt8Images | FloatImages:
    if isinstance(images, np.ndarray):
        return images
    array: UInt8Images | FloatImages = images.cpu().numpy()
    return array


def _floating(images: torch.Tensor) -> torch.Tensor:
    import torch

    if images.dtype != torch.uint8:
        return images.float()
    # by a tensor on the device: by a number, CUDA multiplies with a rounded reciprocal
    return images.float().div_(torch.tensor(255.0, device=images.device))
