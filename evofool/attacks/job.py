"""One call of an attack: its images, and every forward and backward pass that each has cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evofool.attacks.gradient.losses import SLACK, Goal
from evofool.attacks.lattice.levels import FUZZ, Norm, effective_eps, on_lattice, toward
from evofool.attacks.result import NONE, AttackResult, Labels
from evofool.attacks.trace import Trace, running_costs
from evofool.errors import BudgetError, EvofoolError, ImageError, UsageError
from evofool.images import FloatImages, UInt8Images, to_float
from evofool.randomness import Stream, generator
from evofool.render.masks import bounds
from evofool.scoring import Gradients, Loss, Scorer, Scores, Wanted
from evofool.scoring.ranking import to_scores

if TYPE_CHECKING:
    import torch

Rows = NDArray[np.int64]
"""int64 (n,): indices of images of the call."""


class Verdict(NamedTuple):
    """The victim's answer to one picture; confidences are NaN where it gives labels alone."""

    label: int
    confidence: float
    sought_confidence: float

    @property
    def decisive(self) -> float:
        """The confidence in the class sought, or where none is sought, in the top-1 class."""
        return self.confidence if math.isnan(self.sought_confidence) else self.sought_confidence


class BudgetSpent(EvofoolError):
    """Inside an attack: the scorer's budget would not leave enough to judge the results."""


