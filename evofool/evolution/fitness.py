"""What a campaign ranks by: one of the names of a config, or a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from evofool.classifiers.sources.user_code import UserCode
from evofool.errors import EvofoolError, ScoringError, UsageError
from evofool.images import UInt8Images
from evofool.scoring import Fitness, Matrix, fitness_of

FitnessFunction: TypeAlias = Callable[[Matrix, UInt8Images], Matrix]
"""``function(log_odds, images) -> fitness``.

``log_odds`` is N x classes float64 (infinite where a probability is 0 or 1; a row of NaN for a
picture without scores), ``images`` the N x C x H x W uint8 pictures that have them. What it returns
is N x classes real numbers, higher is better; a NaN wins nothing. Row i may depend on picture i
alone, since pictures come in groups of any size, and the same picture must get the same row.
"""


class NamedFitness:
    """The fitness of a name, which needs no pictures; a `FitnessFunction`."""

    def __init__(self, kind: Fitness) -> None:
        self.kind: Fitness = kind

    def __call__(self, log_odds: Matrix, images: UInt8Images) -> Matrix:
        return fitness_of(log_odds, self.kind)


class CheckedFitness:
    """A user's `FitnessFunction`, whose every answer is checked.

    Args:
        function: the user's.
        name: what messages call it: its file, or the name of the tool.
    """

    def __init__(self, function: FitnessFunction, name: str) -> None:
        self._function = function
        self.name = name

    def __call__(self, log_odds: Matrix, images: UInt8Images) -> Matrix:
        """N x classes float64.

        Raises:
            ScoringError: the function fails, or returns anything else than N x classes real
                numbers, or an infinite one where the log-odds are not infinite.
        """
        given, pictures = log_odds.view(), images.view()
        given.flags.writeable = pictures.flags.writeable = False  # both are used again
        try:
            values = np.asarray(self._function(given, pictures))
        except EvofoolError:
            raise
        except Exception as error:  # of a user's code
            raise ScoringError(
                f"fitness {self.name} failed ({type(error).__name__}: {error})"
            ) from error
        if values.shape != log_odds.shape or values.dtype.kind not in "fiu":
            raise ScoringError(
                f"fitness {self.name} returned {values.dtype} {values.shape}, but must return"
                f" real numbers of {log_odds.shape}: one row per picture, one column per class"
            )
        fitness: Matrix = values.astype(np.float64)
        endless = np.isinf(fitness) & ~np.isinf(log_odds)
        if endless.any():
            row, column = np.argwhere(endless)[0].tolist()
            raise ScoringError(
                f"fitness {self.name} returned {fitness[row, column]} for class {column}, which"
                " nothing could ever exceed or fall below; return a finite number, or NaN for a"
                " picture that must not win"
            )
        return fitness


def is_file(fitness: str) -> bool:
    """Whether ``evolution.fitness`` of a config is ``path/to/file.py:function``."""
    return ".py:" in fitness


def kind_of(fitness: str) -> Fitness:
    """The name of ``evolution.fitness``; where it is a file, a name that is never asked for."""
    return "log_odds" if is_file(fitness) else cast(Fitness, fitness)


def checked(
    tool: FitnessFunction, fitness: str, replaced: Mapping[str, str | None]
) -> CheckedFitness | None:
    """The ``fitness`` of a toolbox, None where it is one of the names.

    Args:
        tool: of the toolbox.
        fitness: ``evolution.fitness`` of the config.
        replaced: tools that are a program's.
    """
    if "fitness" in replaced:
        name = replaced["fitness"]
        return CheckedFitness(tool, f"of the toolbox{'' if name is None else f' ({name})'}")
    return CheckedFitness(tool, fitness) if is_file(fitness) else None


def find_fitness(fitness: str) -> NamedFitness | FitnessFunction:
    """What ``evolution.fitness`` of a config means; a file is run.

    Raises:
        UsageError: the file fails to import, or has no such function.
    """
    if not is_file(fitness):
        return NamedFitness(kind_of(fitness))
    file, _, name = fitness.rpartition(":")
    code = UserCode(Path(file))
    try:
        with code.loading():
            module = code.run()
    except Exception as error:  # the file is the user's: whatever it raises is its fault
        raise UsageError(f"{file}: fails to import ({type(error).__name__}: {error})") from error
    function: Any = getattr(module, name, None)
    if not callable(function) or isinstance(function, type):
        raise UsageError(f"{file}: has no function named {name!r}")
    return cast(FitnessFunction, function)
