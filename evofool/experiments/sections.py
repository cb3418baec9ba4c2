"""Sections that the configs of several experiments share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, field_validator, model_serializer, model_validator

from evofool.config import ClassifierConfig, Model
from evofool.config.campaign import EncodingConfig
from evofool.config.values import Count, Positive, gathered, listed
from evofool.experiments.engine.context import Scoring
from evofool.plugins import in_file


def named(value: Any) -> Any:
    """A list of classifiers, each of which may be its name alone."""
    if not isinstance(value, list | tuple):
        return value
    return tuple({"name": item} if isinstance(item, str) else item for item in value)


Sources: TypeAlias = Annotated[tuple[ClassifierConfig, ...], BeforeValidator(named)]


def no_repeats(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """`value`; raises ValueError if something stands there twice."""
    if len(set(value)) < len(value):
        raise ValueError("names one twice")
    return value


def called(encoding: str) -> str:
    """An encoding as files and tables name it: ``file.Class`` for ``path/to/file.py:Class``."""
    if not in_file(encoding):
        return encoding
    file, _, attribute = encoding.rpartition(":")
    return f"{Path(file).stem}.{attribute}"


class EncodingEntry(EncodingConfig):
    """An encoding of an experiment: by name alone, or with options beside it.

    Attributes:
        called: in files and tables; by default as `called` says.
    """

    called: Annotated[str, Field(pattern=r"^\w[\w .-]{0,59}$")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        return gathered({"name": value} if isinstance(value, str) else value, "name", "called")

    @model_serializer
    def _spread(self) -> Any:
        own = {"name": self.name} | ({} if self.called is None else {"called": self.called})
        return {**own, **self.options} if self.options or self.called else self.name

    @property
    def title(self) -> str:
        """What it is called."""
        return self.called or called(self.name)


class EvolutionBudget(Model):
    """Evolution as an attacker: MAP-Elites over all classes, the same on every net.

    Attributes:
        encodings: by name or ``path/to/file.py:Class``, with the options that each has by default,
            or ``{name: masked, called: sticker, inner: ...}`` with others.
        initial: random individuals before the first generation.
        children: individuals a generation.
        generations: not counting the initial individuals.
    """

    encodings: Annotated[
        tuple[EncodingEntry, ...], BeforeValidator(listed), Field(min_length=1)
    ] = (EncodingEntry(name="direct"), EncodingEntry(name="cppn"))
    initial: Count = 200
    children: Count = 200
    generations: Positive = 50

    @field_validator("encodings")
    @classmethod
    def _once(cls, value: tuple[EncodingEntry, ...]) -> tuple[EncodingEntry, ...]:
        no_repeats(tuple(one.model_dump_json() for one in value))
        names = [one.title for one in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"two would be called {name} in tables; give one another name by its key called"
                )
        return value

    @property
    def named(self) -> dict[str, EncodingEntry]:
        """The encodings by the names that files and tables give them."""
        return {one.title: one for one in self.encodings}


class EvolutionThreat(EvolutionBudget):
    """The same, over several seeds.

    Attributes:
        seeds: one run each.
    """

    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**63)], ...],
        BeforeValidator(listed),
        Field(min_length=1),
    ] = (1, 2, 3)

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return no_repeats(value)


class ExperimentScoring(Model):
    """How images are scored.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        batch: images a forward pass; part of the result, since float sums depend on it.
        workers: threads; not part of the result.
    """

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")] = "auto"
    batch: Annotated[int, Field(ge=1, le=65536)] = 100
    workers: Annotated[int, Field(ge=1, le=1024)] = 2

    def resolved(self) -> Scoring:
        """As works say it.

        Raises:
            UsageError: the device is not here.
        """
        from evofool.scoring.devices import pick_device

        kind = pick_device(self.device).partition(":")[0]
        return Scoring(self.batch, kind, on=self.device, workers=self.workers)
