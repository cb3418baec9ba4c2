"""What an attack hands back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.lattice.levels import Norms, norms
from evofool.images import FloatImages, UInt8Images, to_float

Labels = NDArray[np.int64]
"""int64 (N,): the class of each image, or `NONE`."""
NONE = -1
"""In label arrays: there is no label, or the victim gave no finite scores."""


def name_of(labels: Sequence[str], index: int) -> str:
    """The label of a class, or a phrase for it where the victim gave no finite scores."""
    return "no finite scores" if index == NONE else labels[index]


@dataclass(frozen=True)
class AttackResult:
    """N attacked images, judged on the pictures that would be saved.

    Attributes:
        attack: the attack's name.
        clean: the images it started from, uint8 N x C x H x W.
        pixels: the adversarial pictures, uint8 N x C x H x W, each rounded so that the ball still
            holds it.
        images_float: what the textbook attack gives before rounding, float32 N x C x H x W on
            [0, 1].
        labels: (N,), the classes the images had, or `NONE`.
        targets: (N,), the classes aimed at, or `NONE` for an untargeted attack.
        predicted: (N,), the victim's top-1 class of `pixels` (`NONE`: its scores are not finite).
        predicted_float: (N,), its top-1 class of `images_float`.
        confidence: (N,), the victim's confidence in `predicted` (NaN: it gives labels alone, or no
            finite scores).
        sought_confidence: (N,), its confidence in the target, or (untargeted) in the label.
        success: (N,), whether the saved picture fools: it is classified as its target, or
            (untargeted) as anything but its label.
        success_float: (N,), the same of the float image.
        complete: (N,), False where a budget ended before the attack was through with the image.
        eps: the radius that was asked for (None: the attack has none).
        effective_eps: the radius that 8 bits allow.
        forward_each: (N,), images that went forward through the net to craft each one, crops
            included.
        backward_each: (N,), images that gradients were taken of, crops included.
        forward_shared: images that went forward for all of them together (to teach a substitute).
        verify_each: (N,), images that went forward to judge each result, counted apart.
        seconds: for all of it.
        notes: for people (a spent budget, vanishing gradients...).
    """

    attack: str
    clean: UInt8Images = field(repr=False)
    pixels: UInt8Images = field(repr=False)
    images_float: FloatImages = field(repr=False)
    labels: Labels = field(repr=False)
    targets: Labels = field(repr=False)
    predicted: Labels = field(repr=False)
    predicted_float: Labels = field(repr=False)
    confidence: NDArray[np.float64] = field(repr=False)
    sought_confidence: NDArray[np.float64] = field(repr=False)
    success: NDArray[np.bool_]
    success_float: NDArray[np.bool_]
    complete: NDArray[np.bool_]
    eps: float | None
    effective_eps: float | None
    forward_each: NDArray[np.int64] = field(repr=False)
    backward_each: NDArray[np.int64] = field(repr=False)
    verify_each: NDArray[np.int64] = field(repr=False)
    seconds: float
    notes: tuple[str, ...] = ()
    forward_shared: int = 0

    def __len__(self) -> int:
        return len(self.clean)

    @cached_property
    def images(self) -> FloatImages:
        """The adversarial pictures as float32 N x C x H x W on the 8-bit lattice k/255."""
        return to_float(self.pixels)

    @property
    def forward_images(self) -> int:
        """Images that went forward through the net for crafting."""
        return int(self.forward_each.sum()) + self.forward_shared

    @property
    def backward_images(self) -> int:
        """Images that gradients were taken of."""
        return int(self.backward_each.sum())

    @property
    def verify_forward_images(self) -> int:
        """Images that went forward to judge the results."""
        return int(self.verify_each.sum())

    @cached_property
    def norms(self) -> Norms:
        """L0, L2 and Linf of the perturbations of the pictures."""
        return norms(self.clean, self.pixels)

    @cached_property
    def norms_float(self) -> Norms:
        """L0, L2 and Linf of the perturbations before rounding."""
        return norms(self.clean, self.images_float)
