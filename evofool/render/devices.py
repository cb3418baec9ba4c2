"""What the Triton kernels share: whether Triton can draw on a device at all, and who may launch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


LAUNCHING = threading.Lock()
"""Held while Triton compiles or interprets: it is not documented that several threads may compile,
and its interpreter must not run in several. A launch of what is compiled returns at once."""


def can_draw(draw: Callable[[], torch.Tensor], device: torch.device | str) -> bool:
    """Whether `draw`, by which Triton draws a small picture on `device`, works; warns if not."""
    try:
        draw().cpu()  # what goes wrong in a launch comes out here at the latest
    except Exception as error:  # of Triton, of its compilers, of drivers
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        logging.getLogger("evofool").warning(
            "rendering with PyTorch on %s, since Triton cannot draw there (%s)", device, text
        )
        return False
    return True
