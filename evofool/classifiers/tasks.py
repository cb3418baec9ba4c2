"""Nets whose answers are not one class of several: several classes at once, or yes and no."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Link, Output, Predict
from evofool.classifiers.checks.answers import not_one
from evofool.errors import ClassifierError
from evofool.images import UInt8Images

if TYPE_CHECKING:
    from torch import nn

Task: TypeAlias = Literal["binary", "multi-label"]

CLAIMED = 0.5
"""Confidence above which a net whose classes do not exclude each other claims a class."""


def with_task(classifier: Classifier, task: Task | None) -> Classifier:
    """`classifier` as one whose classes do not exclude each other, with `task` ``multi-label``.

    >>> tagger = with_task(evofool.load_classifier("tagger.pt2"), "multi-label")

    Its confidence in a class is the sigmoid of the class's logit, and it claims every class of
    which it is surer than a half. So an attack succeeds once the label is no longer claimed, or the
    target is; the first class is still the surest.

    Raises:
        ClassifierError: an ensemble, ten crops, transforms, or outputs that are no confidences of
            each class for itself.
    """
    if task != "multi-label":
        return classifier
    name = f"classifier {classifier.name}: task: multi-label"
    if classifier.passes > 1 or classifier.transformed is not None:
        raise ClassifierError(
            f"{name} is of one net, without crops, an ensemble or transforms; leave these away"
        )
    if classifier.output not in ("logits", "probs") or classifier.reject is not None:
        raise ClassifierError(
            f"{name} needs a logit or a confidence of every class, not output"
            f" {classifier.output!r}; set output: logits or probs"
        )
    link: Link = "sigmoid" if classifier.output == "logits" else "identity"
    return dataclasses.replace(classifier, link=link, multi_label=True)


def two_classes(module: nn.Module, output: Output | None, task: Task | None) -> nn.Module:
    """`module` as a net of two classes, with `task` ``binary``: no and yes.

    Args:
        module: images to one value each, N or N x 1.
        output: ``probs`` where the value is a confidence; by default it is a logit.
        task: whether it is such a net at all; if not, it is what is returned.
    """
    if task != "binary":
        return module
    from evofool.classifiers.nets.one_logit import TwoClasses

    return TwoClasses(module, output == "probs")


def two_predicted(predict: Predict, output: Output, task: Task | None) -> Predict:
    """As `two_classes`, of a predict function."""
    return predict if task != "binary" else _Two(predict, output == "probs")


@dataclass(frozen=True)
class _Two:
    """A predict function of one value a picture, as one of two classes."""

    predict: Predict
    confidences: bool

    def __call__(self, images: UInt8Images) -> NDArray[np.generic]:
        """`images`, uint8 N x C x H x W, to N x 2."""
        answer: Any = self.predict(images)
        values = np.asarray(answer, np.float64)
        if values.size != len(images):
            raise ClassifierError(not_one(values.shape))
        yes = values.reshape(-1)
        no = 1 - yes if self.confidences else np.zeros_like(yes)
        return np.stack([no, yes], axis=1)
