"""A typed door to numba, which is untyped."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from evofool.files import reason

F = TypeVar("F", bound=Callable[..., Any])


def jit(signature: str, fastmath: frozenset[str] = frozenset()) -> Callable[[F], F]:
    """Compiles a function for `signature` at import, cached on disk, to run without the GIL.

    Where nothing can be cached (a read-only installation without a home, a full disk, a damaged
    cache) it is compiled at every start, which costs seconds and nothing else. Division by zero
    gives what floats give, as in numpy. `fastmath` names LLVM's flags.
    """

    def compiled(function: F) -> F:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath)}
        try:
            if not _has_place(function):
                raise OSError("there is no home folder to keep it in")
            return cast(F, numba.njit(signature, cache=True, **options)(function))
        except Exception as error:  # a cache can fail in many ways; other faults come up again
            machine_code = cast(F, numba.njit(signature, **options)(function))
            logging.getLogger(__name__).info(
                "%s is compiled at every start, since numba cannot cache it (%s)",
                function.__name__,
                reason(error),
            )
            return machine_code

    return compiled


def _has_place(function: Callable[..., Any]) -> bool:
    """Whether numba's cache has a place: it takes a missing home for a folder named ``~`` here."""
    beside = Path(function.__code__.co_filename).parent
    home = os.path.expanduser("~")  # noqa: PTH111 (which never raises)
    return bool(os.environ.get("NUMBA_CACHE_DIR")) or home != "~" or os.access(beside, os.W_OK)
