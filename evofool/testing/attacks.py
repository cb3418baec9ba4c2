"""Whether an attack keeps the contract of `evofool.attacks.Attack`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evofool.attacks import Attack, AttackResult
from evofool.attacks.gradient.losses import Goal
from evofool.attacks.lattice.levels import FUZZ, on_lattice
from evofool.attacks.registry import describe
from evofool.attacks.result import NONE
from evofool.classifiers import Classifier, load_classifier
from evofool.errors import AttackError, BudgetError, ImageError
from evofool.images import UInt8Images, to_float
from evofool.scoring import Scorer
from evofool.testing.faults import ConformanceError, Faults
from evofool.testing.victim import Counter, boundary_images, counted, small_net

BETWEEN = 1e-3
"""Confidences and margins nearer than this may be told either way by two engines."""

_NO_IMAGES = "its float images are not images on [0, 1]"
_CLIP = "clip: job.x = np.clip(x, 0, 1).astype(np.float32), and look for NaN"
_JOB = "reach the victim only through the job: job.gradients, job.scores, job.labels_of"


def check_attack(
    attack: Attack | type[Attack] | str,
    classifier: Classifier | str | None = None,
    images: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    seed: int = 0,
) -> None:
    """Test that what an attack reports is true, and depends on nothing that it must not.

    That is: pictures are 8-bit, inside the ball, and fool where it says so when they are scored
    again; every pass through the victim is counted; targets are heeded; results depend neither on
    the other images of a call nor on their order, and are the same again; a budget ends it in good
    order.

    It is run about ten times, one image at a time, so give it few steps.

    Args:
        attack: with its parameters; or its class or name (``path/to/file.py:Class``), which then
            takes its defaults.
        classifier: the victim; by default a small smooth net that anything can attack.
        images: N x C x H x W of the victim's shape, uint8 (or floats on the lattice k/255), at
            least four; by default six noise pictures near the victim's decision boundaries.
        labels: (N,) integers, classes to get away from; by default the victim's own answers.
        seed: of the default images.

    Raises:
        ConformanceError: it does not conform; the error lists every fault with its mend.
    """
    name = attack if isinstance(attack, str) else getattr(attack, "name", repr(attack))
    faults = Faults(f"attack {name}")
    made = _made(faults, attack)
    victim = load_classifier(classifier) if isinstance(classifier, str) else classifier
    victim = victim or small_net()
    given = boundary_images(victim, seed) if images is None else on_lattice(images)
    with Scorer(victim, workers=1) as scorer:
        own = scorer.labels(given) if labels is None else np.asarray(labels, np.int64)
    _Attack(faults, made, victim, given, own).check()
    faults.stop_if_any()


def _made(faults: Faults, attack: Any) -> Attack:
    made = attack
    with faults.expecting("it cannot be made with its defaults", "give every parameter a default"):
        try:
            if isinstance(attack, str):
                made = describe(attack).factory()
            elif isinstance(attack, type):
                made = attack()
        except AttackError as error:
            faults.add("it cannot be loaded", str(error), "see the message above")
    faults.stop_if_any()
    if not isinstance(made, Attack):
        faults.add(
            f"{type(made).__name__} is not an attack", "", "derive it from evofool.attacks.Attack"
        )
    faults.stop_if_any()
    built: Attack = made
    return built


@dataclass(frozen=True)
class _Case:
    """One call of the attack: what was handed in, what came back, and what it cost."""

    result: AttackResult
    images: UInt8Images
    labels: NDArray[np.int64]
    targets: NDArray[np.int64] | None
    forward: int
    backward: int
    queries: int
    seen: int | None
    """Images that the net itself was sent; None where nobody counts there."""


class _Attack:
    def __init__(
        self,
        faults: Faults,
        attack: Attack,
        victim: Classifier,
        images: UInt8Images,
        labels: NDArray[np.int64],
    ) -> None:
        self.faults = faults
        self.attack = attack
        self.victim = victim
        self.images = images
        self.labels = labels
        self.counter = Counter()
        self.counted = counted(victim, self.counter)

    def check(self) -> None:
        aim = self.attack.aim
        goals: list[NDArray[np.int64] | None] = []
        if aim in ("untargeted", "both", "any"):
            goals.append(None)
        if aim in ("targeted", "both"):
            goals += [self._others(1), self._others(2)]
        cases = [self._case(targets) for targets in goals]
        done = [case for case in cases if case is not None]
        self.faults.stop_if_any()
        for case in done:
            self._pictures(case)
            self._claims(case)
            self._counts(case)
        self._targets(done)
        self._again(done[-1])
        if not self.attack.whole:
            self._alone(done[-1])
        self._budget(done[-1])

    def _others(self, by: int) -> NDArray[np.int64]:
        """Targets: a class of those that are not the image's own (nor the one for no answer)."""
        targets = []
        for label in self.labels.tolist():
            own = (label, self.victim.reject)
            others = [c for c in range(self.victim.n_classes) if c not in own]
            targets.append(others[(label + by) % len(others)])
        return np.array(targets, np.int64)

    def _run(
        self,
        targets: NDArray[np.int64] | None,
        rows: NDArray[np.int64] | None = None,
        budget: int | None = None,
    ) -> _Case:
        rows = np.arange(len(self.images)) if rows is None else rows
        images, labels = self.images[rows], self.labels[rows]
        own = None if targets is None else targets[rows]
        # one image in each call of the net: its sums do not depend on the others then
        with Scorer(self.counted, workers=1, batch=1, budget=budget, **self._engine()) as scorer:
            self.counter.images = 0
            result = self.attack(scorer, images, labels, targets=own, ids=rows)
            return _Case(
                result, self.images[rows], labels, own, scorer.forward_images,
                scorer.backward_images, scorer.queries,
                self.counter.images if self.counted.onnx is None else None,
            )  # fmt: skip

    def _engine(self) -> dict[str, Any]:
        return {"engine": "torch"} if self.victim.module is not None else {}

    def _case(self, targets: NDArray[np.int64] | None) -> _Case | None:
        case = None
        before = self.images.copy(), self.labels.copy()
        with self.faults.expecting(
            "it gives no result", "let craft work on job.x, and return None"
        ):
            try:
                first = self._run(targets)
            except ImageError as error:  # of the victim's scorer, when its results are judged
                self.faults.add(_NO_IMAGES, str(error), _CLIP)
                return None
            assert isinstance(first.result, AttackResult), (
                f"it returns a {type(first.result).__name__}, not an AttackResult"
            )
            case = first
        with self.faults.expecting(
            "it writes into the images it is given", "work on job.x, which is a copy"
        ):
            np.testing.assert_array_equal(self.images, before[0], "images after and before")
            np.testing.assert_array_equal(self.labels, before[1], "labels after and before")
        return case

    def _pictures(self, case: _Case) -> None:
        result = case.result
        n = len(case.images)
        with self.faults.expecting(
            "its result is of other images, labels or targets than it was given",
            "leave job.clean, job.labels and job.targets as they are",
        ):
            np.testing.assert_array_equal(result.clean, case.images, "clean images")
            wanted = np.full(n, NONE) if case.targets is None else case.targets
            np.testing.assert_array_equal(result.targets, wanted, "targets")
            if self.attack.aim != "any":
                np.testing.assert_array_equal(result.labels, case.labels, "labels")
        with self.faults.expecting(
            "its pictures do not lie on the 8-bit lattice",
            "put floats on [0, 1] into job.x (they are rounded for you), or uint8 into job.pixels",
        ):
            assert result.pixels.dtype == np.uint8, f"pixels are {result.pixels.dtype}, not uint8"
            assert result.pixels.shape == case.images.shape, f"shape: {result.pixels.shape}"
            np.testing.assert_allclose(
                result.images * 255, result.pixels, atol=FUZZ, err_msg="images * 255 and pixels"
            )
        with self.faults.expecting(_NO_IMAGES, _CLIP):
            floats = result.images_float
            assert floats.dtype == np.float32, f"they are {floats.dtype}, not float32"
            assert floats.shape == case.images.shape, f"shape: {floats.shape}"
            assert np.isfinite(floats).all(), f"{int((~np.isfinite(floats)).sum())} not finite"
            assert floats.min(initial=0) >= 0, f"the smallest is {floats.min():g}"
            assert floats.max(initial=0) <= 1, f"the largest is {floats.max():g}"
        if result.eps is not None:
            with self.faults.expecting(
                "it leaves its ball",
                "project onto the ball around job.start before clipping (see"
                " evofool.attacks.lattice.levels.project), and round towards the clean picture",
            ):
                norm = self.attack.norm_of
                eps = result.eps + 1e-6
                for what, sizes in (
                    ("pictures", _size(result.pixels, case.images, norm)),
                    ("float images", _size(result.images_float, case.images, norm)),
                ):
                    worst = float(np.nanmax(sizes, initial=0.0))
                    out = int((sizes > eps * (1 + 1e-5)).sum())
                    assert not out, (
                        f"{out} of {len(sizes)} {what} do, by up to {worst:.6g} in {norm}; eps is"
                        f" {result.eps:.6g}"
                    )

    def _claims(self, case: _Case) -> None:
        """What it says of its pictures, by a scorer of our own."""
        result = case.result
        mend = (
            "leave judging to the job; call job.touch(rows) after changing x of rows that were"
            " judged, and job.known only with scores of exactly the pictures in job.x or job.pixels"
        )
        if result.pixels.dtype != np.uint8 or result.pixels.shape != case.images.shape:
            return  # said already
        confidence = sure = None
        with Scorer(self.victim, workers=1, batch=1, **self._engine()) as scorer:
            if self.victim.output == "label":
                labels = scorer.labels(result.pixels)
            else:
                scores = scorer.score(result.pixels, keep_unscored=True)
                labels, confidence = scores.labels, scores.confidence
                top = np.sort(scores.log_odds, axis=1)
                sure = top[:, -1] - top[:, -2] > BETWEEN
        sure = np.ones(len(labels), np.bool_) if sure is None else sure
        with self.faults.expecting("it claims other answers than the victim gives", mend):
            np.testing.assert_array_equal(
                result.predicted[sure], labels[sure], "predicted, and the victim's answers"
            )
        if confidence is not None:
            with self.faults.expecting("it claims other confidences than the victim's", mend):
                own = np.take_along_axis(confidence, labels[:, None], 1)[:, 0]
                np.testing.assert_allclose(
                    result.confidence[sure], own[sure], atol=BETWEEN, err_msg="confidence"
                )
        with self.faults.expecting("it claims success for pictures that do not fool", mend):
            goal = Goal(self.victim, result.labels, result.targets)
            sure_of = None
            if confidence is not None:
                decisive = np.where(goal.sought == NONE, labels, goal.sought)
                sure_of = np.take_along_axis(confidence, decisive[:, None], 1)[:, 0]
            fools = goal.success(labels, np.arange(len(labels)), sure_of)
            if (least := self.attack.least_confidence) > 0 and sure_of is not None:
                fools &= sure_of >= least
                sure &= np.abs(sure_of - least) > BETWEEN
            np.testing.assert_array_equal(
                result.success[sure], fools[sure], "success, and what the victim says"
            )

    def _counts(self, case: _Case) -> None:
        result = case.result
        booked = result.forward_images + result.verify_forward_images
        with self.faults.expecting("images are sent to the victim that nobody counts", _JOB):
            if case.seen is not None:
                assert case.seen == case.forward, (
                    f"the net got {case.seen} images, its scorer counted {case.forward}"
                )
        with self.faults.expecting("passes are not booked on the images they are for", _JOB):
            assert booked == case.forward, (
                f"{booked} forward images are booked, the scorer counted {case.forward}"
            )
            assert result.backward_images == case.backward, (
                f"{result.backward_images} backward images are booked, the scorer counted"
                f" {case.backward}"
            )

    def _targets(self, cases: list[_Case]) -> None:
        """Whether another goal gives other pictures, where the first ones do not reach it."""
        if len(cases) < 2 or any(fault.what.startswith("it claims") for fault in self.faults.found):
            return
        first, other = cases[-2:] if self.attack.aim == "targeted" else (cases[0], cases[-1])
        targets = other.targets
        assert targets is not None
        # these had no reason to end as they are: they do not reach the other goal
        rows = np.flatnonzero(first.result.success & (first.result.predicted != targets))
        with self.faults.expecting(
            "it ignores its targets",
            "climb job.goal.loss(name, outputs, rows), or test job.hits(rows, scores): both heed"
            ' targets. An attack that cannot be aimed says aim: ClassVar[Aim] = "untargeted"',
        ):
            same = (first.result.pixels[rows] == other.result.pixels[rows]).all(axis=(1, 2, 3))
            assert len(rows) < 2 or not same.all(), (
                f"{len(rows)} of {len(first.images)} pictures are the same whatever it aims at,"
                " though they do not reach the target"
            )

    def _again(self, case: _Case) -> None:
        with self.faults.expecting(
            "it gives other pictures the second time",
            "draw every number from job.rng(row, draw), which is keyed by seed and image, and keep"
            " nothing from one call to the next",
        ):
            again = self._run(case.targets).result
            _assert_same(again, case.result, "the second and the first time")

    def _alone(self, case: _Case) -> None:
        if any("second time" in fault.what for fault in self.faults.found):
            return
        n = len(self.images)
        with self.faults.expecting(
            "the result of an image depends on the others, or on its place among them",
            "draw from job.rng(row, draw) rather than from one generator for all, work on each"
            " image by itself, or say whole: ClassVar[bool] = True",
        ):
            for rows in (np.arange(1), np.arange(1, n), np.arange(n)[::-1].copy()):
                part = self._run(case.targets, rows).result
                for name in ("pixels", "success", "forward_each"):
                    np.testing.assert_array_equal(
                        getattr(part, name),
                        getattr(case.result, name)[rows],
                        f"{name} of images {rows.tolist()} by themselves, and with all",
                    )

    def _budget(self, case: _Case) -> None:
        n = len(self.images)
        budget = n + 1
        if case.queries <= budget:
            return
        with self.faults.expecting(
            "a spent budget does not end it in good order",
            "let BudgetSpent of the job's methods pass through craft; do not catch it, and do not"
            " call the scorer yourself",
        ):
            try:
                cut = self._run(case.targets, budget=budget)
            except (BudgetError, ConformanceError) as error:
                raise AssertionError(f"{type(error).__name__}: {error}") from error
            assert cut.queries <= budget, f"{cut.queries} queries of {budget}"
            assert not cut.result.complete.all(), "every image is complete, which took more before"


def _size(images: NDArray[Any], clean: UInt8Images, norm: str) -> NDArray[np.float64]:
    """Sizes of N changes in a norm, images on [0, 1]."""
    floats = to_float(images) if images.dtype == np.uint8 else images
    change = np.abs(floats.astype(np.float64) - to_float(clean).astype(np.float64))
    change[change < FUZZ / 255] = 0.0
    flat = change.reshape(len(change), -1)
    sizes: NDArray[np.float64]
    if norm == "linf":
        sizes = flat.max(axis=1, initial=0.0)
    elif norm == "l2":
        sizes = np.sqrt((flat**2).sum(axis=1))
    elif norm == "l1":
        sizes = flat.sum(axis=1)
    else:
        sizes = (change > 0).any(axis=1).reshape(len(change), -1).sum(axis=1).astype(np.float64)
    return sizes - FUZZ / 255


def _assert_same(actual: AttackResult, wanted: AttackResult, what: str) -> None:
    np.testing.assert_array_equal(actual.pixels, wanted.pixels, f"pictures {what}")
    np.testing.assert_array_equal(actual.success, wanted.success, f"success {what}")
    np.testing.assert_array_equal(
        actual.forward_each, wanted.forward_each, f"forward images {what}"
    )
