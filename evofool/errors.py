"""Errors a person is meant to read: one message that names the place and the mend.

Every class carries the exit code the command line ends with (0 done, 1 the run failed,
2 bad usage or config, 3 the run folder is in use). Anything else that escapes is a defect.
"""

from __future__ import annotations


class EvofoolError(Exception):
    """Base of all expected failures; the run failed while it was running."""

    exit_code = 1


class UsageError(EvofoolError):
    """What was asked for cannot be done as asked: a bad argument, file, config or victim."""

    exit_code = 2


class ConfigError(UsageError):
    """A config is wrong; the message starts with ``file:line: key:``."""


class KindError(UsageError):
    """There is no such kind of run, or the package that declares it is broken."""


class ClassifierError(UsageError):
    """A classifier cannot be loaded, or does not behave as a classifier when probed."""


class OptionError(UsageError):
    """Something with options is not valid.

    Args:
        message: what is wrong.
        option: the one that is wrong, as a key below the others: ``mask.at[1]``.
        owner: what has the option; then the text of the error is ``owner: option: message``, and
            whoever knows where the option was written shows that and `message`.
    """

    def __init__(self, message: str, option: str | None = None, owner: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.option = option
        self.owner = owner

    def __str__(self) -> str:
        if not self.owner:
            return self.message
        return ": ".join(filter(None, (self.owner, self.option, self.message)))


class EncodingError(OptionError):
    """An encoding or one of its options is not valid."""


class AttackError(OptionError):
    """An attack or one of its parameters is not valid."""


class DefenseError(OptionError):
    """A defense or one of its options is not valid."""


class ImageError(UsageError):
    """A picture or an image array has the wrong shape, type or range."""


class DataError(UsageError):
    """A data set is missing, truncated or not what it should be."""


class ScoringError(EvofoolError):
    """A victim failed while it was scoring (non-finite scores, a wrong number of rows...)."""


class ServiceError(ScoringError):
    """A service gave no usable answer, however often it was asked; what it answered is kept."""


class ClusterLostError(ScoringError):
    """The cluster of Ray that a run is spread over is gone; what was done so far is saved."""


class BudgetError(ScoringError):
    """The query budget is spent; nothing of the refused request was scored."""

    @classmethod
    def of(cls, budget: int, spent: int, wanted: int) -> BudgetError:
        """`wanted` pictures that `budget` does not cover any more, since `spent` are gone."""
        return cls(
            f"the query budget of {budget} images has {max(0, budget - spent)} left, {wanted} were"
            " asked for"
        )


class StoreError(EvofoolError):
    """A run folder cannot be read or written, or does not hold what it should."""


class DamagedError(StoreError):
    """A file of a run is not as it was written."""


class FolderError(StoreError):
    """What was named is no run folder, or cannot become one: bad usage rather than damage."""

    exit_code = 2


class RunBusyError(StoreError):
    """Another process holds the run folder."""

    exit_code = 3


class Interrupted(EvofoolError):
    """A stop was asked for from outside; the state up to the last generation is saved."""
