"""Nets whose answers are not one class of several: several classes at once, or yes and no."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Link, Output, Predict
from evofool.classifiers.checks.answers import two_columns
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
        ClassifierError: an ensemble or a net behind transforms, whose nets have a task of their
            own; or outputs that are no confidences of each class for itself.
    """
    if task != "multi-label":
        return classifier
    name = f"classifier {classifier.name}: task: multi-label"
    if classifier.ensemble is not None or classifier.transformed is not None:
        raise ClassifierError(
            f"{name} belongs to a net, not to several or to one behind transforms; give it to each"
            " net of an ensemble, and before transforms"
        )
    if classifier.output not in ("logits", "probs") or classifier.reject is not None:
        raise ClassifierError(
            f"{name} needs a logit or a confidence of every class, not output"
            f" {classifier.output!r}; set output: logits or probs"
        )
    link: Link = "sigmoid" if classifier.output == "logits" else "identity"
    return dataclasses.replace(classifier, link=link, multi_label=True)


def check_binary(output: Output | None, link: Link | None, name: str) -> None:
    """Refuses options that contradict ``task: binary``.

    Raises:
        ClassifierError: an output that is neither a logit nor a confidence, or a `link`.
    """
    where = f"classifier {name}: task: binary"
    if output not in (None, "logits", "probs"):
        raise ClassifierError(
            f"{where} needs one logit or one confidence per picture, not output {output!r}; set"
            " output: logits or probs"
        )
    if link is not None:
        raise ClassifierError(
            f"{where} determines the link, which is the sigmoid of a logit; leave link away"
        )


def two_classes(module: nn.Module, output: Output | None) -> nn.Module:
    """`module`, which gives one value for each image (N or N x 1), as a net of two classes.

    Args:
        module: floating N x C x H x W to one value each.
        output: ``probs`` where the value is a confidence; by default it is a logit.
    """
    from evofool.classifiers.nets.one_logit import TwoClasses

    return TwoClasses(module, output == "probs")


def two_predicted(predict: Predict, output: Output) -> Predict:
    """As `two_classes`, of a predict function."""
    return _Two(predict, output == "probs")


@dataclass(frozen=True)
class _Two:
    """A predict function of one value a picture, as one of two classes."""

    predict: Predict
    confidences: bool

    def __call__(self, images: UInt8Images) -> NDArray[np.generic]:
        """`images`, uint8 N x C x H x W, to N x 2."""
        answer: Any = self.predict(images)
        return two_columns(np.asarray(answer, np.float64), len(images), self.confidences)
