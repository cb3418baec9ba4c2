"""What pydantic finds, in a user's words: the key, what is wrong, what would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from evofool.validation import problem_of


class Disc(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    shape: Literal["disc"] = "disc"
    radius: Annotated[float, Field(gt=0, le=1e6)] = 0.5


class Box(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    shape: Literal["box"]
    sides: Annotated[list[int], Field(min_length=2, max_length=2)]


@dataclass(frozen=True)
class Noise:
    __pydantic_config__ = ConfigDict(extra="forbid")

    level: int = 3


class Scene(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] = "scene"
    at: tuple[float, float] | float | None = None
    stop: Literal["never"] | Annotated[int, Field(ge=1)] = "never"
    exact: Literal[True] = True
    mask: Annotated[Disc | Box, Field(discriminator="shape")] | None = None
    plain: Disc | None = None
    many: list[Disc] = []
    by_name: dict[str, Disc] = {}
    noise: Noise | None = None
    label: Annotated[str, Field(min_length=1, max_length=5)] = "x"


def said(data: Any, schema: Any = Scene) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(schema).validate_python(data)
    return str(problem_of(caught.value, data, schema))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"at": "x"}, "at: must be a list or a number, not 'x'"),
        ({"at": (1.0, "x")}, "at[1]: must be a number, not 'x'"),
        ({"at": (1.0,)}, "at: must have 2 items, not 1"),
        ({"at": (1.0, 2.0, 3.0)}, "at: must have at most 2 items, not 3"),
        ({"stop": "nevr"}, "stop: must be never or a whole number, not nevr; did you mean "
                           "'never'?"),
        ({"stop": 0}, "stop: must be at least 1, not 0"),
        ({"stop": 2.0}, "stop: must be never or a whole number, not 2.0; write 2"),
        ({"exact": False}, "exact: must be true, not false"),
        ({"mask": {"shape": "dsc"}}, "mask.shape: must be one of disc, box, not dsc; did you mean "
                                     "'disc'?"),
        ({"mask": {"radius": 1.0}}, "mask.shape: is missing; give one of box, disc"),
        ({"mask": {"shape": "box", "sides": [1]}}, "mask.sides: must have at least 2 items, not 1"),
        ({"mask": {"shape": "box", "radius": 1.0}},
         "mask.radius: belongs to disc, not to box; remove it (and 1 more problem)"),
        ({"mask": {"shape": "disc", "radus": 1.0}},
         "mask.radus: unknown key; did you mean 'radius'?"),
        ({"plain": "disc"}, "plain: must be a mapping (its keys: shape, radius), not 'disc'"),
        ({"plain": {"radius": 0}}, "plain.radius: must be above 0, not 0"),
        ({"plain": {"radius": 2e6}}, "plain.radius: must be at most 1000000, not 2000000.0"),
        ({"many": [{}, {"radius": "x"}]}, "many[1].radius: must be a number, not 'x'"),
        ({"many": [{}, {"q": 1}]}, "many[1].q: unknown key; known here: radius, shape"),
        ({"by_name": {"a": {"radus": 1}}}, "by_name.a.radus: unknown key; did you mean 'radius'?"),
        ({"noise": {"levl": 1}}, "noise.levl: unknown key; did you mean 'level'?"),
        ({"noise": {"level": "x"}}, "noise.level: must be a whole number, not 'x'"),
        ({"name": "!"}, "name: must be a name of letters, digits, spaces and _ . -, at most 100 of "
                        "them, that begins with a letter or a digit, not '!'"),
        ({"label": ""}, "label: must not be empty"),
        ({"label": "too long"}, "label: must have at most 5 characters, not 8"),
        ({"at": "x", "label": 1},
         "at: must be a list or a number, not 'x' (and 1 more problem)"),
        ({"namee": "x"}, "namee: unknown key; did you mean 'name'?"),
        ({"radius": 1.0}, "radius: unknown key; did you mean 'mask.radius'?"),
        (3, "must be a name or a mapping (its keys: name, at, stop, exact, mask, plain, many, "
            "by_name, noise, label), not 3"),
    ],
)  # fmt: skip
def test_the_message(data: Any, message: str) -> None:
    assert said(data) == message


def test_without_a_schema_no_keys_are_listed() -> None:
    with pytest.raises(ValidationError) as caught:
        Scene.model_validate({"namee": 1})
    assert str(problem_of(caught.value, {"namee": 1}, called="option")) == (
        "namee: unknown option; remove it"
    )


def test_one_error_can_be_put_first() -> None:
    data = {"at": "x", "label": ""}
    with pytest.raises(ValidationError) as caught:
        Scene.model_validate(data)
    found = problem_of(caught.value, data, Scene, first=lambda each: each["loc"] == ("label",))
    assert found.path == ("label",)


def test_a_wrong_key_of_a_mapping_is_told_apart_from_a_wrong_value() -> None:
    message = said({"warp": 1}, dict[Literal["mate", "mutate"], str])
    assert message == "warp: its key must be one of mate, mutate, not warp"
