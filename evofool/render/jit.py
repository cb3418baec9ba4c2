"""A typed door to numba, which is untyped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def jit(signature: str, fastmath: frozenset[str] = frozenset()) -> Callable[[F], F]:
    """Compiles a function for `signature` at import, cached on disk, to run without the GIL.

    Division by zero gives what floats give, as in numpy. `fastmath` names LLVM's flags.
    """
    wrapper = numba.njit(
        signature, cache=True, nogil=True, error_model="numpy", fastmath=set(fastmath)
    )
    return cast(Callable[[F], F], wrapper)
