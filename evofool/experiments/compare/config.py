"""The schema of ``kind: compare``: which methods look for pictures of which nets' classes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_serializer, model_validator

from evofool.config import ClassifierConfig, Model
from evofool.config.document import Document
from evofool.config.loading import absolute_classifier, absolute_code, absolute_pictures
from evofool.config.values import Count, gathered, listed
from evofool.experiments.sections import ExperimentScoring, named, no_repeats

NoiseName = Literal["uniform", "normal", "dim", "grey"]
SOURCES = ("evolution", "random", "noise", "pictures", "attack")
"""Keys of a method, of which each has exactly one."""


class Method(Model):
    """One way to look for pictures; in YAML the parameters of an attack stand beside its name.

    Attributes:
        evolution: MAP-Elites over all classes at once, by the name of an encoding.
        random: as many random pictures of an encoding, without selection.
        noise: as many pictures of noise.
        pictures: as many natural pictures of ``data``: of which split.
        attack: for each class by itself, from a picture of noise.
        start: of an attack: the noise.
        name: in tables and plots; made from the rest by default.
        initial: of evolution: random individuals before the first generation.
        children: of evolution: individuals a generation.
        options: of an attack its parameters, of evolution those of the encoding.
    """

    evolution: Annotated[str, Field(min_length=1)] | None = None
    random: Annotated[str, Field(min_length=1)] | None = None
    noise: NoiseName | None = None
    pictures: Literal["train", "test"] | None = None
    attack: Annotated[str, Field(min_length=1)] | None = None
    start: NoiseName = "uniform"
    name: Annotated[str, Field(pattern=r"^\w[\w .,+-]{0,59}$")] | None = None
    initial: Count = 200
    children: Count = 200
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        own = (*SOURCES, "start", "name", "initial", "children")
        return gathered(value, *own)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [source for source in SOURCES if getattr(self, source) is not None]
        if len(given) != 1:
            raise ValueError(
                f"must name exactly one of {', '.join(SOURCES)}, not "
                + (" and ".join(given) or "none of them")
            )
        if self.attack is None and self.evolution is None and self.options:
            key = next(iter(self.options))
            raise ValueError(f"unknown key {key!r} for a method with {given[0]}")
        return self

    @model_serializer
    def _spread(self) -> dict[str, Any]:
        (source,) = (s for s in SOURCES if getattr(self, s) is not None)
        own = {"evolution": ("initial", "children"), "attack": ("start",)}.get(source, ())
        first = {} if self.name is None else {"name": self.name}
        rest = {key: getattr(self, key) for key in (source, *own)}
        return {**first, **rest, **self.options}

    @property
    def by(self) -> str:
        """The name of its attack, else its source."""
        return self.attack or next(s for s in SOURCES if getattr(self, s) is not None)

    @property
    def title(self) -> str:
        """What it is called."""
        if self.name is not None:
            return self.name
        if self.attack is not None:
            setting = self.options.get("setting")
            return self.attack if setting in (None, "evofool") else f"{self.attack} {setting}"
        (source,) = (s for s in SOURCES if getattr(self, s) is not None)
        return f"{source} {getattr(self, source)}"


class CompareConfig(Model):
    """A comparison, checked and complete.

    Attributes:
        victims: the nets.
        methods: the ways to look for pictures.
        budget: forward-equivalents of a method, a net and a seed, over all classes together:
            images forward plus twice the images of which gradients were taken. A method that works
            for each class by itself gets ``budget / classes`` for each.
        classes: the first so many of each net; None is all.
        seeds: every method is run once with each.
        data: a data set of natural pictures: what ``pictures`` are drawn from, and what the
            pictures of all methods are held against (its training split, where it has one).
        transfer: other nets that the pictures of all methods are shown to, their classes found by
            name.
        pictures: whether natural pictures are left in the run folder and on the page; false for a
            folder that is to be published.
        scoring: how images are scored.
        seed: of the bootstrap.
    """

    kind: Literal["compare"] = "compare"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    victims: Annotated[tuple[ClassifierConfig, ...], BeforeValidator(named), Field(min_length=1)]
    methods: Annotated[tuple[Method, ...], BeforeValidator(listed), Field(min_length=1)]
    budget: Count = 20_000
    classes: Annotated[int, Field(ge=2, le=100_000)] | None = None
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**32)], ...],
        BeforeValidator(listed),
        Field(min_length=1, max_length=100),
    ] = (1, 2, 3)
    data: Annotated[str, Field(min_length=1)] | None = None
    transfer: Annotated[tuple[ClassifierConfig, ...], BeforeValidator(named)] = ()
    pictures: bool = True
    scoring: ExperimentScoring = Field(default_factory=ExperimentScoring)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("methods")
    @classmethod
    def _titles_once(cls, value: tuple[Method, ...]) -> tuple[Method, ...]:
        titles = [method.title for method in value]
        for title in titles:
            if titles.count(title) > 1:
                raise ValueError(f"two methods are called {title!r}; give one of them a name")
        return value

    @field_validator("seeds")
    @classmethod
    def _once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return no_repeats(value)


def resolve(config: CompareConfig, document: Document, check_files: bool) -> Document:
    """`document` with all files that it names absolute, see `evofool.experiments.engine.study`.

    Raises:
        ConfigError: a file is missing.
    """
    for index in range(len(config.victims)):
        document = absolute_classifier(document, ("victims", index), check_files)
    for index in range(len(config.transfer)):
        document = absolute_classifier(document, ("transfer", index), check_files)
    document = absolute_code(document, ("methods",), check_files)
    return absolute_pictures(document, ("methods",), check_files)
