"""The schema of ``evofool attack``: which images, which attacks, aimed at what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, field_validator, model_serializer, model_validator

from evofool.config.base import Model
from evofool.config.classifier import ClassifierConfig
from evofool.config.loading import (
    Loaded,
    absolute,
    absolute_classifier,
    absolute_code,
    absolute_pictures,
    load_model,
    validate,
    with_seed,
)
from evofool.config.scoring import ScoringConfig
from evofool.config.values import Classes, Count, class_name, gathered, listed
from evofool.errors import ConfigError
from evofool.validation import KeyPath, shown

AIMS = ("none", "least_likely", "random", "next", "all")
"""Targets that are no single class."""


def _targets(value: Any) -> int | str:
    try:
        return class_name(value)
    except ValueError:
        raise ValueError(
            f"must be one of {', '.join(AIMS)}, a class index or a label, not {shown(value)}"
        ) from None


Targets: TypeAlias = Annotated[int | str, BeforeValidator(_targets)]


class ImagesConfig(Model):
    """The images to attack: from a folder of pictures, a data set, or noise.

    Attributes:
        folder: pictures of any size, in the order of their names; resized as the victim wants.
        dataset: a name that ``evofool list datasets`` shows.
        noise: ``uniform`` on [0, 1], ``normal`` (N(0, 1) cut to [0, 1]), ``dim`` (N(127, 10) of 255
            levels) or ``grey`` (every level 127: all images are the same).
        split: of the data set (default ``test``).
        classes: of the data set: only images of these (default ``all``).
        count: images of noise (default 20).
        labels: ``victim``: its own answer to the clean picture (the default where nothing else is
            known); of a data set also ``index`` (class k of it is class k of the victim, whatever
            their names); of a folder also a CSV file with the columns ``file`` and ``label`` (an
            index or a name), or a pattern of file names such as ``imagenet_*_{class}``.
        limit: most images; None is all.
        offset: images left out first.
    """

    folder: Annotated[str, Field(min_length=1)] | None = None
    dataset: Annotated[str, Field(min_length=1)] | None = None
    noise: Literal["uniform", "normal", "dim", "grey"] | None = None
    split: Literal["train", "test"] | None = None
    classes: Classes | None = None
    count: Annotated[int, Field(ge=1, le=100_000)] | None = None
    labels: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    limit: Count | None = None
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("folder", "dataset", "noise") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "must name exactly one of folder, dataset and noise, not "
                + (" and ".join(given) or "none of them")
            )
        for key, source in (("split", "dataset"), ("classes", "dataset"), ("count", "noise")):
            if getattr(self, key) is not None and given != [source]:
                raise ValueError(f"{key} belongs to {source}, not to {given[0]}; remove it")
        words = ("victim", "index") if self.dataset is not None else ("victim",)
        if self.folder is None and self.labels not in (None, *words):
            raise ValueError(
                f"the labels of a {given[0]} can only be `victim` (the victim's own answers)"
                + (" or `index` (class k of it is the victim's class k)" * (len(words) - 1))
            )
        return self

    @property
    def has_pattern(self) -> bool:
        """Whether `labels` is a pattern of file names."""
        return self.labels is not None and "{class}" in self.labels


class AttackEntry(Model):
    """One attack: in YAML its parameters are written beside its name; a list of values is a grid.

    Attributes:
        name: one that ``evofool list attacks`` shows, or ``path/to/file.py:Class``.
        targets: what it aims at, instead of the config's `targets`.
        options: its parameters, checked by the attack itself.
    """

    name: Annotated[str, Field(min_length=1, max_length=4096)]
    targets: Targets | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        return gathered({"name": value} if isinstance(value, str) else value, "name", "targets")

    @model_serializer
    def _spread(self) -> dict[str, Any]:
        targets = {} if self.targets is None else {"targets": self.targets}
        return {"name": self.name, **targets, **self.options}


class AttackCampaign(Model):
    """Attacks on images, checked and complete.

    Attributes:
        classifier: the victim.
        images: what is attacked.
        only_correct: leave out images that the victim gets wrong before any attack.
        targets: for every attack that can be aimed: ``none``, ``least_likely`` (of the clean
            image), ``random``, ``next`` (label + 1), ``all`` (each other class, one after the
            other) or a class.
        attacks: in the order in which they run.
        scoring: how images are scored; `budget` is for the whole run.
        chunk: images an attack gets at a time, which is what a kill can lose; None goes by their
            size. Part of the result, since float sums depend on it.
        seed: of noise, random targets, and every attack that has no `seed` of its own.
    """

    kind: Literal["attack"] = "attack"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    classifier: ClassifierConfig
    images: ImagesConfig
    only_correct: bool = True
    targets: Targets = "none"
    attacks: Annotated[tuple[AttackEntry, ...], BeforeValidator(listed)]
    scoring: ScoringConfig = Field(default_factory=ScoringConfig)
    chunk: Annotated[int, Field(ge=1, le=65536)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    @field_validator("classifier", mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("attacks")
    @classmethod
    def _some(cls, value: tuple[AttackEntry, ...]) -> tuple[AttackEntry, ...]:
        if not value:
            raise ValueError("is an empty list; name at least one (evofool list attacks)")
        return value


def load_attacks(
    source: Path | str | Mapping[str, Any] | AttackCampaign,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    check_files: bool = True,
) -> Loaded[AttackCampaign]:
    """A config of kind attack; paths and arguments as in `load_campaign`.

    Raises:
        ConfigError: anything is wrong; the message starts with the place.
    """
    loaded = load_model(source, AttackCampaign, overrides)
    images = loaded.config.images
    document = with_seed(loaded.document, seed)
    written = images.labels not in (None, "victim") and not images.has_pattern
    is_file = written and images.folder is not None
    document = absolute(document, check_files, [("images", "labels", lambda *_: is_file)])
    if images.folder is not None:
        where: KeyPath = ("images", "folder")
        folder = document.resolve(where, images.folder)
        if check_files and not folder.is_dir():
            raise document.error(where, f"no such folder: {folder}")
        document = document.replaced(where, str(folder), document.place(where))
    for index, entry in enumerate(loaded.config.attacks):
        if isinstance(entry.options.get("substitute"), str):
            where = ("attacks", index, "substitute")
            document = absolute_classifier(document, where, check_files)
    document = absolute_code(document, ("attacks",), check_files)
    document = absolute_pictures(document, ("attacks",), check_files)
    if images.has_pattern:
        _check_pattern(images.labels or "", document.error(("images", "labels"), ""))
    return Loaded(validate(document, AttackCampaign), document)


def _check_pattern(pattern: str, place: ConfigError) -> None:
    if pattern.count("{class}") != 1 or re.search(r"[{}]", pattern.replace("{class}", "")):
        raise ConfigError(
            f"{place}a pattern of file names must have {{class}} once, and * for any other text,"
            f" not {pattern!r}"
        )
