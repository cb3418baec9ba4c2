"""What attacks by queries share: the number they increase, and pictures that are queried once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evofool.attacks.job import Job, Rows
from evofool.attacks.result import NONE
from evofool.images import UInt8Images, to_float
from evofool.scoring import Scores


def progress(job: Job, rows: Rows, scores: Scores) -> NDArray[np.float64]:
    """How near pictures of `rows` are to the goal, by their `scores`: (n,), larger is nearer.

    Untargeted: the largest log-confidence of another class minus that of the label (on a softmax
    over logits that is the difference of the logits, whatever has saturated). Targeted: the
    log-odds of the target, which order pictures as its confidence and its cross-entropy do. Where
    the victim may reject, the rejection is no class to aim at: it counts only once the picture has
    left its label, as in `Goal.climb`. Where several classes may be claimed, the log-odds of the
    label are to fall. A picture without scores gets -inf.
    """
    sought = job.goal.sought[rows]
    at = np.arange(len(rows)), np.maximum(sought, 0)
    odds = scores.log_odds
    if job.scorer.classifier.multi_label:
        return np.where(scores.scored, job.goal.sign[rows] * odds[at], -np.inf)
    with np.errstate(invalid="ignore"):  # NaN where there are no scores
        logs = -np.logaddexp(0.0, -odds)
    own = logs[at].copy()
    logs[at] = -np.inf
    reject = job.scorer.classifier.reject
    declined = None if reject is None else logs[:, reject].copy()
    if reject is not None:
        logs[:, reject] = -np.inf
    others = logs.max(axis=1)
    with np.errstate(invalid="ignore"):
        lead = np.nan_to_num(others - own, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        if declined is not None:
            # a search that keeps the best needs one slope over all of it: the lead over the label
            # up to 0, then towards an answer up to 1, then the lead again
            gap = others - declined
            lead = np.where(lead > 0, np.where(gap > 0, 1 + lead, np.exp(gap)), lead)
    near = np.where(job.targets[rows] == NONE, lead, odds[at])
    return np.where(scores.scored, near, -np.inf)


def part(scores: Scores, index: NDArray[np.bool_] | NDArray[np.int64]) -> Scores:
    """The scores of some of the images: `index` is (N,) booleans, or (k,) positions."""
    return Scores(
        scores.log_odds[index],
        None if scores.outputs is None else scores.outputs[index],
        None if scores.top is None else scores.top[index],
    )


def make_current(job: Job, rows: Rows, pictures: UInt8Images, scores: Scores) -> NDArray[np.bool_]:
    """Make `pictures`, which got `scores`, the current pictures of `rows` and judge them.

    The pictures also become `x`: an attack that queries pictures has no floats between levels.

    Args:
        job: the call of the attack.
        rows: (n,) rows of it.
        pictures: uint8 n x C x H x W.
        scores: of these pictures.

    Returns:
        (n,), whether the row is a success; such rows are closed in `job.open`.

    Raises:
        BudgetSpent: as `Job.check`.
    """
    if len(rows):
        job.x[rows] = to_float(pictures)
        for row, picture in zip(rows.tolist(), pictures, strict=True):
            job.pixels[row] = picture
        job.known(rows, scores)
    through = job.check(rows)
    job.open[rows[through]] = False
    return through
