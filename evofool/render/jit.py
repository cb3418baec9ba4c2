"""A typed door to numba, which is untyped."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
            return cast(F, numba.njit(signature, cache=True, **options)(function))
        except Exception as error:  # a cache can fail in many ways; other faults come up again
            found = cast(F, numba.njit(signature, **options)(function))
            logging.getLogger(__name__).info(
                "%s is compiled at every start, since numba cannot cache it (%s)",
                function.__name__,
                reason(error),
            )
            return found

    return compiled
