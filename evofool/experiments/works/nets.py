"""Nets in works: from outside by their digest, or made by another work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from evofool.classifiers import Classifier
from evofool.experiments.engine import Context, outside


@runtime_checkable
class Net(Protocol):
    """What a work may name as its net: `GivenNet`, or a work that makes one."""

    def load(self, context: Context) -> Classifier:
        """The net, ready to be asked.

        Raises:
            EvofoolError: it cannot be loaded.
        """

    def named(self, context: Context) -> Mapping[str, Any]:
        """How the config of a campaign names it (``classifier``)."""


@dataclass(frozen=True)
class GivenNet:
    """A net that the config of an experiment names.

    Attributes:
        digest: of the net.
        classifier: the net itself.
        spec: how a config names it.
    """

    digest: str
    classifier: Classifier = outside()
    spec: Mapping[str, Any] = outside()

    @classmethod
    def of(cls, classifier: Classifier, spec: Mapping[str, Any]) -> GivenNet:
        """A net that is loaded already."""
        return cls(classifier.digest, classifier, spec)

    def load(self, context: Context) -> Classifier:
        """The net."""
        return self.classifier

    def named(self, context: Context) -> Mapping[str, Any]:
        """As in the config."""
        return self.spec
