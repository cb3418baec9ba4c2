"""The active-set loop that all iterative gradient attacks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.job import Job, Rows
from evofool.images import FloatImages, to_float
from evofool.scoring import Loss
from evofool.text import counted

Step: TypeAlias = Callable[[Rows, FloatImages, FloatImages, int], FloatImages]
"""From rows (n,), their `x`, the gradients (both n x C x H x W) and the number of the step (from 0)
to the next `x` of these rows."""


def ascend(job: Job, rows: Rows, steps: int, loss: Loss, step: Step, *, early_stop: bool) -> Rows:
    """Climb `loss` for at most `steps` steps; returns those of `rows` not yet seen to fool, (k,).

    With `early_stop` the gradient is taken at the *picture* of each iterate, so that one forward
    pass both judges it and serves the gradient; an image that fools as a picture leaves the batch
    before a gradient of it is taken. Without, gradients are taken at the float iterates and
    all steps are made, as in the papers.
    """
    active = rows
    for number in range(steps):
        x = job.x[active]
        at = to_float(job.on_lattice(active)) if early_stop else x
        answer = job.gradients(active, at, loss, unless_fooled=early_stop)
        if number == 0:
            note_vanishing(job, answer.values[answer.wanted])
        job.open[active[~answer.wanted]] = False
        left = answer.wanted
        active = active[left]
        if not len(active):
            return active
        job.x[active] = step(active, x[left], answer.values[left], number)
        job.touch(active)
    return active


def note_vanishing(job: Job, gradients: FloatImages) -> None:
    """Add a note to the job if some of `gradients` (n x C x H x W) are exactly zero.

    Where the gradient is zero an attack has no direction to climb in.
    """
    dead = int((~gradients.any(axis=tuple(range(1, gradients.ndim)))).sum())
    if dead:
        job.notes.append(
            f"{dead} of {counted(len(gradients), 'image')} {'has' if dead == 1 else 'have'} a"
            " gradient of exactly zero: the victim's"
            " confidence is saturated or its gradients are masked; try loss=margin (on the"
            " logits), or a black-box attack"
        )


def sign(values: FloatImages) -> FloatImages:
    """The sign of each of the values, which have any shape and range: -1, 0 or 1."""
    signs: FloatImages = np.sign(values)
    return signs


def unit(values: FloatImages) -> FloatImages:
    """Each gradient of `values` (n x C x H x W, any range) divided by its Euclidean length.

    A gradient of zero stays zero.
    """
    length = lengths(values)[:, None, None, None]
    return (values / np.maximum(length, 1e-20)).astype(np.float32)


def lengths(values: FloatImages) -> NDArray[np.float64]:
    """The Euclidean length, (n,), of each gradient of `values` (n x C x H x W, any range)."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    norms: NDArray[np.float64] = np.sqrt((flat**2).sum(axis=1))
    return norms
