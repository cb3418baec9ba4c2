"""The schema of ``kind: signs``: nets, what is painted, by which attacks, how it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, field_validator, model_validator

from evofool.config import Model
from evofool.config.attack import AttackEntry, ImagesConfig
from evofool.config.document import Document
from evofool.config.loading import absolute_classifier, absolute_code
from evofool.config.transforms import TransformsConfig
from evofool.config.values import listed
from evofool.errors import EvofoolError
from evofool.experiments.sections import ExperimentScoring, Sources, no_repeats
from evofool.experiments.transfer.config import absolute_images
from evofool.report.paper import layout_of, shape_of

RowName: TypeAlias = Literal["in-distribution", "logo", "custom"]
ROWS: tuple[RowName, ...] = ("in-distribution", "logo", "custom")
"""As Sitawarin et al. (2018) call them: photographed signs, logos, blank boards."""
DRAWN: dict[RowName, str] = {"logo": "drawn-logos", "custom": "drawn-boards"}
"""Data sets that the rows of drawn pictures are from."""
SCALES: dict[str, dict[str, int]] = {
    "small": {"steps": 100, "search_steps": 3, "k": 8},
    "paper": {"steps": 1000, "search_steps": 5, "k": 32},
}
"""What attacks and transforms have that do not say it themselves."""
PERSPECTIVE, BRIGHTNESS = 0.07, 0.15
"""Of the paper's transforms."""
RESAMPLE: dict[str, list[int]] = {"small": [16, 64], "paper": [32, 600]}
"""Sides of what a camera takes, which the paper enlarges up to 600 pixels."""


class PrintConfig(Model):
    """How a sign is laid out for print.

    Attributes:
        width_mm: of the picture on paper.
        dpi: dots an inch.
        paper: that it is spread over: ``a4``, ``a3`` or ``letter``.
    """

    width_mm: Annotated[float, Field(ge=10, le=5000)] = 600.0
    dpi: Annotated[int, Field(ge=30, le=2400)] = 100
    paper: Literal["a4", "a3", "letter"] = "a4"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            shape_of((1, 1), self.width_mm, self.dpi)
            layout_of((self.width_mm, self.width_mm), self.paper)
        except EvofoolError as error:
            raise ValueError(str(error)) from error
        return self


class SignsConfig(Model):
    """An experiment on signs, checked and complete.

    Attributes:
        nets: sign recognisers of the same classes and input: the undefended first.
        rows: what is painted.
        pictures: of each row; the drawn ones are twelve.
        images: photographed signs with labels, for the row ``in-distribution``; taken evenly
            spread.
        attacks: that take targets. ``sign-evolution`` without ``queries`` costs as much as
            ``sign-embedding``: a forward and a backward pass are three.
        transforms: that attacks are optimised over; by default the paper's perspective, brightness
            and change of size.
        held_back: other transforms of the same ranges that painted pictures are shown under.
        sides: pixels of a sign's side as the camera takes it, which grow fewer with the distance.
        angles: degrees by which the board is turned about its upright axis.
        frames: of a drive by each painted picture; 0 is none.
        print: how the best sign of each net is laid out for print.
        scale: ``small``, or ``paper`` with its steps and its 32 transforms.
        shown: whether the page shows painted photographs, as pictures, stills or in print, as well.
        scoring: how pictures are scored.
        seed: of targets, and of attacks that have none of their own.
    """

    kind: Literal["signs"] = "signs"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    nets: Annotated[Sources, Field(min_length=1, max_length=20)]
    rows: Annotated[tuple[RowName, ...], BeforeValidator(listed), Field(min_length=1)] = ROWS
    pictures: Annotated[int, Field(ge=1, le=10_000)] = 10
    images: ImagesConfig | None = None
    attacks: Annotated[
        tuple[AttackEntry, ...], BeforeValidator(listed), Field(min_length=1, max_length=50)
    ] = (
        AttackEntry.model_validate("sign-embedding"),
        AttackEntry.model_validate("sign-evolution"),
    )
    transforms: TransformsConfig
    held_back: Annotated[int, Field(ge=1, le=1000)] = 10
    sides: Annotated[
        tuple[Annotated[int, Field(ge=2, le=2048)], ...],
        BeforeValidator(listed),
        Field(min_length=1, max_length=50),
    ] = (32, 24, 16, 12, 8, 6)
    angles: Annotated[
        tuple[Annotated[float, Field(ge=-85, le=85)], ...],
        BeforeValidator(listed),
        Field(min_length=1, max_length=50),
    ] = (0.0, 15.0, 30.0, 45.0, 60.0)
    frames: Annotated[int, Field(ge=0, le=1000)] = 40
    print: PrintConfig = Field(default_factory=PrintConfig)
    scale: Literal["small", "paper"] = "small"
    shown: bool = True
    scoring: ExperimentScoring = Field(default_factory=ExperimentScoring)
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1

    @field_validator("angles", mode="before")
    @classmethod
    def _floats(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return tuple(float(one) if type(one) is int else one for one in value)

    @field_validator("rows", "sides", "angles")
    @classmethod
    def _once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return no_repeats(value)

    @field_validator("nets")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        no_repeats(tuple(net.model_dump_json() for net in value))
        for net in value:
            if net.transforms is not None:
                raise ValueError(
                    f"{net.name}: transforms stand beside the nets here; move them there"
                )
        return value

    @field_validator("transforms")
    @classmethod
    def _held_back_beside(cls, value: TransformsConfig) -> TransformsConfig:
        if value.held_back != TransformsConfig().held_back:
            raise ValueError("held_back stands beside transforms here; move it there")
        if value.onto is not None:
            raise ValueError("onto: signs are painted here, not stuck onto pictures; remove it")
        return value

    @model_validator(mode="before")
    @classmethod
    def _of_the_scale(cls, value: Any) -> Any:
        """What is said nowhere, so that the config of a run says it."""
        if not isinstance(value, Mapping):
            return value
        scale = value.get("scale")
        if not isinstance(scale, str) or scale not in SCALES:
            scale = "small"  # the field's own check says what is wrong with another one
        given = value.get("transforms")
        if given is None:
            given = {
                "perspective": PERSPECTIVE, "brightness": BRIGHTNESS, "resample": RESAMPLE[scale],
            }  # fmt: skip
        if isinstance(given, Mapping):
            given = {"k": SCALES[scale]["k"], **given}
        return {**value, "transforms": given}

    @model_validator(mode="after")
    def _photographs(self) -> Self:
        if "in-distribution" not in self.rows:
            return self
        if self.images is None:
            raise ValueError(
                "the row in-distribution needs photographed signs: add images: {dataset: gtsrb},"
                " or leave it out of rows"
            )
        if self.images.noise is not None or self.images.labels == "victim":
            raise ValueError("images: must be pictures with their own labels")
        return self

    @property
    def seen(self) -> TransformsConfig:
        """The transforms that attacks are optimised over."""
        return self.transforms.model_copy(update={"held_back": 0})


def resolve(config: SignsConfig, document: Document, check_files: bool) -> Document:
    """`document` with all files that it names absolute, see `evofool.experiments.engine.study`.

    Raises:
        ConfigError: a file is missing.
    """
    for index in range(len(config.nets)):
        document = absolute_classifier(document, ("nets", index), check_files)
    if config.images is not None:
        document = absolute_images(document, config.images, check_files)
    return absolute_code(document, ("attacks",), check_files)
