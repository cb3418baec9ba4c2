"""What makes a module faster on CUDA without changing its outputs.

Batch normalisation is folded away, memory is laid out channels last, and the one shape of
micro-batch that a campaign scores is recorded as a CUDA graph and replayed. Each step is used only
if the outputs are those of the plain module, and left out if anything fails. Only `record` needs a
CUDA device, and tests may replace it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Link
from evofool.classifiers.checks.probe_pictures import probe_pictures
from evofool.images import Shape, to_float
from evofool.scoring.parity import agree

if TYPE_CHECKING:
    import torch
    from torch import nn

Precision: TypeAlias = Literal["float32", "tf32", "bf16"]
"""What a net computes in; all but float32 only screens (`evofool.scoring.Scorer`)."""
Forward: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""Images N x C x H x W on the device, uint8 or float32, to float32 outputs N x classes there."""
Record: TypeAlias = (
    "Callable[[Callable[[], torch.Tensor]], tuple[Callable[[], None], torch.Tensor]]"
)
"""Work that is always the same, to what does it again and the tensor in which its result lies."""


def lighter(module: nn.Module, device: str, shape: Shape, link: Link) -> nn.Module:
    """`module` with batch normalisation folded and channels last, if its outputs stay the same.

    Args:
        module: in evaluation mode, on `device`; it is not changed.
        device: where it is.
        shape: channels, height, width of its input.
        link: by which outputs are compared; see `evofool.scoring.parity.agree`.

    Returns:
        The lighter copy, or `module` itself if the copy cannot be made or does not agree.
    """
    import torch

    from evofool.classifiers.nets.folding import fold_batchnorm

    try:
        probe = torch.from_numpy(to_float(probe_pictures(shape))).to(device)
        with torch.no_grad(), MODES.use("float32"):
            copy = fold_batchnorm(module).to(memory_format=torch.channels_last)
            expected, answers = _array(module(probe.clone())), _array(copy(_last(probe)))
    except Exception:  # anyone's module: what cannot be copied or laid out anew stays as it is
        return module
    return copy if agree(answers, expected, link) else module


class Recorded:
    """One shape of micro-batch, recorded once and replayed from a static input.

    Replays are queued one after another on the device's stream, by one thread at a time; the
    result is copied out on the same stream before the next can overwrite it.

    Args:
        replay: computes `outputs` from what lies in `images`.
        images: uint8 N x C x H x W on the device; each micro-batch is copied into it.
        outputs: float32 N x classes on the device, overwritten by each replay.
    """

    def __init__(self, replay: Callable[[], None], images: torch.Tensor, outputs: torch.Tensor):
        self._replay = replay
        self._images = images
        self._outputs = outputs
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        """The N x C x H x W of the micro-batches that it takes."""
        return tuple(self._images.shape)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x classes outputs of `images`, uint8 N x C x H x W (`shape`) on any device."""
        with self._lock:
            self._images.copy_(images)
            self._replay()
            return self._outputs.clone()


def recorded(
    forward: Forward, device: str, shape: tuple[int, ...], record: Record | None = None
) -> Recorded | None:
    """`forward` for micro-batches of `shape`, or None if it cannot be recorded.

    A module may do what a recording cannot repeat (branch on values, keep earlier inputs, draw
    random numbers), so for two probes the recording must give the outputs of the module to the last
    bit.
    """
    import torch

    record = record or record_cuda_graph
    rng = np.random.default_rng(0)
    try:
        with torch.no_grad():
            images = torch.zeros(shape, dtype=torch.uint8, device=device)
            replay, outputs = record(lambda: forward(images))
            made = Recorded(replay, images, outputs)
            for _ in range(2):
                probe = torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8)).to(device)
                if not torch.equal(made(probe), forward(probe)):
                    return None
    except Exception:  # capture fails in many ways, and the plain way is always there
        return None
    return made


def record_cuda_graph(work: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
    """Records `work` as a CUDA graph, after runs in which libraries choose kernels and allocate.

    Returns:
        What replays the graph, and the tensor that each replay overwrites: the result of `work`,
        with the same shape and data type.
    """
    import torch

    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = work()
    return graph.replay, outputs


def forward_of(module: nn.Module, device: str, precision: Precision) -> Forward:
    """A function that runs images through `module` in `precision`, by PyTorch's own operators."""
    import torch

    kind = torch.device(device).type
    levels = torch.tensor(255.0, device=device)

    def forward(images: torch.Tensor) -> torch.Tensor:
        if images.dtype == torch.uint8:  # divided by a tensor: see `TorchEngine.tensor`
            images = images.float().div_(levels)
        low: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if precision == "bf16":
            # weights kept from call to call would be foreign to a recording
            low = torch.autocast(kind, dtype=torch.bfloat16, cache_enabled=False)
        with MODES.use(precision), low:
            outputs: torch.Tensor = module(_last(images))
        return outputs.float()

    return forward


class Modes:
    """Which arithmetic cuDNN and cuBLAS may use: PyTorch keeps that for the whole process.

    Threads that want the same arithmetic share it; one that wants another waits until they have
    finished. When no thread is inside, the flags are as they were before.
    """

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._inside = 0
        self._tf32 = False
        self._flags = contextlib.ExitStack()

    @contextlib.contextmanager
    def use(self, precision: Precision) -> Iterator[None]:
        """float32 as it is, by the same kernels each time; TF32 only if `precision` says so."""
        wanted = precision == "tf32"
        with self._free:
            self._free.wait_for(lambda: self._inside == 0 or self._tf32 == wanted)
            if self._inside == 0:
                self._tf32 = wanted
                self._flags.enter_context(_flags(wanted))
            self._inside += 1
        try:
            yield
        finally:
            with self._free:
                self._inside -= 1
                if self._inside == 0:
                    self._flags.close()
                    self._free.notify_all()


MODES = Modes()
"""One a process, as the flags are."""


@contextlib.contextmanager
def _flags(tf32: bool) -> Iterator[None]:
    import torch

    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32
    ):
        matmul.allow_tf32 = tf32
        try:
            yield
        finally:
            matmul.allow_tf32 = before


def _last(images: torch.Tensor) -> torch.Tensor:
    import torch

    return images.contiguous(memory_format=torch.channels_last)


def _array(outputs: torch.Tensor) -> NDArray[np.floating]:
    array: NDArray[np.floating] = outputs.double().cpu().numpy()
    return array
