"""Nets that answer as a service does: the likeliest classes with their confidences, or the first
class alone.

The services that competitions and companies put before a net tell this much, so attacks can be
judged by what they reach against it, and against the net itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier
from evofool.classifiers.build import from_predict
from evofool.errors import ClassifierError
from evofool.images import UInt8Images, to_float

if TYPE_CHECKING:
    from torch import nn

Answers: TypeAlias = int | Literal["label"]


def with_answers(classifier: Classifier, answers: Answers | None) -> Classifier:
    """The same net as a black box that tells less.

    >>> service = with_answers(evofool.load_classifier("gtsrb-cnn"), 5)

    It is asked as a predict function is: its probe counts, and gradients are not to be had. With a
    number of classes its output is ``topk``; which of equals are listed goes by their index.

    Args:
        classifier: a net with weights.
        answers: classes that are listed, ``label`` for the first class alone, None for all.

    Raises:
        ClassifierError: a victim without weights here, with crops or several nets, or a number that
            lists all classes.
    """
    if answers is None:
        return classifier
    name = f"classifier {classifier.name}: answers"
    if classifier.module is None or classifier.crops > 1 or classifier.passes > 1:
        raise ClassifierError(
            f"{name}: are of one net on this machine, without crops, an ensemble or transforms;"
            " leave answers away (a predict function tells what it tells: output: topk or label)"
        )
    if classifier.multi_label:
        raise ClassifierError(
            f"{name}: a class that is not listed would count as not claimed (task: multi-label),"
            " though the net may claim it; leave answers away"
        )
    if answers != "label" and answers >= classifier.n_classes:
        raise ClassifierError(
            f"{name}: {answers} of {classifier.n_classes} classes is all of them; list fewer, or"
            " leave answers away"
        )
    service = from_predict(
        _Service(classifier.module, classifier, answers),
        input_shape=classifier.input_shape,
        name=classifier.name,
        labels=classifier.labels,
        output="label" if answers == "label" else "topk",
        resize=classifier.resize,
        preprocessing=classifier.preprocessing,
        source=classifier.source,
    )
    told = "label alone" if answers == "label" else f"top {answers}"
    return dataclasses.replace(
        service,
        digest=hashlib.sha256(f"answers {classifier.digest} {answers}".encode()).hexdigest(),
        old_digest=None,
        title=f"{classifier.headline}, {told}",
        reject=classifier.reject,
    )


class _Service:
    """The predict function."""

    def __init__(self, module: nn.Module, classifier: Classifier, answers: Answers) -> None:
        self._module, self._answers = module, answers
        self._output, self._link = classifier.output, classifier.link

    def __call__(self, images: UInt8Images) -> NDArray[np.generic]:
        import torch

        from evofool.classifiers.nets.ensemble import tensor_log_odds

        with torch.inference_mode():
            outputs = self._module(torch.from_numpy(to_float(images)))
            p = tensor_log_odds(outputs.double(), self._output, self._link).sigmoid().numpy()
        order = np.argsort(-p, axis=1, kind="stable")
        if self._answers == "label":
            return order[:, 0].astype(np.int64)
        told = np.full_like(p, np.nan)
        listed = order[:, : self._answers]
        np.put_along_axis(told, listed, np.take_along_axis(p, listed, 1), 1)
        return told
