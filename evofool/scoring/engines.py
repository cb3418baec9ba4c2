"""Engines: how a micro-batch gets through a victim. The engine never changes what is scored.

An engine is called from several threads at once. Each thread computes with one thread of its own
(parallelism over micro-batches beats OpenMP inside an operator on shared machines), so a result
does not depend on how many workers there are.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Link
from evofool.classifiers.checks.answers import owned
from evofool.classifiers.checks.probe_pictures import probe_pictures
from evofool.errors import ScoringError, UsageError
from evofool.files import is_file
from evofool.images import FloatImages, Shape, UInt8Images, to_float
from evofool.scoring.batches import levels_of
from evofool.scoring.cuda import Precision
from evofool.scoring.devices import (
    EngineUnavailable,
    OutOfMemory,
    explained,
    first_line,
    on,
    parts_for_cpu,
    pick_device,
)
from evofool.scoring.ensemble import EnsembleEngine
from evofool.scoring.graph_cache import cache_folder, graph_path
from evofool.scoring.parity import agree
from evofool.scoring.torch_engine import TorchEngine
from evofool.scoring.transformed import TransformedEngine

__all__ = [
    "Engine",
    "EngineUnavailable",
    "OnnxEngine",
    "OutOfMemory",
    "PredictEngine",
    "TorchEngine",
    "cache_folder",
    "explained",
    "make_engine",
    "pick_device",
]


class Engine(Protocol):
    """What the Scorer needs: the raw outputs of one micro-batch."""

    name: str
    device: str

    def forward(self, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        """Raw outputs of `images`, which have the net's own input size.

        Args:
            images: uint8, or float32 on [0, 1].

        Returns:
            N x classes numbers of the victim's own data type; (N,) of one that gives labels only.
        """
        ...


class PredictEngine:
    """A black box: calls the user's predict function with uint8 images, one call at a time."""

    name = "predict"
    device = "outside"

    def __init__(self, classifier: Classifier) -> None:
        assert classifier.predict is not None
        self._name = classifier.name
        self._predict = classifier.predict
        self._lock = classifier.lock  # nothing says that a user's function is thread-safe

    def forward(self, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        """What the function gives for `images`, of its own data type: N x classes, or (N,) labels.

        Args:
            images: uint8, or float32 on the 8-bit lattice k/255; the function sees uint8.

        Raises:
            ScoringError: floats off the lattice, or a function that fails.
        """
        own = levels_of(images)
        with self._lock, explained(self._name):
            return owned(self._predict(own), self._name)


class OnnxEngine:
    """The victim's graph in onnxruntime on the CPU, one thread a call.

    Args:
        classifier: the victim.
        graph: its graph, if that is at hand; by default its file, or its module exported.

    Attributes:
        source: where the graph is: its file, or its bytes.
    """

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, classifier: Classifier, graph: bytes | None = None) -> None:
        self._name = classifier.name
        self.source: Path | bytes
        if graph is not None or classifier.onnx is not None:
            self.source = graph or classifier.onnx or b""
            self._session = _session(self.source)
        elif classifier.module is not None:
            self._session, self.source = _exported(classifier)
        else:
            raise EngineUnavailable(f"{classifier.name}: engine onnxruntime needs a module or ONNX")
        self._feed = classifier.feed

    def forward(self, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        """The graph's outputs, N x classes, of its own data type (as a rule float32).

        Raises:
            OutOfMemory, ScoringError: as `explained`.
        """
        with explained(self._name):
            if self._feed.fixed_batch is not None:
                return self._feed.run(self._session, images)
            parts = [
                self._feed.run(self._session, np.asarray(part)) for part in parts_for_cpu(images)
            ]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)


def make_engine(
    classifier: Classifier,
    engine: str,
    device: str,
    rows: int = 0,
    precision: Precision = "float32",
) -> tuple[Engine, str]:
    """The engine, and a note for the user ("" as a rule).

    `auto`: the predict function of a black box; PyTorch on CUDA, and where a lower precision
    screens; else onnxruntime on the CPU, and PyTorch there when a graph cannot be had.

    Args:
        classifier: the victim.
        engine: ``auto``, ``torch`` or ``onnxruntime``.
        device: as `pick_device`.
        rows: of the micro-batches that come, where these are all of one size, else 0.
        precision: of `TorchEngine.screen`.

    Raises:
        UsageError: the engine or device asked for cannot serve this victim.
    """
    if classifier.transformed is not None:
        net = classifier.transformed.net
        inner, note = make_engine(net, engine, device, rows, precision)
        return TransformedEngine(classifier, inner), note
    if classifier.ensemble is not None:
        return _of_members(classifier, engine, device, rows, precision)
    if precision != "float32":
        _check_precision(classifier, engine, device, precision)
        return TorchEngine(classifier, device, rows, precision), ""
    if classifier.predict is not None:
        if engine not in ("auto", "http" if classifier.is_service else "predict"):
            raise UsageError(
                f"scoring.engine: {engine} cannot run {classifier.name}, which is a predict"
                " function; use auto"
            )
        if device not in ("auto", "cpu"):
            raise UsageError(
                f"scoring.device: {classifier.name} is a predict function, for which {device}"
                " cannot be chosen; use auto"
            )
        if classifier.is_service:
            from evofool.scoring.services import ServiceEngine

            return ServiceEngine(classifier), ""
        return PredictEngine(classifier), ""
    if engine not in ("auto", "torch", "onnxruntime"):
        raise UsageError(f"scoring.engine: {engine} is not one of auto, torch, onnxruntime")
    if engine == "torch":
        return TorchEngine(classifier, device, rows), ""
    if engine == "onnxruntime" or classifier.module is None:
        if device not in ("auto", "cpu"):
            mend = "use cpu" if classifier.module is None else "use engine torch"
            raise UsageError(
                f"scoring.device: {device}: engine onnxruntime runs on the cpu; {mend}"
            )
        return OnnxEngine(classifier), ""
    if pick_device(device) != "cpu":
        return TorchEngine(classifier, device, rows), ""
    try:
        return OnnxEngine(classifier), ""
    except EngineUnavailable as error:
        return TorchEngine(classifier, device), f"scoring with torch, since {error}"


