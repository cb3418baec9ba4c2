"""The gate every victim passes once, when it is loaded: does it behave as a classifier?

Afterwards the rest of evofool trusts its outputs' shape, and the Scorer watches finiteness.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Output, Predict
from evofool.classifiers.checks.answers import ONE_VALUE, owned
from evofool.classifiers.checks.blame import blamed
from evofool.classifiers.checks.defaults import DEFAULTS
from evofool.classifiers.checks.locks import CallLock
from evofool.classifiers.checks.probe_pictures import probe_pictures
from evofool.classifiers.labels import check_labels
from evofool.classifiers.sources.onnx_feed import OnnxFeed
from evofool.errors import ClassifierError, ScoringError
from evofool.images import Shape, UInt8Images, to_float

if TYPE_CHECKING:
    from torch import nn

ProbeLevel: TypeAlias = Literal["none", "small", "full"]
"""How thoroughly a victim is tested at load: not at all; with at most `SMALL` pictures; or also in
other orders, other batch shapes and by several threads at once."""

SMALL = 8
"""Most pictures of a ``small`` probe: a service may be paid by the picture."""
THREADS = 4

_TOLERANCE = 1e-2
"""Of the largest score: batch shapes change the last bits (of bfloat16 too), batch statistics or
dropout change far more."""
_SUM_TOLERANCE = 5e-3
"""How far from 1 a row of probabilities may sum (1000 of them in float16)."""


@dataclass(frozen=True)
class Probed:
    """What the probe learnt.

    Attributes:
        n_classes: columns of the outputs.
        output: as given, or as the values show.
        pictures: how many the victim was sent.
    """

    n_classes: int
    output: Output
    pictures: int


def probe(classifier: Classifier, level: ProbeLevel | None = None) -> Probed:
    """Runs a victim on a few images and checks what it gives.

    Args:
        classifier: the victim.
        level: by default ``small`` for a predict function, else ``full``.

    Raises:
        ClassifierError: it fails, or gives no finite matrix of N x classes, or other values the
            second time, or values that depend on the rest of the batch, on the order of requests
            or on other threads, or values that cannot be what `output` names, or another number of
            classes than labels.
    """
    given = [classifier.module, classifier.onnx, classifier.predict]
    if sum(kind is not None for kind in given) != 1:
        raise ClassifierError(
            f"classifier {classifier.name}: exactly one of module, onnx and predict must be set"
        )
    check_labels(classifier.labels, f"classifier {classifier.name}")
    shape = classifier.input_shape
    if classifier.crop_size is not None:
        shape = (shape[0], classifier.crop_size, classifier.crop_size)
    return probe_source(
        classifier.name,
        shape,
        classifier.output,
        n_labels=len(classifier.labels),
        module=classifier.module,
        onnx=classifier.onnx,
        feed=classifier.feed,
        predict=classifier.predict,
        level=level,
        lock=classifier.lock,
    )


def probe_source(
    name: str,
    input_shape: Shape,
    output: Output | None,
    *,
    n_labels: int | None,
    module: nn.Module | None = None,
    onnx: Path | None = None,
    feed: OnnxFeed | None = None,
    predict: Predict | None = None,
    level: ProbeLevel | None = None,
    lock: CallLock | None = None,
) -> Probed:
    """As `probe`, for the parts of a victim whose labels may not have been determined yet.

    With `output` None the values decide whether these are logits or probabilities.
    """
    run: Callable[[UInt8Images], object]
    if module is not None:
        run = _module_runner(module, lock or CallLock())
    elif onnx is not None:
        run = onnx_runner(onnx, name, feed or OnnxFeed())
    elif predict is not None:
        run = predict
    else:
        raise ClassifierError(f"classifier {name}: there is nothing to run")
    if level == "none":
        if n_labels is None:
            raise ClassifierError(
                f"classifier {name}: without a probe, its number of classes is unknown; set labels"
            )
        return Probed(n_labels, output or "logits", 0)
    call = _Call(name, run, output, n_labels)
    pictures = probe_pictures(input_shape)
    if level == "small" or (level is None and predict is not None):
        first = _twice(call, pictures[[0, 5]], pictures[[1, 3]])
    else:
        first = _twice(call, pictures[:3], pictures[3:])
        if predict is None:
            _by_threads(call, pictures, first)
    call.check_sums(first)
    n_classes = n_labels if call.output == "label" else int(first.shape[1])
    assert n_classes is not None  # of labels alone the call has checked that they have names
    if n_labels is not None and n_classes != n_labels:
        raise ClassifierError(
            f"classifier {name}: gives {n_classes} classes but has {n_labels} labels; give one"
            " label per class, in the order of the outputs"
        )
    return Probed(n_classes, call.output or "logits", call.pictures)


def _twice(call: _Call, images: UInt8Images, others: UInt8Images) -> NDArray[np.float64]:
    """Scores of `images` and `others`, once the first image came out the same among the others."""
    first = call(images)
    second = call(np.concatenate([images[:1], others, images[:1]]))
    if _same(first[:1], second[:1]) and _same(first[:1], second[-1:]):
        return np.concatenate([first, second[1:-1]])
    if not _same(first, call(images)):
        raise ClassifierError(
            f"classifier {call.name}: gives different values for the same images the second"
            " time; switch off its dropout or other randomness, and anything that it keeps from"
            " earlier calls"
        )
    raise ClassifierError(
        f"classifier {call.name}: its result for an image depends on the other images of the"
        " batch; it must score each image by itself (does it use batch statistics in"
        " evaluation?)"
    )


def _by_threads(call: _Call, images: UInt8Images, expected: NDArray[np.float64]) -> None:
    """Refuses a victim whose answers get mixed up when several threads call it at once."""
    order = [slice(k, k + 1) for k in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda rows: call(images[rows]), order))
    # compared together: the scores of a black picture alone may all be next to nothing
    if not _same(expected[:THREADS], np.concatenate(answers)):
        raise ClassifierError(
            f"classifier {call.name}: gives different values when several threads call it at"
            " once; keep what forward stores in local variables or in self, or hand it over as"
            " a predict function, which only one thread at a time calls"
        )


class _Call:
    """One run of a victim with every check that needs only its result."""

    def __init__(
        self,
        name: str,
        run: Callable[[UInt8Images], object],
        output: Output | None,
        n_labels: int | None,
    ) -> None:
        self.name = name
        self.run = run
        self.output = output
        self.n_labels = n_labels
        self.pictures = 0
        if output == "label" and n_labels is None:
            raise ClassifierError(
                f"classifier {name}: gives only labels, so their names must be given: set labels"
            )

    def __call__(self, images: UInt8Images) -> NDArray[np.float64]:
        self.pictures += len(images)
        try:
            result = self.run(images.copy())  # a victim that writes into its input harms nobody
            array = owned(result, self.name)
        except ClassifierError:
            raise
        except ScoringError as error:
            what = str(error).removeprefix(self.name).strip()
            raise ClassifierError(f"classifier {self.name}: {what}") from error
        except (Exception, SystemExit) as error:
            raise blamed(error, self.name, images.shape) from error
        return self._check(array, len(images))

    def _check(self, array: NDArray[np.generic], count: int) -> NDArray[np.float64]:
        kind, scores = array.dtype.kind, array.astype(np.float64)
        if self.output == "label":
            return self._check_indices(scores, kind, count)
        if kind not in "fiu":
            raise ClassifierError(f"classifier {self.name}: gives {array.dtype}, not real numbers")
        if scores.ndim != 2 or scores.shape[0] != count or scores.shape[1] < 2:
            by = " x ".join(str(n) for n in scores.shape) or "a scalar"
            one = scores.shape in ((count,), (count, 1))
            raise ClassifierError(
                f"classifier {self.name}: gives {by} for {count} images, not {count} x classes"
                " (at least two classes); "
                + (ONE_VALUE if one else "return one row of scores per image")
                + (" (is it a net for detection or segmentation?)" if scores.ndim > 2 else "")
            )
        self._check_values(scores)
        return scores

    def _check_indices(
        self, scores: NDArray[np.float64], kind: str, count: int
    ) -> NDArray[np.float64]:
        if scores.shape != (count,) or kind not in "iu":
            raise ClassifierError(
                f"classifier {self.name}: output is 'label', so it must give {count} integers"
                f" for {count} images, not {scores.shape}"
            )
        if self.n_labels is not None and not ((scores >= 0) & (scores < self.n_labels)).all():
            raise ClassifierError(
                f"classifier {self.name}: gives labels outside 0 to {self.n_labels - 1}"
            )
        return scores

    def _check_values(self, scores: NDArray[np.float64]) -> None:
        known = scores
        if self.output == "topk":
            known = scores[~np.isnan(scores)]
        elif self.output in (None, "logits", "log_probs"):
            # -inf is a probability of 0: of a masked class, or of log 0
            known = scores[~np.isneginf(scores)]
        if not (np.isfinite(known).all() and (scores != -np.inf).any(axis=1).all()):
            raise ClassifierError(
                f"classifier {self.name}: gives NaN or infinite scores for ordinary images;"
                " are its weights and its normalisation right?"
            )
        if known.size == 0:
            return
        low, high = float(known.min()), float(known.max())
        if self.output in ("probs", "topk") and not (low >= -1e-6 and high <= 1 + 1e-4):
            raise ClassifierError(
                f"classifier {self.name}: output is {self.output!r} but its scores range from"
                f" {low:.3g} to {high:.3g}, outside [0, 1]; set output: logits?"
            )
        if self.output == "log_probs" and high > 1e-4:
            raise ClassifierError(
                f"classifier {self.name}: output is 'log_probs' but its scores reach {high:.3g},"
                " above 0; set output: logits?"
            )

    def check_sums(self, scores: NDArray[np.float64]) -> None:
        """Whether the rows are probabilities: another softmax on top of them would flatten them.

        Raises:
            ClassifierError: they are, but `output` is ``logits``.
        """
        if self.output not in (None, "logits"):
            return
        inside = bool((scores >= 0).all() and (scores <= 1 + 1e-4).all())
        if inside and np.abs(scores.sum(axis=1) - 1).max() <= _SUM_TOLERANCE:
            if self.output == "logits":
                raise ClassifierError(
                    f"classifier {self.name}: output is 'logits' but its scores are probabilities"
                    " (none below 0, each row sums to 1: it ends in a softmax); set output: probs"
                )
            self.output = "probs"
        elif inside:
            logging.getLogger("evofool").warning(
                "%s: all its scores for the probe lie on [0, 1] and are treated as logits; if"
                " they are confidences, set output: probs",
                self.name,
            )


def _same(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    if first.shape != second.shape:
        return False
    finite = np.abs(first[np.isfinite(first)])
    largest = float(finite.max(initial=0.0))
    return np.allclose(first, second, rtol=0, atol=_TOLERANCE * largest, equal_nan=True)


def _module_runner(module: nn.Module, lock: CallLock) -> Callable[[UInt8Images], object]:
    import torch

    from evofool.classifiers.checks.threads import ThreadModules

    modules = ThreadModules(module, lock)
    anchor = next(module.parameters(), None)
    device = torch.device("cpu") if anchor is None else anchor.device

    def run(images: UInt8Images) -> object:
        # no_grad, not inference_mode: a module that caches a tensor here must still give
        # gradients later.
        with DEFAULTS.use(), torch.no_grad(), modules.use() as own:
            result: Any = own(torch.from_numpy(to_float(images)).to(device))
            # copied before another thread's call may write into its memory
            return owned(result, "") if isinstance(result, torch.Tensor) else result

    return run


def onnx_runner(
    path: Path, name: str, feed: OnnxFeed
) -> Callable[[UInt8Images], NDArray[np.generic]]:
    """A graph as a function of images: uint8 N x C x H x W to its scores, N x classes.

    Raises:
        ClassifierError: onnxruntime cannot load it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # its warnings would go to the terminal
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own exceptions share no public base
        line = (str(error).splitlines() or [""])[0]
        raise ClassifierError(
            f"classifier {name}: onnxruntime cannot load {path} ({line})"
        ) from error

    return lambda images: feed.run(session, images)
