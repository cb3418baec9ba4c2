"""The engine that runs a module in PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Classifier
from evofool.classifiers.checks.answers import owned
from evofool.classifiers.checks.defaults import DEFAULTS
from evofool.images import Shape, to_float
from evofool.scoring.cuda import MODES, Forward, Precision, Recorded, forward_of, lighter, recorded
from evofool.scoring.devices import (
    Batch,
    EngineUnavailable,
    explained,
    on,
    parts_for_cpu,
    pick_device,
)

if TYPE_CHECKING:
    import torch
    from torch import nn


class TorchEngine:
    """The module in PyTorch, on the CPU or a CUDA device: float32, and lower only to screen.

    On CUDA images go through `evofool.scoring.cuda.lighter` of the module, and micro-batches of
    `rows` through a recording of it; gradients are always those of the plain `module`.

    Args:
        classifier: the victim.
        device: as `pick_device`.
        rows: of the micro-batches that come, where these are all of one size, else 0.
        precision: what `screen` computes in.
    """

    name = "torch"

    def __init__(
        self, classifier: Classifier, device: str, rows: int = 0, precision: Precision = "float32"
    ) -> None:
        import torch

        from evofool.classifiers.checks.threads import ThreadModules, sharing_of

        if classifier.module is None:
            raise EngineUnavailable(f"{classifier.name}: engine torch needs a module")
        self.device = pick_device(device)
        self.precision = precision
        self._name = classifier.name
        self._plain: nn.Module = on(classifier.module, self.device).eval()
        sharing = sharing_of(self._plain)
        if sharing == "copies" and self.device != "cpu":
            sharing = "serial"  # a GPU has one queue, and its memory is dear
        self._modules = ThreadModules(self._plain, classifier.lock, sharing)
        self._levels = torch.tensor(255.0, dtype=torch.float32, device=self.device)
        self.way = ""
        """How a GPU computes, for people: by a lighter copy or not, recorded or not."""
        self._forwards: dict[Precision, Forward] = {}
        self._recorded: dict[Precision, Recorded] = {}
        with self._surroundings():
            if self.device != "cpu":
                self._hasten(classifier, rows)

    @property
    def sharing(self) -> str:
        """How threads call the module: see `evofool.classifiers.checks.threads.Sharing`."""
        return self._modules.sharing

    @contextlib.contextmanager
    def module(self) -> Iterator[nn.Module]:
        """The module, for this thread, until the end of the block."""
        with self._surroundings(), self._modules.use() as module:
            yield module

    def tensor(self, images: Batch) -> torch.Tensor:
        """A float32 copy of `images` on the device, N x C x H x W on [0, 1].

        uint8 images are sent to the device as uint8 and divided there.
        """
        import torch

        if isinstance(images, np.ndarray):
            if images.dtype == np.uint8 and self.device == "cpu":
                return torch.from_numpy(to_float(images))
            images = torch.tensor(images)
        images = images.to(self.device)
        if images.dtype != torch.uint8:
            return images
        # by a tensor on the device: by a number, CUDA multiplies with a rounded reciprocal
        return images.float().div_(self._levels)

    def forward(self, images: Batch) -> NDArray[np.generic]:
        """float32 N x classes: the outputs of one micro-batch."""
        return self._outputs(images, "float32")

    def screen(self, images: Batch) -> NDArray[np.generic]:
        """float32 N x classes, as `forward`, but computed in the engine's lower `precision`."""
        return self._outputs(images, self.precision)

    def _outputs(self, images: Batch, precision: Precision) -> NDArray[np.generic]:
        import torch

        # no_grad, not inference_mode: what a module caches here must serve gradients later.
        # The answer is copied before another call may write into its memory.
        with explained(self._name), torch.no_grad(), self.module() as module:
            if self.device != "cpu":
                return owned(self._run(module, images, precision), self._name)
            parts = [
                owned(self._run(module, part, precision), self._name)
                for part in parts_for_cpu(images)
            ]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, module: nn.Module, images: Batch, precision: Precision) -> object:
        import torch

        forward = self._forwards.get(precision)
        if forward is None:  # on the CPU
            if precision == "float32":
                return module(self.tensor(images))
            forward = forward_of(module, self.device, precision)
        batch = torch.tensor(images) if isinstance(images, np.ndarray) else images
        again = self._recorded.get(precision)
        if again is not None and batch.dtype == torch.uint8:
            if again.shape == tuple(batch.shape):
                return again(batch)
            self._recorded.clear()  # the batch was halved: there is no memory for what lies idle
        return forward(batch.to(self.device))

    def _hasten(self, classifier: Classifier, rows: int) -> None:
        size = classifier.crop_size if classifier.crop_size and classifier.crops > 1 else None
        shape: Shape = (classifier.input_shape[0], size, size) if size else classifier.input_shape
        quick = lighter(self._plain, self.device, shape, classifier.link)
        lighter_way = "batch norm folded, channels last"
        self.way = "plain module" if quick is self._plain else lighter_way
        precisions: tuple[Precision, ...] = ("float32", self.precision)
        for precision in dict.fromkeys(precisions):
            forward = forward_of(quick, self.device, precision)
            self._forwards[precision] = forward
            if rows and (made := recorded(forward, self.device, (rows, *shape))) is not None:
                self._recorded[precision] = made
        if rows:
            self.way += ", recorded" if "float32" in self._recorded else ", could not be recorded"

    def exact(self) -> contextlib.AbstractContextManager[object]:
        """For gradients: float32 as it is, by the same kernels each time, on this device."""
        stack = contextlib.ExitStack()
        stack.enter_context(self._surroundings())
        if self.device != "cpu":
            stack.enter_context(MODES.use("float32"))
        return stack

    @contextlib.contextmanager
    def _surroundings(self) -> Iterator[None]:
        """PyTorch's own defaults; with several GPUs, streams and recordings of this one."""
        import torch

        with DEFAULTS.use():
            if self.device.startswith("cuda"):
                with torch.cuda.device(self.device):
                    yield
            else:
                yield
