"""``classifier.transforms``: what may happen to a picture between a wall and the net that sees it.

Every key is a range that each of k transforms draws from; a single number is short for one.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from evofool.config.base import Model

Combine: TypeAlias = Literal["mean", "mean_log_odds", "least"]
MOST_TRANSFORMS = 1024
"""Transforms a picture, at most."""
MOST_PERSPECTIVE = 0.24
"""Corner shift, as a share of the side, from which on four moved corners may fold over."""


def _range(value: Any, low: float | None) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = (-abs(value) if low is None else min(low, value), abs(value))
    if isinstance(value, list):
        value = tuple(value)
    ok = isinstance(value, tuple) and len(value) == 2
    if not ok or any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):
        raise ValueError("must be a number or a range [from, to]")
    if not all(map(math.isfinite, value)):
        raise ValueError("must be finite")
    if value[0] > value[1]:
        raise ValueError(f"the range [{value[0]}, {value[1]}] runs backwards")
    return tuple(float(v) for v in value)


def _about_zero(value: Any) -> Any:
    return _range(value, None)


def _from_zero(value: Any) -> Any:
    if isinstance(value, int | float) and value < 0:
        raise ValueError(f"must be at least 0, not {value}")
    return _range(value, 0.0)


def _exactly(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = (value, value)
    return _range(value, None)


def _whole(value: Any) -> Any:
    if value is None:
        return None
    value = _exactly(value)
    if any(v != int(v) for v in value):
        raise ValueError("must be whole numbers")
    return tuple(int(v) for v in value)


def _bounded(least: float, most: float) -> Any:
    def check(value: tuple[float, float]) -> tuple[float, float]:
        if value[0] < least or value[1] > most:
            raise ValueError(f"must lie within {least:g} and {most:g}, not [{value[0]:g}, "
                             f"{value[1]:g}]")  # fmt: skip
        return value

    from pydantic import AfterValidator

    return AfterValidator(check)


Pair: TypeAlias = tuple[float, float]
Whole: TypeAlias = tuple[int, int] | None


class OntoConfig(Model):
    """Natural pictures that a picture is stuck onto, another one under each transform.

    Both are taken in a random order. Each is a folder of pictures, which are resized to the net's
    input, or a ``.npz`` file with an array ``images``, uint8 N x C x H x W of the input's size.

    Attributes:
        path: of those that a picture is optimised over.
        held_back: of those that success is reported on as well.
    """

    path: Annotated[str, Field(min_length=1)]
    held_back: Annotated[str, Field(min_length=1)]


class TransformsConfig(Model):
    """How pictures are transformed before the net sees them.

    Attributes:
        k: transforms of every picture: the same k for all, and k forward images a picture.
        combine: how the k answers become one: ``mean`` of the probabilities, ``mean_log_odds``, or
            ``least``, of the transform that is hardest to fool.
        seed: of the k transforms.
        perspective: most shift of a corner, as a share of the side.
        rotation: degrees; a number is short for [-it, it].
        scale: of the picture in its frame; 1 fills it.
        shift: across and down, as a share of the side; a number is short for [-it, it].
        brightness: added, of a range of 1; a number is short for [-it, it].
        contrast: factor about mid-grey.
        motion_blur: pixels of the net's input that the picture moves; a number is short for
            [0, it].
        defocus: radius in pixels of the blur disc; a number is short for [0, it].
        resample: side in pixels of the picture that a camera takes, before it becomes the net's
            input again; None is its own.
        noise: standard deviation of the sensor's noise, of a range of 1; a number is short for
            [0, it].
        jpeg: quality, 5 to 100; None is no JPEG.
        fill: what lies beyond the picture: ``edge`` repeats its border, a number is a grey.
        quantise: whether a transformed picture has 8 bits, as a camera's.
        held_back: other transforms that success is reported under as well.
        onto: pictures that the picture is stuck onto, as large as `scale` says; None for none.
    """

    k: Annotated[int, Field(ge=1, le=MOST_TRANSFORMS)] = 8
    combine: Combine = "mean"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    perspective: Annotated[float, Field(ge=0, le=MOST_PERSPECTIVE)] = 0.0
    rotation: Annotated[Pair, BeforeValidator(_about_zero), _bounded(-180, 180)] = (0.0, 0.0)
    scale: Annotated[Pair, BeforeValidator(_exactly), _bounded(0.05, 4)] = (1.0, 1.0)
    shift: Annotated[Pair, BeforeValidator(_about_zero), _bounded(-2, 2)] = (0.0, 0.0)
    brightness: Annotated[Pair, BeforeValidator(_about_zero), _bounded(-0.9, 0.9)] = (0.0, 0.0)
    contrast: Annotated[Pair, BeforeValidator(_exactly), _bounded(0.05, 4)] = (1.0, 1.0)
    motion_blur: Annotated[Pair, BeforeValidator(_from_zero), _bounded(0, 64)] = (0.0, 0.0)
    defocus: Annotated[Pair, BeforeValidator(_from_zero), _bounded(0, 32)] = (0.0, 0.0)
    resample: Annotated[Whole, BeforeValidator(_whole)] = None
    noise: Annotated[Pair, BeforeValidator(_from_zero), _bounded(0, 1)] = (0.0, 0.0)
    jpeg: Annotated[Whole, BeforeValidator(_whole)] = None
    fill: Literal["edge"] | Annotated[float, Field(ge=0, le=1)] = "edge"
    quantise: bool = True
    held_back: Annotated[int, Field(ge=0, le=10_000)] = 10
    onto: OntoConfig | None = None

    @model_validator(mode="after")
    def _sides(self) -> Self:
        for name, least, most in (("resample", 4, 2048), ("jpeg", 5, 100)):
            value = getattr(self, name)
            if value is not None and (value[0] < least or value[1] > most):
                raise ValueError(f"{name}: must lie within {least} and {most}, not {list(value)}")
        return self

    @model_validator(mode="after")
    def _in_the_frame(self) -> Self:
        """A picture of `scale` s covers s of the frame, and is out of it once its centre is
        (1 + s) / 2 away."""
        furthest = max(map(abs, self.shift)) + self.perspective
        room = (1 + self.scale[0]) / 2
        if furthest >= room:
            raise ValueError(
                f"these leave no sign in the frame: a shift of {furthest:g} (with perspective)"
                f" moves a picture of scale {self.scale[0]:g} completely out of it; stay below"
                f" {room:g}"
            )
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `onto` where it is None: digests and addresses of before there was any hold."""
        content: dict[str, Any] = handler(self)
        if content.get("onto") is None:
            content.pop("onto", None)
        return content

    @model_validator(mode="after")
    def _room_around(self) -> Self:
        if self.onto is None:
            return self
        if self.scale[1] >= 1:
            raise ValueError(
                f"onto: a picture of scale {self.scale[1]:g} hides what it is stuck onto; set scale"
                " to its side, as a share of the other's, such as 0.3"
            )
        if self.fill != "edge":
            raise ValueError("onto: other pictures lie beyond the picture; remove fill")
        return self

    @property
    def result(self) -> dict[str, Any]:
        """What decides scores, as JSON values; how much is held back does not.

        Nor does where pictures of `onto` lie: the digest of the victim covers their pixels.
        """
        content: dict[str, Any] = self.model_dump(mode="json")
        content.pop("held_back")
        content.pop("onto", None)
        return content
