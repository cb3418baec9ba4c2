"""The engine of an ensemble: each member's own engine, and the members' log-odds combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Rule
from evofool.classifiers.pictures import fitted
from evofool.errors import ScoringError
from evofool.images import FloatImages, Shape, UInt8Images
from evofool.scoring.batches import is_tensor
from evofool.scoring.devices import Batch
from evofool.scoring.ranking import NO_CLASS, Matrix, Scores, to_scores
from evofool.scoring.torch_engine import TorchEngine

_FUZZ = 1e-3
"""How far from a whole level of 255 a picture on the 8-bit lattice may lie."""


def combined(log_odds: NDArray[np.float64], rule: Rule) -> Matrix:
    """The log-odds of an ensemble, float64 N x classes; the order of members changes nothing.

    Where one member rules a class out (-inf) the mean is -inf, however sure another is of it.

    Args:
        log_odds: float64 members x N x classes; a row of NaN where a member gave no scores, which
            the ensemble then has none for either.
        rule: ``least`` or ``mean``.
    """
    least: Matrix = log_odds.min(axis=0)
    if rule == "least":
        return least
    with np.errstate(invalid="ignore"):  # -inf + inf
        # sorted, since a sum of floats depends on its order
        mean: Matrix = np.sort(log_odds, axis=0).mean(axis=0)
    return np.where(np.isneginf(least), least, mean)


def combined_scores(log_odds: Matrix) -> Scores:
    """`Scores` of an ensemble's outputs, N x classes, which may be infinite as a victim's may."""
    missing: NDArray[np.bool_] = np.asarray(np.isnan(log_odds).any(axis=1))
    odds = np.where(missing[:, None], np.nan, log_odds)
    top = np.argmax(np.where(missing[:, None], 0.0, log_odds), axis=1).astype(np.int64)
    return Scores(odds, log_odds, np.where(missing, NO_CLASS, top))


class MemberEngine(Protocol):
    """What runs one net, see `evofool.scoring.engines.Engine`."""

    name: str
    device: str

    def forward(self, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        """Raw outputs of `images`, N x C x H x W, uint8 or float32 on [0, 1]: N x classes."""
        ...


@dataclass(frozen=True)
class Member:
    """A net of an ensemble with what runs it."""

    classifier: Classifier
    engine: MemberEngine
    classes: tuple[int, ...]


class EnsembleEngine:
    """Shows every micro-batch to all members, each resized to the member's own input.

    Args:
        classifier: the ensemble.
        engines: of its members, in their order.
    """

    def __init__(self, classifier: Classifier, engines: Sequence[MemberEngine]) -> None:
        assert classifier.ensemble is not None
        self._rule = classifier.ensemble.rule
        classes = classifier.ensemble.classes
        self.members = tuple(
            Member(member, engine, own)
            for member, engine, own in zip(
                classifier.ensemble.members, engines, classes, strict=True
            )
        )
        names = {engine.name for engine in engines}
        self.name = names.pop() if len(names) == 1 else "several"
        on = dict.fromkeys(engine.device for engine in engines)
        self.device = next((device for device in on if device.startswith("cuda")), next(iter(on)))

    def forward(self, images: Batch) -> NDArray[np.generic]:
        """float64 N x classes: the combined log-odds of one micro-batch.

        Args:
            images: N x C x H x W of the ensemble's input shape, uint8, or floating on [0, 1].

        Raises:
            OutOfMemory, ScoringError: as the members' engines.
        """
        return self._combined(images, screen=False)

    def screen(self, images: Batch) -> NDArray[np.generic]:
        """float64 N x classes, as `forward`, each member in its engine's lower precision."""
        return self._combined(images, screen=True)

    def each(self, images: Batch, *, screen: bool = False) -> NDArray[np.float64]:
        """float64 members x N x classes: the log-odds that each member gives the shared classes.

        Args:
            images: as for `forward`.
            screen: whether in a lower precision.
        """
        parts = []
        for member in self.members:
            net = member.classifier
            seen = resized(images, net.input_shape)
            if isinstance(member.engine, TorchEngine):
                outputs = member.engine.screen(seen) if screen else member.engine.forward(seen)
            else:
                on_host = seen if isinstance(seen, np.ndarray) else seen.cpu().numpy()
                outputs = np.asarray(member.engine.forward(on_host))
            _check(net, outputs, len(images))
            odds = to_scores(outputs, net.output, net.link, 1).log_odds
            parts.append(odds[:, list(member.classes)])
        return np.stack(parts)

    def _combined(self, images: Batch, *, screen: bool) -> Matrix:
        return combined(self.each(images, screen=screen), self._rule)


def resized(images: Batch, shape: Shape) -> Batch:
    """`images` as inputs of a member; those that fit already are handed on as they are.

    Pictures of 8 bits, uint8 or floating on the lattice, are resized as a PNG of theirs would be
    (`evofool.classifiers.pictures.fitted`), so that a member gives the score that it gives the
    saved picture.

    Args:
        images: N x C x H x W, uint8, or floating on [0, 1].
        shape: C' x H' x W' of the member's input.
    """
    if tuple(images.shape[1:]) == tuple(shape):
        return images
    if is_tensor(images):
        images = images.cpu().numpy()
    assert isinstance(images, np.ndarray)
    if not len(images):
        return np.zeros((0, *shape), images.dtype)
    if (levels := _levels(images)) is not None:
        return fitted(levels, shape)
    import torch

    from evofool.classifiers.nets.ensemble import fitted_tensor

    with torch.no_grad():
        floats: FloatImages = fitted_tensor(torch.from_numpy(images).float(), shape).numpy()
    return floats


def _levels(images: UInt8Images | FloatImages) -> UInt8Images | None:
    """The 8-bit pictures that `images` are, None if they lie between levels."""
    if images.dtype == np.uint8:
        return images.astype(np.uint8, copy=False)
    scaled = images * np.float32(255)
    near = np.rint(scaled)
    if np.abs(scaled - near).max(initial=0.0) > _FUZZ:
        return None
    levels: UInt8Images = near.astype(np.uint8)
    return levels


def _check(net: Classifier, outputs: NDArray[np.generic], rows: int) -> None:
    wanted = (rows, net.n_classes)
    if outputs.shape != wanted or outputs.dtype.kind not in "fiu":
        raise ScoringError(
            f"{net.name} gave {outputs.dtype} of shape {outputs.shape}, but scores of shape"
            f" {wanted} are needed"
        )
