"""Encodings may be anyone's code: whatever theirs raises ends in one message, and the run goes on
from where it was saved.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

from evofool.encodings import Encoding
from evofool.errors import EvofoolError, ScoringError
from evofool.scoring import OutOfMemory
from evofool.scoring.devices import is_out_of_memory

ACTIONS = {
    "sample": "make a random genome",
    "mutate": "mutate",
    "mate": "cross two genomes",
    "mutate_many": "mutate",
    "mate_many": "cross two genomes",
    "render": "render",
    "render_tensor": "render",
    "dump": "write a genome down",
    "to_vector": "make a vector of a genome",
    "from_vector": "make a genome of a vector",
    "renderer": "say what draws",
    "on": "move to a device",
    "backdrop": "draw its background",
    "stages": "describe how a picture is composed",
}
"""What each method of an encoding does, as messages put it: "failed to ..."."""


def guarded(encoding: Encoding[Any]) -> Encoding[Any]:
    """`encoding`, whose exceptions come out as `ScoringError` with its name.

    The exceptions are ``load``, which must raise ``ValueError`` on damaged bytes and may raise
    nothing else, and what is an `EvofoolError` already.
    """
    return cast(Encoding[Any], _Guarded(encoding))


class _Guarded:
    """Methods are attributes of the object, so that runtime protocols find those there are."""

    def __init__(self, encoding: Encoding[Any]) -> None:
        self.name = encoding.name
        self.options = encoding.options
        self.describe = encoding.describe
        for method, action in ACTIONS.items():
            if (function := getattr(encoding, method, None)) is not None:
                what = f"encoding {self.name} failed to {action}"
                setattr(self, method, explained(function, what, method == "render_tensor"))
        if (breeder := getattr(encoding, "breeder", None)) is not None:
            self.breeder = breeder
        self.any_size = bool(getattr(encoding, "any_size", False))
        self._load = encoding.load

    def load(self, data: bytes) -> Any:
        try:
            return self._load(data)
        except (ValueError, EvofoolError):
            raise
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error


def explained(function: Callable[..., Any], what: str, smaller: bool) -> Callable[..., Any]:
    """`function`, whose exceptions come out as `ScoringError` that begins with `what`.

    `smaller` says that half as many genomes at a time may fit where all do not.
    """

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except EvofoolError:
            raise
        except Exception as error:
            message = f"{what} ({type(error).__name__}: {error})"
            if smaller and is_out_of_memory(error):
                raise OutOfMemory(message) from error
            raise ScoringError(message) from error

    return call