def _of_members(
    classifier: Classifier, engine: str, device: str, rows: int, precision: Precision
) -> tuple[Engine, str]:
    """An ensemble's engine. All members that are nets run in one library, so that the engine that
    a run records is that of each."""
    assert classifier.ensemble is not None
    members = classifier.ensemble.members

    def made(engine: str) -> list[tuple[Engine, str]]:
        return [make_engine(member, engine, device, rows, precision) for member in members]

    each = made(engine)
    if classifier.module is not None and len({one.name for one, _ in each}) > 1:
        each = [(one, note) for (one, _), (_, note) in zip(made("torch"), each, strict=True)]
    notes = [f"{m.name}: {note}" for m, (_, note) in zip(members, each, strict=True) if note]
    if classifier.ensemble.note:
        notes.insert(0, classifier.ensemble.note)
    return EnsembleEngine(classifier, [one for one, _ in each]), "; ".join(notes)


def _check_precision(classifier: Classifier, engine: str, device: str, precision: str) -> None:
    if classifier.module is None:
        raise UsageError(
            f"scoring.precision: {classifier.name} has no module that could run in {precision};"
            " use float32"
        )
    if engine not in ("auto", "torch"):
        raise UsageError(
            f"scoring.precision: engine {engine} computes in float32; use float32, or engine torch"
        )
    if precision == "tf32" and pick_device(device) == "cpu":
        raise UsageError("scoring.precision: tf32 works only on CUDA devices; use bf16 or float32")


def _session(source: Path | bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    graph = str(source) if isinstance(source, Path) else source
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception types share no public base
        raise EngineUnavailable(f"onnxruntime cannot load the graph ({error})") from error


def _exported(classifier: Classifier) -> tuple[Any, Path | bytes]:
    """A session over the module's graph, from the cache where it still agrees with the module, and
    where the graph is."""
    size = classifier.crop_size if classifier.crop_size and classifier.crops > 1 else None
    shape: Shape = (classifier.input_shape[0], size, size) if size else classifier.input_shape
    path = graph_path(classifier, shape)
    probe = to_float(probe_pictures(shape))
    expected = TorchEngine(classifier, "cpu").forward(probe).astype(np.float64)
    if path is not None and is_file(path):
        try:
            session = _session(path)
            if _agrees(session, probe, expected, classifier.link):
                return session, path
        except (EngineUnavailable, ScoringError):
            pass  # a damaged or foreign file: written anew below
    graph = _export(classifier, shape)
    session = _session(graph)
    if not _agrees(session, probe, expected, classifier.link):
        raise EngineUnavailable("the exported graph does not agree with the module")
    if path is not None:
        _keep(path, graph)
    return session, graph


def _agrees(session: Any, probe: FloatImages, expected: NDArray[np.floating], link: Link) -> bool:
    try:
        outputs = session.run(None, {session.get_inputs()[0].name: probe})[0]
    except Exception:  # whatever a foreign graph does, it is not this module's
        return False
    return agree(outputs, expected, link)


def _export(classifier: Classifier, shape: Shape) -> bytes:
    """The module's graph, recorded while it runs once.

    Raises:
        EngineUnavailable: the exporter fails, or the module's code looks at values or sizes of
            tensors: a recording holds only the branch that was taken.
    """
    import io
    import logging
    import warnings

    import torch
    from torch.jit._trace import TracerWarning

    from evofool.scoring.tracing import looks_at_values

    assert classifier.module is not None
    module = on(classifier.module, "cpu").eval()
    images = torch.from_numpy(to_float(probe_pictures(shape)[:2]))
    reason = looks_at_values(module, images)
    if reason:
        raise EngineUnavailable(f"a graph cannot represent what its code does ({reason})")
    buffer = io.BytesIO()
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        # the exporter warns of its own future, and prints a whole graph when it fails
        with (
            warnings.catch_warnings(record=True) as seen,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("always")
            torch.onnx.export(
                module,
                (images,),
                buffer,  # type: ignore[arg-type]  # any writable works without dynamo
                input_names=["images"],
                output_names=["outputs"],
                dynamic_axes={"images": {0: "n"}, "outputs": {0: "n"}},
                dynamo=False,
            )
    except Exception as error:  # any operator may fail to export, each with a type of its own
        raise EngineUnavailable(
            f"the module does not export to ONNX ({first_line(error)})"
        ) from error
    finally:
        quiet.setLevel(level)
    for warning in seen:
        if issubclass(warning.category, TracerWarning):
            line = f"{Path(warning.filename).name}, line {warning.lineno}"
            raise EngineUnavailable(f"a graph cannot represent what its code does ({line})")
    return buffer.getvalue()


def _keep(path: Path, graph: bytes) -> None:
    """Best effort: a cache that cannot be written costs a second a start and nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(graph)
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
