"""Values that several sections of a config have: lists, classes, counts, shares."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from evofool.text import suggestion
from evofool.validation import shown

RANGE = re.compile(r"(\d{1,9})\s*-\s*(\d{1,9})")
"""``151-285``: an inclusive range of class indices."""
FITNESSES = ("log_odds", "probability", "log_probability")


def listed(value: Any) -> Any:
    """A YAML list as the tuple that strict models want; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) else listed(value)


def class_name(value: Any) -> int | str:
    """A class as a config names it, an index or a label."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"must be a class index (0, 1, ...) or a label, not {shown(value)}")


def _classes(value: Any) -> Any:
    if value == "all":
        return value
    value = listed(value)
    if not isinstance(value, tuple):
        value = (value,)
    if not value:
        raise ValueError("is an empty list; write `all`, or indices, labels and ranges")
    for item in value:
        class_name(item)
        match = RANGE.fullmatch(item) if isinstance(item, str) else None
        if match and int(match[1]) > int(match[2]):
            raise ValueError(f"the range {item} runs backwards")
    return value


def _fitness(value: Any) -> Any:
    if value in FITNESSES:
        return value
    if isinstance(value, str) and re.fullmatch(r".+\.py:[^\W\d]\w*", value):
        return value
    mend = suggestion(value, FITNESSES) if isinstance(value, str) else ""
    raise ValueError(
        f"must be one of {', '.join(FITNESSES)}, or path/to/file.py:function, not {shown(value)}"
        f"{mend}"
    )


def gathered(value: Any, *own: str) -> Any:
    """A mapping with all that is not one of the keys `own` moved into ``options``."""
    if not isinstance(value, dict):
        return value
    rest = {key: inner for key, inner in value.items() if key not in own}
    if rest.keys() == {"options"} and isinstance(rest["options"], dict):
        rest = rest["options"]
    return {**{key: value[key] for key in own if key in value}, "options": rest}


Floats: TypeAlias = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | None, BeforeValidator(_one_or_many)
]
Target: TypeAlias = Annotated[int | str, BeforeValidator(class_name)]
Classes: TypeAlias = Annotated[Literal["all"] | tuple[int | str, ...], BeforeValidator(_classes)]
RankedBy: TypeAlias = Annotated[str, BeforeValidator(_fitness)]
Side: TypeAlias = Annotated[int, Field(ge=1, le=8192)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=10_000_000)]
Positive: TypeAlias = Annotated[int, Field(ge=1, lt=2**63)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
