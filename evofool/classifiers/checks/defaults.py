"""PyTorch's defaults while a victim is loaded or run, whatever the caller has set."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any


class Defaults:
    """float32 as the default dtype, and the CPU as the default device.

    The default dtype belongs to the whole process: threads inside share it, and the last one out
    puts back what was there. The default device and inference mode belong to a thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: Any = None

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """The defaults that evofool's own code and a victim's are run under.

        Where torch was not imported yet, nobody can have changed them.
        """
        torch = sys.modules.get("torch")
        if torch is None:
            yield
            return
        with contextlib.ExitStack() as stack:
            if torch.get_default_dtype() != torch.float32 or self._inside:
                stack.enter_context(self._dtype())
            if _default_device(torch) != "cpu":
                stack.enter_context(torch.device("cpu"))
            if torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(False))
            yield

    @contextlib.contextmanager
    def _dtype(self) -> Iterator[None]:
        import torch

        with self._lock:
            if self._inside == 0:
                self._before = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    torch.set_default_dtype(self._before)


def _default_device(torch: Any) -> str:
    try:
        return str(torch.get_default_device().type)
    except AttributeError:  # PyTorch 2.6 once a caller has taken its choice back
        return "cpu"


DEFAULTS = Defaults()
"""One a process, as the default dtype is."""
