"""The gate every victim passes once, when it is loaded: does it behave as a classifier?

Afterwards the rest of evofool trusts its outputs' shape, and the Scorer watches finiteness.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Output, Predict
from evofool.classifiers.onnx_feed import OnnxFeed
from evofool.errors import ClassifierError
from evofool.images import Shape, UInt8Images, to_float

if TYPE_CHECKING:
    from torch import nn

_TOLERANCE = 1e-2
"""Of the largest score: batch shapes change the last bits (of bfloat16 too), batch statistics or
dropout change far more."""


def probe(classifier: Classifier) -> int:
    """Runs a victim on a few images and checks what it gives; returns its number of classes.

    Raises:
        ClassifierError: it fails, or gives no finite matrix of N x classes, or other values the
            second time, or values that depend on the rest of the batch, or values that cannot be
            what `output` says, or another number of classes than labels.
    """
    given = [classifier.module, classifier.onnx, classifier.predict]
    if sum(kind is not None for kind in given) != 1:
        raise ClassifierError(
            f"classifier {classifier.name}: exactly one of module, onnx and predict must be set"
        )
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
    )


def probe_source(
    name: str,
    input_shape: Shape,
    output: Output,
    *,
    n_labels: int | None,
    module: nn.Module | None = None,
    onnx: Path | None = None,
    feed: OnnxFeed | None = None,
    predict: Predict | None = None,
) -> int:
    """As `probe`, for the parts of a victim whose labels may not be known yet."""
    run: Callable[[UInt8Images], object]
    if module is not None:
        run = _module_runner(module)
    elif onnx is not None:
        run = _onnx_runner(onnx, name, feed or OnnxFeed())
    elif predict is not None:
        run = predict
    else:
        raise ClassifierError(f"classifier {name}: there is nothing to run")
    images = _images(input_shape)
    call = _Call(name, run, output, n_labels)
    first = call(images)
    n_classes = n_labels if output == "label" else int(first.shape[1])
    if n_classes is None:
        raise ClassifierError(
            f"classifier {name}: gives labels only, so their names must be given: set labels"
        )
    if n_labels is not None and n_classes != n_labels:
        raise ClassifierError(
            f"classifier {name}: gives {n_classes} classes but has {n_labels} labels;"
            " give one label a class, in the order of the outputs"
        )
    if _same(first[:1], call(images[:1])):
        return n_classes
    if not _same(first, call(images)):
        raise ClassifierError(
            f"classifier {name}: gives other values for the same images the second time;"
            " switch off its dropout or other randomness"
        )
    raise ClassifierError(
        f"classifier {name}: what it gives for an image depends on the other images of the"
        " batch; it must score each image by itself (batch statistics in evaluation?)"
    )


class _Call:
    """One run of a victim with every check that needs only its result."""

    def __init__(
        self, name: str, run: Callable[[UInt8Images], object], output: Output, n_labels: int | None
    ) -> None:
        self.name = name
        self.run = run
        self.output = output
        self.n_labels = n_labels

    def __call__(self, images: UInt8Images) -> NDArray[np.float64]:
        try:
            result = self.run(images.copy())  # a victim that writes into its input harms nobody
        except ClassifierError:
            raise
        except Exception as error:
            by = " x ".join(str(n) for n in images.shape)
            line = (str(error).splitlines() or [""])[0]
            raise ClassifierError(
                f"classifier {self.name}: fails on a batch of {by} images"
                f" ({type(error).__name__}: {line}); is input_shape right?"
            ) from error
        return self._check(result, len(images))

    def _check(self, result: object, count: int) -> NDArray[np.float64]:
        if isinstance(result, tuple | list | dict):
            raise ClassifierError(
                f"classifier {self.name}: gives a {type(result).__name__}, not one matrix;"
                " wrap it so that it returns only the scores, N x classes"
            )
        try:
            array = np.asarray(result)
            kind = array.dtype.kind
            scores = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ClassifierError(
                f"classifier {self.name}: gives a {type(result).__name__}, not a matrix of numbers"
            ) from error
        if self.output == "label":
            return self._check_indices(scores, kind, count)
        if kind not in "fiu":
            raise ClassifierError(f"classifier {self.name}: gives {array.dtype}, not real numbers")
        if scores.ndim != 2 or scores.shape[0] != count or scores.shape[1] < 2:
            by = " x ".join(str(n) for n in scores.shape) or "a scalar"
            raise ClassifierError(
                f"classifier {self.name}: gives {by} for {count} images, not {count} x classes"
                " (two classes at least); return one row of scores an image"
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
        if not np.isfinite(known).all():
            raise ClassifierError(
                f"classifier {self.name}: gives NaN or infinite scores for ordinary images;"
                " are its weights and its normalisation right?"
            )
        if known.size == 0:
            return
        low, high = float(known.min()), float(known.max())
        if self.output in ("probs", "topk") and not (low >= -1e-6 and high <= 1 + 1e-4):
            raise ClassifierError(
                f"classifier {self.name}: output is {self.output!r} but its scores reach from"
                f" {low:.3g} to {high:.3g}, outside [0, 1]; set output: logits?"
            )
        if self.output == "log_probs" and high > 1e-4:
            raise ClassifierError(
                f"classifier {self.name}: output is 'log_probs' but its scores reach {high:.3g},"
                " above 0; set output: logits?"
            )


def _images(shape: Shape) -> UInt8Images:
    """Noise, black, and mid-grey: constant images find divisions by a deviation of zero."""
    noise = np.random.default_rng(20150608).integers(0, 256, size=shape, dtype=np.uint8)
    return np.stack([noise, np.zeros_like(noise), np.full_like(noise, 128)])


def _same(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    if first.shape != second.shape:
        return False
    largest = float(np.nanmax(np.abs(first), initial=0.0))
    return np.allclose(first, second, rtol=0, atol=_TOLERANCE * largest, equal_nan=True)


def _module_runner(module: nn.Module) -> Callable[[UInt8Images], object]:
    import torch

    anchor = next(module.parameters(), None)
    device = torch.device("cpu") if anchor is None else anchor.device

    def run(images: UInt8Images) -> object:
        # no_grad, not inference_mode: a module that caches a tensor here must still give
        # gradients later.
        with torch.no_grad():
            result: Any = module(torch.from_numpy(to_float(images)).to(device))
        return result.float().cpu().numpy() if isinstance(result, torch.Tensor) else result

    return run


def _onnx_runner(path: Path, name: str, feed: OnnxFeed) -> Callable[[UInt8Images], object]:
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