class Job:
    """The N images of one call of an attack, and their state so far.

    An attack works on `x` (float32) through `gradients`, `scores` and `labels_of`, and may set
    `pixels` for rows whose picture is not simply `x` rounded towards the clean one.

    Args:
        scorer: the victim.
        images: N x C x H x W of the victim's shape: uint8, or floats on the lattice k/255.
        labels: (N,) integers, the true classes, or None.
        targets: (N,) integers, the classes aimed at, or None.
        ids: (N,) integers that key the random draws, or None for 0..N-1.
        seed: of the attack.
        trace: what notes how far each image has come; without, nothing is noted.
        mask: height x width, where pictures may change, or None for everywhere. Whatever an attack
            asks for outside it is the clean picture before the victim sees it, and has no gradient.

    Attributes:
        scorer: the backend; attacks use it through this job alone, so that every pass is booked.
        clean: uint8 N x C x H x W.
        start: the same as float32 on [0, 1].
        x: the current float images, float32 N x C x H x W on [0, 1]; at first the clean ones.
        pixels: by row, the current picture (uint8 C x H x W) where it is not `x` rounded.
        labels: (N,), true classes or `NONE`.
        targets: (N,), target classes or `NONE`.
        goal: losses and the rule for success.
        ids: (N,), what keys the randomness of each image, so that results depend on no batch.
        forward: (N,), images that went forward through a net for each row: crops and members of an
            ensemble count.
        backward: (N,), images that gradients were taken of for each row.
        forward_shared: images forward that no single row took (to teach a substitute).
        open: (N,), whether the attack is still working on the row; at the end, whether a spent
            budget cut it off.
        notes: for people.

    Raises:
        ImageError: images of another shape than the victim's, or off the lattice.
        UsageError: classes that do not exist, or a target that is the true class.
        BudgetError: the budget is too small even to judge the results.
    """

    def __init__(
        self,
        scorer: Scorer,
        images: object,
        labels: ArrayLike | None,
        targets: ArrayLike | None,
        ids: ArrayLike | None,
        seed: int,
        trace: Trace | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        self.scorer, self.trace, self.mask = scorer, trace, mask
        shape = scorer.classifier.input_shape
        self.clean = on_lattice(images)
        if self.clean.shape[1:] != shape:
            raise ImageError(
                f"images of shape {self.clean.shape[1:]} were given, but {shape} is needed"
                " (channels, height, width); prepare(picture, classifier) resizes pictures"
            )
        n = len(self.clean)
        classes = scorer.classifier.n_classes
        self.labels = _classes(labels, n, classes, "labels")
        self.targets = _classes(targets, n, classes, "targets")
        same = (self.labels == self.targets) & (self.targets != NONE)
        if same.any():
            row = int(np.argmax(same))
            raise UsageError(
                f"target {self.targets[row]} of image {row} is its true class; aim at another"
            )
        reject = scorer.classifier.reject
        for what, classes_ in (("label", self.labels), ("target", self.targets)):
            if reject is not None and (classes_ == reject).any():
                raise UsageError(
                    f'{what} {reject} of image {int(np.argmax(classes_ == reject))} means "no'
                    ' answer"; leave such images out'
                )
        self.seed = seed
        self.ids = np.arange(n) if ids is None else _classes(ids, n, 2**62, "ids")
        self.start = to_float(self.clean)
        self.x: FloatImages = self.start.copy()
        self.pixels: dict[int, UInt8Images] = {}
        self.goal = Goal(scorer.classifier, self.labels, self.targets)
        self.forward = np.zeros(n, np.int64)
        self.backward = np.zeros(n, np.int64)
        self.forward_shared = 0
        self.open = np.ones(n, np.bool_)
        self.notes: list[str] = []
        self.verify_forward = np.zeros(n, np.int64)
        self.unscored: set[int] = set()
        """Rows of which some picture got no finite scores or gradient: it counts as no success."""
        self.threshold = 0.0
        """Confidence (in its target, or in any class where there is no goal) that a picture must
        reach as well to count as a success; of targeted attacks and those without a goal. Where the
        victim gives labels alone there is none to reach."""
        self._judged: dict[int, Verdict] = {}
        self._began = time.perf_counter()
        if trace is not None:
            trace.begin(n, shape)
        left = scorer.left
        if left is not None and left < n:
            raise BudgetError(
                f"the query budget has {left} images left, but judging {n} results alone takes {n}"
            )

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def targeted(self) -> bool:
        """Whether every image has a target."""
        return bool((self.targets != NONE).all()) and len(self) > 0

    def rng(self, row: int, draw: int = 0) -> np.random.Generator:
        """A generator of its own for (seed, image, draw)."""
        return generator(self.seed, Stream.ATTACK, int(self.ids[row]), draw)

    def rows(self) -> Rows:
        """All N rows, (N,)."""
        return np.arange(len(self))

    def gradients(
        self,
        rows: Rows,
        images: UInt8Images | FloatImages,
        loss: Loss,
        *,
        unless_fooled: bool = False,
        wanted: Wanted | None = None,
        lead: float = SLACK,
    ) -> Gradients:
        """`Scorer.gradients` of `images`, which are versions of the images of `rows`.

        Args:
            rows: (n,), the rows of this job that the images belong to.
            images: n x C x H x W, uint8, or float32 on [0, 1].
            loss: gets outputs (n x classes) and *rows of this job* (n,), and returns n losses, or n
                x K for K gradients an image.
            unless_fooled: take no gradient of images that fool already (`Gradients.wanted` says
                which were taken); a traced attack is to go on, and takes them.
            wanted: or a rule of the attack's own: gets the same and returns n booleans.
            lead: margin above which an image counts as fooling here.

        Raises:
            BudgetSpent: the budget has not enough left.
        """
        import torch

        self._reserve(len(rows))
        images = self.confined(rows, images)
        index = torch.from_numpy(rows)

        def own(outputs: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
            return loss(outputs, index.to(part.device)[part])

        def rule(outputs: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
            at = index.to(part.device)[part]
            return wanted(outputs, at) if wanted else ~self.goal.fooled(outputs, at, lead)

        chosen = rule if (unless_fooled and self.trace is None) or wanted else None
        result = self.scorer.gradients(images, own, wanted=chosen, keep_unscored=True)
        if self.mask is not None:
            result.values[..., ~self.mask] = 0
        self.unscored |= set(rows[result.lost].tolist())
        crops, passes = self.scorer.classifier.crops, self.scorer.classifier.passes
        each = result.loss.shape[1] if result.loss.ndim == 2 else 1
        np.add.at(self.forward, rows, passes)
        if self.trace is not None:
            victim = self.scorer.classifier
            averaged = crops > 1  # then they are the logarithms of averaged confidences
            output = "log_probs" if averaged else victim.output
            link = "identity" if averaged else victim.link
            self._note(rows, images, to_scores(result.outputs, output, link, 1))
        np.add.at(self.backward, rows[result.wanted], passes * each)
        return result

    def differentiable(self, rows: Rows) -> Callable[[torch.Tensor], torch.Tensor]:
        """`Scorer.differentiable` for code that sends versions of `rows`, once or many times.

        Its passes are booked evenly on the rows, since that code does not tell which image belongs
        to which row.
        """
        import torch

        outputs_of = self.scorer.differentiable(keep_unscored=True)
        passes = self.scorer.classifier.passes

        def booked(x: torch.Tensor) -> torch.Tensor:
            own = np.resize(rows, len(x))
            self._reserve(len(x))
            if self.mask is not None:
                behind = torch.from_numpy(self.start[own]).to(x)
                x = torch.where(torch.tensor(self.mask, device=x.device), x, behind)
            outputs = outputs_of(x)
            np.add.at(self.forward, own, passes)

            def count(_: torch.Tensor) -> None:
                np.add.at(self.backward, own, passes)

            if outputs.requires_grad:
                outputs.register_hook(count)  # type: ignore[no-untyped-call]
            return outputs

        return booked

    def scores(self, rows: Rows, images: UInt8Images | FloatImages) -> Scores:
        """`Scorer.score` of `images`, which are versions of `rows`; raises as `gradients`."""
        self._reserve(len(rows))
        images = self.confined(rows, images)
        result = self._score(rows, images)
        np.add.at(self.forward, rows, self.scorer.classifier.passes)
        self._note(rows, images, result)
        return result

    def labels_of(self, rows: Rows, images: UInt8Images | FloatImages) -> Labels:
        """`Scorer.labels` of `images`, which are versions of `rows`; raises as `gradients`."""
        self._reserve(len(rows))
        labels = self.scorer.labels(self.confined(rows, images))
        np.add.at(self.forward, rows, self.scorer.classifier.passes)
        return labels

    def on_lattice(self, rows: Rows) -> UInt8Images:
        """The current pictures of `rows`: of `pixels`, else `x` rounded towards the clean ones."""
        pixels = toward(self.x[rows], self.clean[rows])
        for i, row in enumerate(rows.tolist()):
            if row in self.pixels:
                pixels[i] = self.pixels[row]
        return pixels if self.mask is None else np.where(self.mask, pixels, self.clean[rows])

    def confined(self, rows: Rows, images: UInt8Images | FloatImages) -> UInt8Images | FloatImages:
        """`images`, which are versions of `rows`, with the clean pictures outside the mask.

        Args:
            rows: (n,), the rows of this job that the images belong to.
            images: n x C x H x W, uint8, or float32 on [0, 1].
        """
        if self.mask is None:
            return images
        behind = self.clean if images.dtype == np.uint8 else self.start
        inside: UInt8Images | FloatImages = np.where(self.mask, images, behind[rows])
        return inside

    @property
    def free(self) -> int:
        """Values of a picture that may change: all, or those inside the mask."""
        channels, height, width = self.clean.shape[1:]
        pixels = height * width if self.mask is None else int(self.mask.sum())
        return int(channels * pixels)

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the smallest rectangle that holds all that may change."""
        if self.mask is None:
            return slice(0, self.clean.shape[2]), slice(0, self.clean.shape[3])
        return bounds(self.mask)

    def check(self, rows: Rows) -> NDArray[np.bool_]:
        """Judge the current pictures of `rows`: (n,), whether each is a success.

        The queries count as verifying, and a picture is not judged twice: whoever changes a row's
        `x` or `pixels` afterwards calls `touch`.
        """
        fresh = np.array([row for row in rows.tolist() if row not in self._judged], np.int64)
        if len(fresh):
            self._count_verifying(fresh)
            self._judged.update(self._verdicts(fresh, self.on_lattice(fresh)))
        verdicts = [self._judged[row] for row in rows.tolist()]
        labels = np.array([v.label for v in verdicts], np.int64)
        return self._success(rows, labels, np.array([v.decisive for v in verdicts]))

    def hits(self, rows: Rows, scores: Scores) -> NDArray[np.bool_]:
        """Whether pictures of `rows` with these scores would be successes, (n,)."""
        labels, own, sought = self._columns(rows, scores)
        return self._success(rows, labels, np.where(np.isnan(sought), own, sought))

    def touch(self, rows: Rows) -> None:
        """Forget the judgement of rows that have changed."""
        for row in rows.tolist():
            self._judged.pop(row, None)

    def renew(self, rows: Rows) -> None:
        """`touch`, before rows that have been judged change again.

        Raises:
            BudgetSpent: nothing would be left to judge them anew; the judgements are kept.
        """
        self._reserve(sum(row in self._judged for row in rows.tolist()))
        self.touch(rows)

    def known(self, rows: Rows, scores: Scores) -> None:
        """Judge `rows` by these scores of exactly their current pictures, without new queries."""
        self._judged.update(self._read(rows, scores))

    def result(
        self, name: str, eps: float | None, norm: Norm, notes: Sequence[str] = ()
    ) -> AttackResult:
        """Judge what has not been judged and hand everything back."""
        rows = self.rows()
        self.x = self.confined(rows, self.x).astype(np.float32, copy=False)
        pixels = self.on_lattice(rows)
        success = self.check(rows)
        verdicts = [self._judged[row] for row in rows.tolist()]
        predicted = np.array([v.label for v in verdicts], np.int64)
        # floats that only miss the picture's levels by rounding are the picture: not scored twice
        differ = (np.abs(to_float(pixels) - self.x) > FUZZ / 255).any(axis=(1, 2, 3))
        predicted_float, success_float = predicted.copy(), success.copy()
        if self.scorer.classifier.predict is None and differ.any():
            try:
                # white boxes all give scores
                floats = self._score(rows[differ], self.x[differ])
                self._count_verifying(rows[differ])
                predicted_float[differ] = floats.labels
                success_float[differ] = self.hits(rows[differ], floats)
            except BudgetError:
                self.open |= differ
                self.notes.append("no budget was left to score the float images too")
        elif differ.any():
            self.x = to_float(pixels)  # a black box sees pictures only
        if self.unscored:
            self.notes.append(
                "the victim gave non-finite scores or gradients for pictures of"
                f" {len(self.unscored)} of {len(self)} images; none of these counts as a success"
            )
        if self.open.any():
            self.notes.append(
                f"the query budget ended with {int(self.open.sum())} of {len(self)} images"
                " unfinished; they are kept as they were then"
            )
        return AttackResult(
            attack=name,
            clean=self.clean,
            pixels=pixels,
            images_float=self.x,
            labels=self.labels,
            targets=self.targets,
            predicted=predicted,
            predicted_float=predicted_float,
            confidence=np.array([v.confidence for v in verdicts]),
            sought_confidence=np.array([v.sought_confidence for v in verdicts]),
            success=success,
            success_float=success_float,
            complete=~self.open,
            eps=eps,
            effective_eps=None if eps is None else effective_eps(eps, norm),
            forward_each=self.forward,
            backward_each=self.backward,
            forward_shared=self.forward_shared,
            verify_each=self.verify_forward,
            seconds=time.perf_counter() - self._began,
            notes=(*notes, *self.notes),
        )

    def _success(
        self, rows: Rows, labels: Labels, confidence: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        hit = self.goal.success(labels, rows, confidence)
        if self.threshold > 0 and self.scorer.classifier.output != "label":
            hit &= confidence >= self.threshold
        return hit

    def _verdicts(self, rows: Rows, pixels: UInt8Images) -> dict[int, Verdict]:
        if self.scorer.classifier.output == "label":
            nan = float("nan")
            return {
                row: Verdict(label, nan, nan)
                for row, label in zip(
                    rows.tolist(), self.scorer.labels(pixels).tolist(), strict=True
                )
            }
        found = self._score(rows, pixels)
        self._note(rows, pixels, found)
        return self._read(rows, found)

    def _note(self, rows: Rows, images: UInt8Images | FloatImages, scores: Scores) -> None:
        """Show the trace those of `images` that are pictures; they are booked already."""
        if self.trace is None:
            return
        levels = images if images.dtype == np.uint8 else images * np.float32(255)
        near = np.rint(levels)
        whole = (np.abs(levels - near) <= FUZZ).all(axis=(1, 2, 3))
        at = np.arange(len(rows)), np.maximum(self.goal.sought[rows], 0)
        now = self.forward + 2 * self.backward + self.verify_forward
        costs = running_costs(rows, now, self.scorer.classifier.passes)
        self.trace.saw(
            rows[whole], near[whole].astype(np.uint8), scores.log_odds[at][whole], costs[whole]
        )

    def _score(self, rows: Rows, images: UInt8Images | FloatImages) -> Scores:
        """`Scorer.score`; rows without scores are noted, and no success."""
        scores = self.scorer.score(images, keep_unscored=True)
        self.unscored |= set(rows[~scores.scored].tolist())
        return scores

    def _read(self, rows: Rows, scores: Scores) -> dict[int, Verdict]:
        columns = (column.tolist() for column in self._columns(rows, scores))
        return {row: Verdict(*values) for row, *values in zip(rows.tolist(), *columns, strict=True)}

    def _columns(
        self, rows: Rows, scores: Scores
    ) -> tuple[Labels, NDArray[np.float64], NDArray[np.float64]]:
        """First answers, confidence in these, and in the class sought (NaN where none is)."""
        confidence, labels = scores.confidence, scores.labels
        sought = self.goal.sought[rows]
        own = np.take_along_axis(confidence, labels[:, None], 1)[:, 0]
        wanted = np.take_along_axis(confidence, np.maximum(sought, 0)[:, None], 1)[:, 0]
        return labels, own, np.where(sought == NONE, np.nan, wanted)

    def _count_verifying(self, rows: Rows) -> None:
        np.add.at(self.verify_forward, rows, self.scorer.classifier.passes)

    def _reserve(self, n: int) -> None:
        """Keep one query for each result that is not judged yet."""
        left = self.scorer.left
        if left is None:
            return
        needed = len(self) - len(self._judged)
        if n + needed > left:
            raise BudgetSpent("the query budget is spent")


def _classes(given: ArrayLike | None, n: int, classes: int, what: str) -> Labels:
    if given is None:
        return np.full(n, NONE, np.int64)
    array = np.asarray(given)
    if array.shape != (n,) or not np.issubdtype(array.dtype, np.integer):
        raise UsageError(
            f"{what} must be {n} integers, one per image, not {array.dtype} of shape {array.shape}"
        )
    if array.size and not (array.min() >= 0 and array.max() < classes):
        wrong = int(array.min() if array.min() < 0 else array.max())
        raise UsageError(f"{what}: {wrong} is not one of the victim's classes 0..{classes - 1}")
    return array.astype(np.int64)
