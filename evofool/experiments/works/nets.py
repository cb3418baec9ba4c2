"""Nets in works: from outside by their digest, made by another work, or several at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from evofool.classifiers import Classifier, from_members
from evofool.classifiers.base import Rule
from evofool.experiments.engine import Context, Scoring, Work, outside


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


@dataclass(frozen=True)
class EnsembleNet:
    """Several nets at once, of which at least one is made by another work.

    Its address is made of those of its members and the rule. An ensemble of nets that all come from
    outside is a `GivenNet`.

    Attributes:
        members: the nets, whose first gives the order of the classes.
        rule: how their log-odds are combined, see `evofool.classifiers.from_members`.
    """

    members: tuple[Net, ...]
    rule: Rule

    def load(self, context: Context) -> Classifier:
        """The ensemble, made once for all works that need it."""
        return context.results.remembered(
            self,
            lambda: from_members([net.load(context) for net in self.members], rule=self.rule),
        )

    def named(self, context: Context) -> Mapping[str, Any]:
        """By its members."""
        nets = [dict(net.named(context)) for net in self.members]
        return {"ensemble": nets, "rule": self.rule}


def quickest(net: Net, scoring: Scoring) -> Scoring:
    """How the scores of a net are had the fastest, where no gradients are asked for.

    Of a net from outside by whatever engine suits it: on a CPU onnxruntime takes a fourth of the
    time that PyTorch takes for EfficientNet-Lite0. The graph of a net that the run makes would have
    to be exported for a few pictures.
    """
    return replace(scoring, engine="auto") if isinstance(net, GivenNet) else scoring


def moved_to(net: Net, context: Context) -> str | None:
    """Where the files of a net lie now that this run has made; None where it has made none.

    A file for a net, a folder for an ensemble: campaigns write down absolute paths, which no longer
    hold once the run folder has been moved.
    """
    if isinstance(net, EnsembleNet):
        own = (moved_to(member, context) for member in net.members)
        return next((str(Path(path).parent) for path in own if path is not None), None)
    return str(net.named(context)["name"]) if isinstance(net, Work) else None
