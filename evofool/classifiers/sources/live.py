"""Victims that are Python objects: named in a config while they are at hand.

A config is text, also that in a run folder. So an object is named ``object:NAME`` there, and that
name can be loaded only inside ``with handed_over(victim)``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path

from evofool.classifiers.base import Classifier
from evofool.classifiers.spec import ClassifierSpec, Inspection
from evofool.errors import ClassifierError

PREFIX = "object:"
_AT_HAND: ContextVar[Mapping[str, Classifier]] = ContextVar("_AT_HAND", default={})  # noqa: B039


def object_name(victim: Classifier) -> str:
    """What an object is called in a config: ``object:`` and its name, as far as that is plain."""
    return PREFIX + (re.sub(r"[^\w-]+", "-", victim.name).strip("-")[-60:] or "victim")


@contextlib.contextmanager
def handed_over(victim: Classifier) -> Iterator[str]:
    """While it lasts `victim` can be loaded, in this thread, by the name that this gives."""
    name = object_name(victim)
    token = _AT_HAND.set({**_AT_HAND.get(), name: victim})
    try:
        yield name
    finally:
        _AT_HAND.reset(token)


def load_live(spec: ClassifierSpec, base: Path) -> Classifier:
    """The object itself.

    Raises:
        ClassifierError: it is not at hand; the message says how to hand it over.
    """
    spec.allow("a Python object, which has it", ())
    classifier = _AT_HAND.get().get(spec.name)
    if classifier is None:
        raise ClassifierError(
            f"classifier {spec.name}: is a Python object that is not available here; from"
            " Python, pass it: evofool.resume(RUN, classifier=VICTIM)"
        )
    return classifier


def inspect_live(spec: ClassifierSpec, base: Path) -> Inspection:
    """The description of an object."""
    classifier = _AT_HAND.get().get(spec.name)
    if classifier is None:
        return Inspection(
            spec.name, None, None, False, "it is a Python object, which is not available here"
        )
    return Inspection(spec.name, classifier.input_shape, classifier.n_classes, True)
