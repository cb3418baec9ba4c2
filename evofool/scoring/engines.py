"""Engines: how a micro-batch gets through a victim. The engine never changes what is scored.

An engine is called from several threads at once. Each thread computes with one thread of its own
(parallelism over micro-batches beats OpenMP inside an operator on shared machines), so a result
does not depend on how many workers there are.
"""

from __future__ import annotations

import contextlib
import copy
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier, Link
from evofool.errors import EvofoolError, ScoringError, UsageError
from evofool.images import FloatImages, UInt8Images, to_float
from evofool.scoring.ranking import softmax_log_odds

if TYPE_CHECKING:
    import torch
    from torch import nn

PARITY = 1e-3
"""Largest difference in log-odds at which an exported graph is taken for its module."""


class OutOfMemory(ScoringError):
    """The device has no room for a micro-batch of this size."""


class EngineUnavailable(UsageError):
    """The engine cannot run this victim here; the message says why."""


class Engine(Protocol):
    """What the Scorer needs: raw outputs of one micro-batch, (N, classes)."""

    name: str
    device: str

    def forward(self, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        """Raw outputs for `images` (the net's own input size)."""
        ...


def cache_folder() -> Path:
    """Where derived files (exported graphs) are kept: `$EVOFOOL_CACHE` or ~/.cache/evofool."""
    return Path(os.environ.get("EVOFOOL_CACHE") or Path.home() / ".cache" / "evofool")


class PredictEngine:
    """A black box: calls the user's predict function with uint8 images, one call at a time."""

    name = "predict"
    device = "outside"

    def __init__(self, classifier: Classifier) -> None:
        assert classifier.predict is not None
        self._name = classifier.name
        self._predict = classifier.predict
        self._lock = threading.Lock()  # nothing says that a user's function is thread-safe

    def forward(self, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        if images.dtype != np.uint8:
            levels = images * np.float32(255)
            if np.abs(levels - np.rint(levels)).max(initial=0.0) > 1e-3:
                raise ScoringError(
                    "a black-box victim sees 8-bit pictures: round the images to the lattice k/255"
                )
            images = np.rint(levels)
        own = images.astype(np.uint8)  # always a copy: a victim that writes into it harms nobody
        with self._lock, explained(self._name):
            return np.asarray(self._predict(own))


class TorchEngine:
    """The module in PyTorch, float32, on the CPU or a CUDA device."""

    name = "torch"

    def __init__(self, classifier: Classifier, device: str) -> None:
        import torch

        if classifier.module is None:
            raise EngineUnavailable(f"{classifier.name}: engine torch needs a module")
        self.device = pick_device(device)
        self._name = classifier.name
        self.module: nn.Module = _on(classifier.module, self.device).eval()
        self._levels = torch.tensor(255.0, device=self.device)

    def tensor(self, images: UInt8Images | FloatImages) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] on the device, a copy; uint8 crosses as uint8."""
        import torch

        if images.dtype == np.uint8 and self.device != "cpu":
            # by a tensor on the device: by a number, CUDA multiplies with a rounded reciprocal
            return torch.tensor(images).to(self.device).float().div_(self._levels)
        if images.dtype == np.uint8:
            return torch.from_numpy(to_float(images))
        return torch.tensor(images).to(self.device)

    def forward(self, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        import torch

        # no_grad, not inference_mode: what a module caches here must serve gradients later
        with explained(self._name), torch.no_grad(), self._exact():
            outputs = self.module(self.tensor(images))
            result: NDArray[np.generic] = outputs.float().cpu().numpy()
            return result

    def _exact(self) -> contextlib.AbstractContextManager[None]:
        """float32 as it is, by the same kernels each time: cuDNN would take TF32 and race."""
        import torch

        if self.device == "cpu":
            return contextlib.nullcontext()
        flags: contextlib.AbstractContextManager[None] = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        return flags


class OnnxEngine:
    """The victim's graph in onnxruntime on the CPU, one thread a call."""

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, classifier: Classifier) -> None:
        self._name = classifier.name
        if classifier.onnx is not None:
            self._session = _session(classifier.onnx)
        elif classifier.module is not None:
            self._session = _exported(classifier)
        else:
            raise EngineUnavailable(f"{classifier.name}: engine onnxruntime needs a module or ONNX")
        self._input = self._session.get_inputs()[0].name

    def forward(self, images: UInt8Images | FloatImages) -> NDArray[np.generic]:
        with explained(self._name):
            outputs = self._session.run(None, {self._input: to_float(images)})
        result: NDArray[np.generic] = outputs[0]
        return result


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Whatever a victim raises, as `OutOfMemory` or as a `ScoringError` that names the victim."""
    try:
        yield
    except EvofoolError:
        raise
    except Exception as error:  # the victim is anyone's code, and every engine has its own types
        torch = sys.modules.get("torch")
        message = str(error).lower()
        if (
            isinstance(error, MemoryError)
            or (torch is not None and isinstance(error, torch.OutOfMemoryError))
            or "failed to allocate" in message
            or "bad_alloc" in message
            or ("alloc" in message and "memory" in message)
        ):
            raise OutOfMemory(f"{name}: out of memory ({_first_line(error)})") from error
        raise ScoringError(
            f"{name} failed while scoring ({type(error).__name__}: {_first_line(error)})"
        ) from error


def pick_device(device: str) -> str:
    """`auto` is the first CUDA device where there is one, else the CPU.

    Raises:
        UsageError: no such device, or a CUDA device was asked for that is not there.
    """
    import torch

    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise UsageError(f"scoring.device: {device} is not one of auto, cpu, cuda, cuda:N")
    if device.startswith("cuda"):
        number = int(device.partition(":")[2] or 0)
        if not torch.cuda.is_available() or number >= torch.cuda.device_count():
            raise UsageError(f"scoring.device: {device} is not on this machine; use cpu or auto")
        return f"cuda:{number}"
    return device


def make_engine(classifier: Classifier, engine: str, device: str) -> tuple[Engine, str]:
    """The engine and a note for people ("" when there is nothing to say).

    `auto`: the predict function of a black box; PyTorch on CUDA; onnxruntime on the CPU, and
    PyTorch there when a graph cannot be had.

    Raises:
        UsageError: the engine or device asked for cannot serve this victim.
    """
    if classifier.predict is not None:
        if engine not in ("auto", "predict"):
            raise UsageError(
                f"scoring.engine: {engine} cannot run {classifier.name}, which is a predict"
                " function; use auto"
            )
        if device not in ("auto", "cpu"):
            raise UsageError(
                f"scoring.device: {classifier.name} is a predict function, which {device} cannot"
                " be chosen for; use auto"
            )
        return PredictEngine(classifier), ""
    if engine not in ("auto", "torch", "onnxruntime"):
        raise UsageError(f"scoring.engine: {engine} is not one of auto, torch, onnxruntime")
    if engine == "torch":
        return TorchEngine(classifier, device), ""
    if engine == "onnxruntime" or classifier.module is None:
        if device not in ("auto", "cpu"):
            mend = "use cpu" if classifier.module is None else "use engine torch"
            raise UsageError(
                f"scoring.device: {device}: engine onnxruntime runs on the cpu; {mend}"
            )
        return OnnxEngine(classifier), ""
    if pick_device(device) != "cpu":
        return TorchEngine(classifier, device), ""
    try:
        return OnnxEngine(classifier), ""
    except EngineUnavailable as error:
        return TorchEngine(classifier, device), f"scoring with torch, since {error}"


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


def _exported(classifier: Classifier) -> Any:
    """A session over the module's graph, from the cache where it still agrees with the module."""
    size = classifier.crop_size if classifier.crop_size and classifier.crops > 1 else None
    shape = (classifier.input_shape[0], size, size) if size else classifier.input_shape
    side = "x".join(str(n) for n in shape)
    path = cache_folder() / "onnx" / f"{classifier.digest[:32]}-{side}.onnx"
    probe = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    expected = TorchEngine(classifier, "cpu").forward(probe).astype(np.float64)
    if path.is_file():
        try:
            session = _session(path)
            if _agrees(session, probe, expected, classifier.link):
                return session
        except (EngineUnavailable, ScoringError):
            pass  # a damaged or foreign file: written anew below
    graph = _export(classifier, shape)
    session = _session(graph)
    if not _agrees(session, probe, expected, classifier.link):
        raise EngineUnavailable("the exported graph does not agree with the module")
    _keep(path, graph)
    return session


