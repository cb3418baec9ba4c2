"""A victim on its way to a worker: what scores there is what scores here.

A graph travels as its bytes, a module as its pickle. A module whose code is a user's file cannot
be pickled, since that code has no name in another process: the worker loads the file itself, by
the same path, and holds the digest of what it got against this one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers import load_classifier
from evofool.classifiers.base import Classifier
from evofool.classifiers.sources.live import PREFIX as LIVE
from evofool.classifiers.sources.onnx_graph import graph_bytes
from evofool.classifiers.sources.user_code import NAMESPACE
from evofool.errors import UsageError
from evofool.scoring.cuda import Precision
from evofool.scoring.engines import Engine, OnnxEngine, TorchEngine
from evofool.scoring.ensemble import EnsembleEngine, MemberEngine
from evofool.scoring.transformed import TransformedEngine

Dumps = Callable[[object], bytes]
"""Pickles also what ``pickle`` cannot: Ray's own."""


@dataclass(frozen=True)
class SentNet:
    """One net.

    Attributes:
        classifier: without what runs it.
        graph: for onnxruntime, (bytes,) uint8.
        module: for torch, pickled, (bytes,) uint8; None where the worker is to load it by `spec`.
        spec: as in a config.
    """

    classifier: Classifier
    graph: NDArray[np.uint8] | None = None
    module: NDArray[np.uint8] | None = None
    spec: Mapping[str, Any] | None = None

    def engine(
        self, device: str, rows: int, precision: Precision, loads: Callable[[bytes], Any]
    ) -> Engine:
        """What runs it, made anew.

        Args:
            device: as for `TorchEngine`.
            rows: as there.
            precision: as there.
            loads: unpickles.

        Raises:
            EvofoolError: it cannot be had here, or is another one.
        """
        if self.graph is not None:
            return OnnxEngine(self.classifier, self.graph.tobytes())
        if self.module is not None:
            net = dataclasses.replace(self.classifier, module=loads(self.module.tobytes()))
            return TorchEngine(net, device, rows, precision)
        assert self.spec is not None
        found = load_classifier(self.spec)
        if found.digest != self.classifier.digest:
            raise UsageError(
                f"classifier {self.classifier.name}: this worker loads a different classifier by"
                " that name; the same files must lie at the same paths on every machine"
            )
        return TorchEngine(found, device, rows, precision)


@dataclass(frozen=True)
class SentVictim:
    """A victim, which may be an ensemble of several nets, or behind transforms."""

    classifier: Classifier
    nets: tuple[SentNet, ...]

    def engine(
        self, device: str, rows: int, precision: Precision, loads: Callable[[bytes], Any]
    ) -> Engine:
        """What runs it, as `SentNet.engine`."""
        engines = [net.engine(device, rows, precision, loads) for net in self.nets]
        transformed = self.classifier.transformed
        net = self.classifier if transformed is None else transformed.net
        inner = engines[0] if net.ensemble is None else EnsembleEngine(net, engines)
        return inner if transformed is None else TransformedEngine(self.classifier, inner)


def sent(
    classifier: Classifier, engine: MemberEngine, specs: Sequence[Mapping[str, Any]], dumps: Dumps
) -> SentVictim:
    """`classifier` as it is sent.

    Args:
        classifier: the victim.
        engine: what runs it here.
        specs: of its nets as in a config, one if it is no ensemble.
        dumps: see there.

    Raises:
        UsageError: it cannot be sent; the message says why.
    """
    if classifier.transformed is not None:
        assert isinstance(engine, TransformedEngine)
        inner = sent(classifier.transformed.net, engine.inner, specs, dumps)
        behind = dataclasses.replace(classifier.transformed, net=inner.classifier)
        bare = dataclasses.replace(_bare(classifier), transformed=behind)
        return dataclasses.replace(inner, classifier=bare)
    if classifier.ensemble is None:
        return SentVictim(_bare(classifier), (_net(classifier, engine, specs[0], dumps),))
    assert isinstance(engine, EnsembleEngine)
    nets = tuple(
        _net(member.classifier, member.engine, spec, dumps)
        for member, spec in zip(engine.members, specs, strict=True)
    )
    whole = dataclasses.replace(
        classifier.ensemble, members=tuple(_bare(each) for each in classifier.ensemble.members)
    )
    return SentVictim(dataclasses.replace(_bare(classifier), ensemble=whole), nets)


def _bare(classifier: Classifier) -> Classifier:
    return dataclasses.replace(
        classifier, module=None, onnx=None, predict=None, ensemble=None, transformed=None
    )


def _net(classifier: Classifier, engine: object, spec: Mapping[str, Any], dumps: Dumps) -> SentNet:
    bare = _bare(classifier)
    if isinstance(engine, OnnxEngine):
        return SentNet(bare, graph=_array(_bytes(engine.source)))
    if not isinstance(engine, TorchEngine):
        raise UsageError(
            f"scoring.ray: {classifier.name} is a predict function, which may be a service, so"
            " only one process may call it; remove scoring.ray"
        )
    try:
        pickled = dumps(classifier.module)
    except Exception as error:  # a module may hold anything
        pickled, reason = b"", f"{type(error).__name__}: {error}"
    else:
        if NAMESPACE.encode() not in pickled:
            return SentNet(bare, module=_array(pickled))
        reason = "its code is in a file of its own"
    if str(spec.get("name", "")).startswith(LIVE):
        raise UsageError(
            f"scoring.ray: {classifier.name} cannot be sent to other processes ({reason}); put"
            " it into a file, path/to/file.py:function, or remove scoring.ray"
        )
    return SentNet(bare, spec=dict(spec))


def _bytes(graph: Path | bytes) -> bytes:
    return graph if isinstance(graph, bytes) else graph_bytes(graph)


def _array(data: bytes) -> NDArray[np.uint8]:
    """An array travels without being copied for each worker of a machine, bytes do not."""
    return np.frombuffer(data, np.uint8)
