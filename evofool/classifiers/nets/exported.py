"""An exported program as a module: one tensor of images in, one matrix of scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.fx import GraphModule


class ExportedNet(nn.Module):
    """A graph of operators with its weights, for any number of images N x C x H x W.

    Args:
        graph: takes `held` and then a batch of images; gives a tuple.
        held: weights, buffers and constants, of any shape and data type, in the order in which the
            graph takes them.
        output: which entry of the tuple holds the scores.
        dtype: of the images that the graph takes: floating on [0, 1], or uint8 on 0 to 255.
        least: fewest images that it takes at once; a smaller batch is filled up with its last one.
        most: most images that it takes at once, None for any number; a larger batch is split.
    """

    def __init__(
        self,
        graph: GraphModule,
        held: Sequence[torch.Tensor],
        output: int,
        dtype: torch.dtype,
        least: int = 1,
        most: int | None = None,
    ) -> None:
        super().__init__()
        self.graph = graph
        self._names = [f"held_{index}" for index in range(len(held))]
        for name, tensor in zip(self._names, held, strict=True):
            self.register_buffer(name, tensor.detach())
        self._output, self._dtype = output, dtype
        self._least, self._most = least, most

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 N x C x H x W on [0, 1] to N x classes, float32."""
        most = images.shape[0] if self._most is None else self._most
        if self._least <= images.shape[0] <= most:
            return self._scores(images)
        parts = []
        for part in torch.split(images, most):
            missing = max(0, self._least - part.shape[0])
            filled = torch.cat([part, part[-1:].expand(missing, -1, -1, -1)]) if missing else part
            parts.append(self._scores(filled)[: part.shape[0]])
        return torch.cat(parts)

    def _scores(self, images: torch.Tensor) -> torch.Tensor:
        if self._dtype == torch.uint8:
            given = (images * 255).round().to(torch.uint8)
        else:
            given = images.to(self._dtype)
        held = [getattr(self, name) for name in self._names]
        scores: torch.Tensor = self.graph(*held, given)[self._output]
        return scores.float()

    def _apply(
        self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True
    ) -> ExportedNet:
        """Tensors that the graph itself makes go to another device with those that it holds."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        device = fn(torch.empty(0)).device
        moved = False
        for part in self.graph.modules():
            if not isinstance(part, GraphModule):
                continue
            for node in part.graph.nodes:
                if node.kwargs.get("device") not in (None, device):
                    node.kwargs = {**node.kwargs, "device": device}
                    moved = True
            if moved:
                part.recompile()
        return self
