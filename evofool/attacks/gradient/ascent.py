"""Gradient ascent to a class: the baseline that every campaign is held against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.base import Aim, Attack
from evofool.attacks.gradient.loop import lengths, note_vanishing, unit
from evofool.attacks.gradient.losses import log_probabilities
from evofool.attacks.job import Job, Rows
from evofool.errors import UsageError
from evofool.images import FloatImages, to_float
from evofool.scoring import Loss, Wanted

if TYPE_CHECKING:
    import torch

MIDDLE = np.float32(127 / 255)
"""What decay pulls towards, where the published code had subtracted a mean picture."""


@dataclass(frozen=True)
class Setting:
    """One setting of the code published with Nguyen et al. 2015 (numbers for pixels on 0..255).

    Attributes:
        decay: share of the distance to the middle that is lost after each step.
        steps: most steps.
        early: gain in probability that a step aims at...
        late: ...but at most this share of what is missing to 1.
        blur: Gaussian radius in pixels, 0 for none.
        blur_every: steps between blurs.
        small_norm: per cent of pixels, those nearest the middle, that are set to it.
        small_contribution: per cent of pixels, those whose removal changes least, likewise.
    """

    decay: float
    steps: int
    early: float
    late: float
    blur: float = 0.0
    blur_every: int = 1
    small_norm: float = 0.0
    small_contribution: float = 0.0


SETTINGS: dict[str, Setting] = {
    "nguyen-1": Setting(0.0, 500, 0.02, 0.1),
    "nguyen-2": Setting(0.01, 1500, 0.03, 0.02),
    "nguyen-3": Setting(0.001, 1000, 0.03, 0.05, blur=0.4, blur_every=2),
    "nguyen-4": Setting(0.001, 1500, 0.03, 0.05, 0.3, 1, 20, 20),
}
MAX_RATE = 1e9
"""Cap of the published step size: far above any that is useful, against division by zero."""


@dataclass(frozen=True)
class GradientAscent(Attack):
    """Climbs the confidence of a target class from any picture: noise, grey or natural.

    ``setting: evofool`` climbs the log-probability by steps of one length along the gradient: a
    handful of passes. The published settings climb the probability by
    X += r grad, X *= 1 - decay, with
    r = min(early, late (1 - p)) / ||grad||^2, so that a step gains that much in a linear world, and
    regularise by blurring and by removing pixels.

    Attributes:
        setting: ``evofool``, or ``nguyen-1`` to ``nguyen-4`` (`SETTINGS`).
        confidence: in the target, at which a picture is done, and below which it is no success;
            None (``null``): all steps are made, and a success is called its target.
        steps: most steps; the setting's own (``evofool``: 200) by default.
        step_size: length of a step of ``evofool``: its root mean square over all values that may
            change.
    """

    name: ClassVar[str] = "gradient-ascent"
    aim: ClassVar[Aim] = "targeted"
    paper: ClassVar[str] = "Nguyen et al., CVPR 2015"

    setting: str = "evofool"
    confidence: float | None = 0.99
    steps: int | None = None
    step_size: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("setting", ("evofool", *SETTINGS))
        self.check_positive("step_size")
        if self.confidence is not None and not 0 < self.confidence < 1:
            raise UsageError(
                f"{self.name}: confidence must be above 0 and below 1, not {self.confidence}"
            )
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"{self.name}: steps must be at least 1, not {self.steps}")

    @property
    def least_confidence(self) -> float:
        return self.confidence or 0.0

    def craft(self, job: Job) -> None:
        setting = SETTINGS.get(self.setting)
        steps = self.steps or (setting.steps if setting else 200)
        missing = None if self.confidence is None else _missing(job, self.confidence)
        active = job.rows()
        for number in range(steps):
            pictures = _nearest(job, active)
            answer = job.gradients(
                active,
                pictures,
                _probability(job) if setting else job.goal.cross_entropy,
                wanted=missing,
            )
            job.open[active[~answer.wanted]] = False
            if number == 0:
                note_vanishing(job, answer.values[answer.wanted])
            active, gradients = active[answer.wanted], answer.values[answer.wanted]
            if not len(active):
                return
            x = job.x[active]
            if setting is None:
                length = np.float32(self.step_size * math.sqrt(job.free))
                x = x + length * unit(gradients)
            else:
                x = _published(setting, x, gradients, answer.loss[answer.wanted], number)
            job.x[active] = np.clip(x, 0, 1)
            _nearest(job, active)
            job.touch(active)


def _nearest(job: Job, rows: Rows) -> FloatImages:
    """The pictures nearest to `x`: no ball has to hold them, so they round to nearest."""
    levels = np.rint(job.x[rows] * np.float32(255)).astype(np.uint8)
    job.pixels.update(zip(rows.tolist(), levels, strict=True))
    return to_float(levels)


def _missing(job: Job, confidence: float) -> Wanted:
    least = math.log(confidence)

    def wanted(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        # a little more than asked for, since another engine judges the picture
        unsure = job.goal.cross_entropy(outputs, rows) < least * 0.98
        return unsure | ~job.goal.fooled(outputs, rows)  # sure of it, and of nothing more

    return wanted


def _probability(job: Job) -> Loss:
    import torch

    def loss(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        logs = log_probabilities(outputs, job.scorer.classifier)
        targets = torch.from_numpy(job.targets).to(rows.device)[rows]
        return logs.gather(1, targets[:, None])[:, 0].exp()

    return loss


def _published(
    setting: Setting, x: FloatImages, gradients: FloatImages, p: NDArray[np.float32], number: int
) -> FloatImages:
    """One step of the published code, in its units: X = 255 (x - middle)."""
    big = 255 * (x - MIDDLE)
    slope = gradients / np.float32(255)
    gain = np.minimum(setting.early, setting.late * (1 - p.astype(np.float64)))
    rate = np.minimum(MAX_RATE, gain / np.maximum(lengths(slope) ** 2, 1e-30))
    big = big + rate[:, None, None, None].astype(np.float32) * slope
    big *= np.float32(1 - setting.decay)
    if setting.blur and number % setting.blur_every == 0:
        big = blurred(big, setting.blur)
    if setting.small_norm:
        big = _without_least(big, np.abs(big).sum(axis=1), setting.small_norm)
    if setting.small_contribution:
        effect = np.abs((big * slope).sum(axis=1))
        big = _without_least(big, effect, setting.small_contribution)
    moved: FloatImages = (big / 255 + MIDDLE).astype(np.float32)
    return moved


def _without_least(big: FloatImages, weight: FloatImages, per_cent: float) -> FloatImages:
    """`big` (N x C x H x W) with the pixels of least `weight` (N x H x W) at the middle."""
    flat = weight.reshape(len(weight), -1)
    bar = np.percentile(flat, per_cent, axis=1)[:, None, None]
    kept: FloatImages = big * (weight >= bar)[:, None]
    return kept


def blurred(images: FloatImages, sigma: float) -> FloatImages:
    """Gaussian blur of `images`, N x C x H x W of any range, cut at four sigma, edges mirrored."""
    radius = max(1, int(4 * sigma + 0.5))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    for axis in (2, 3):
        width = [(0, 0)] * 4
        width[axis] = (radius, radius)
        padded = np.pad(images, width, mode="symmetric")
        n = images.shape[axis]
        images = sum(
            (
                tap * np.take(padded, np.arange(k, k + n), axis=axis)
                for k, tap in enumerate(taps.tolist())
            ),
            start=np.zeros_like(images),
        )
    return images.astype(np.float32)