def _agrees(session: Any, probe: FloatImages, expected: NDArray[np.floating], link: Link) -> bool:
    try:
        outputs = session.run(None, {session.get_inputs()[0].name: probe})[0]
    except Exception:  # whatever a foreign graph does, it is not this module's
        return False
    if outputs.shape != expected.shape or outputs.shape[1] < 2:
        return False
    if not (np.isfinite(outputs).all() and np.isfinite(expected).all()):
        return False
    if link == "identity":  # probabilities, whose float32 has no log-odds near 1
        return np.allclose(outputs, expected, rtol=PARITY, atol=1e-6)
    if link == "softmax":  # where a shift of all logits means nothing; under sigmoids it does
        outputs = softmax_log_odds(outputs)
        expected = softmax_log_odds(expected)
    return bool(np.abs(outputs - expected).max() <= PARITY)


def _export(classifier: Classifier, shape: tuple[int, ...]) -> bytes:
    import io
    import logging
    import warnings

    import torch

    assert classifier.module is not None
    module = _on(classifier.module, "cpu").eval()
    buffer = io.BytesIO()
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        # the exporter warns of its own future, and prints a whole graph when it fails
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (torch.zeros(2, *shape),),
                buffer,  # type: ignore[arg-type]  # any writable works without dynamo
                input_names=["images"],
                output_names=["outputs"],
                dynamic_axes={"images": {0: "n"}, "outputs": {0: "n"}},
                dynamo=False,
            )
    except Exception as error:  # any operator may fail to export, each with a type of its own
        raise EngineUnavailable(
            f"the module does not export to ONNX ({_first_line(error)})"
        ) from error
    finally:
        quiet.setLevel(level)
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
        Path(name).unlink(missing_ok=True)


def _on(module: nn.Module, device: str) -> nn.Module:
    """`module` on `device`: itself where it is there, else a copy, for others may be using it."""
    from itertools import chain

    import torch

    if all(t.device == torch.device(device) for t in chain(module.parameters(), module.buffers())):
        return module
    with contextlib.suppress(RuntimeError, TypeError):  # cannot be copied: then it moves
        module = copy.deepcopy(module)
    return module.to(device)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
