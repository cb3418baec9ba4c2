"""Victims behind transforms: every picture is seen k times over, each time as a camera may see it.

Their digest covers the transforms, so that a run goes on, and a stored score is compared, only
under the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from evofool.classifiers.base import Classifier, Onto, Transformed
from evofool.classifiers.transforms.onto import load_onto
from evofool.config.transforms import TransformsConfig
from evofool.errors import ClassifierError


def with_transforms(
    classifier: Classifier, transforms: TransformsConfig | None, *, base: Path | None = None
) -> Classifier:
    """The same victim behind transforms of every picture.

    >>> victim = with_transforms(victim, TransformsConfig(k=8, perspective=0.07, rotation=(-9, 9)))

    Its log-odds are those of the k answers combined, in float64: of their mean probability, their
    mean log-odds, or the least of them. With one transform it gives what the net gives.

    Args:
        classifier: a net or an ensemble of nets on this machine.
        transforms: what is done, None for nothing.
        base: folder that relative paths of `onto` start from; by default the working directory.

    Raises:
        ClassifierError: a predict function (which may be a service that is paid by the picture), a
            victim that gives no full scores, one with ten crops, or one behind transforms already;
            pictures of `onto` that are missing or damaged.
    """
    if transforms is None:
        return classifier
    name = f"classifier {classifier.name}"
    if classifier.transformed is not None:
        raise ClassifierError(f"{name}: already has transforms; give one list of them")
    if classifier.output in ("label", "topk"):
        raise ClassifierError(
            f"{name}: transforms combine scores of all classes, which a victim with output"
            f" {classifier.output!r} does not give; remove transforms"
        )
    if classifier.metered:
        raise ClassifierError(
            f"{name}: is a predict function, which may be a service that charges per picture,"
            f" and transforms would send it each picture {transforms.k} times; remove"
            " transforms, or use a net on this machine"
        )
    if classifier.crops > 1:
        raise ClassifierError(f"{name}: averages ten crops; set crops: 1 to use transforms")
    k, single = transforms.k, transforms.k == 1
    onto = load_onto(transforms, classifier, Path.cwd() if base is None else base)
    victim = dataclasses.replace(
        classifier,
        digest=_digest(classifier, transforms, onto),
        old_digest=None,
        output=classifier.output if single else "logits",
        link=classifier.link if single else "sigmoid",
        module=None,
        onnx=None,
        ensemble=None,
        title=f"{classifier.headline} under {k} transform{'' if single else 's'}",
        transformed=Transformed(classifier, transforms, onto),
    )
    if not classifier.white_box:
        return victim
    from evofool.classifiers.nets.transformed import TransformedModule

    return dataclasses.replace(victim, module=TransformedModule(victim).eval())


def untransformed(classifier: Classifier) -> Classifier:
    """The net behind the transforms, or `classifier` itself where there are none."""
    return classifier if classifier.transformed is None else classifier.transformed.net


def _digest(classifier: Classifier, transforms: TransformsConfig, onto: Onto | None) -> str:
    content = json.dumps(transforms.result, sort_keys=True)
    if onto is not None:
        content += onto.digest
    return hashlib.sha256(f"transforms {classifier.digest} {content}".encode()).hexdigest()
