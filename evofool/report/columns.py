"""Columns of a table: what their cells are, how each is shown to people and to programs."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias, cast

from evofool.text import probability, rate

MISSING = "-"
"""How a cell is shown that has no value."""


class Estimate(NamedTuple):
    """A number with the ends of its interval, which are NaN where it has none."""

    value: float
    low: float
    high: float


Cell: TypeAlias = str | float | Estimate | None
"""A text, an int, a float, a number with its interval, or nothing."""


@dataclass(frozen=True)
class Column:
    """One column; its subclasses say what the cells are.

    Attributes:
        title: heading for people.
        name: heading for programs; `title` where it is empty.
    """

    title: str
    name: str = ""

    right: ClassVar[bool] = True
    """Whether cells end at one edge, as numbers do."""

    @property
    def intervals(self) -> str:
        """Heading of the cells' intervals; empty where they have none."""
        return ""

    def fields(self) -> tuple[str, ...]:
        """Names of the columns that this one is for programs."""
        return (self.name or self.title,)

    def values(self, cell: Cell) -> tuple[object, ...]:
        """A cell for programs, one value a field; None where there is none."""
        return (cell,)

    def shown(self, cell: Cell) -> str:
        """A cell for people, without its interval. Texts are as they came: not yet escaped."""
        return MISSING if _missing(cell) else self._shown(cell)

    def interval(self, cell: Cell) -> str:
        """The interval of a cell for people; empty where there is none."""
        return ""

    @property
    def bars(self) -> bool:
        """Whether a page shows the cells as bars, too."""
        return False

    def ends(self, cell: Cell) -> Estimate | None:
        """A share and its interval, which a page shows as a bar; None where it shows none."""
        return None

    def accepts(self, cell: Cell) -> bool:
        """Whether a cell is of this column's kind; None always is."""
        return cell is None or self._accepts(cell)

    def _accepts(self, cell: object) -> bool:
        return isinstance(cell, numbers.Real) and not isinstance(cell, bool)

    def _shown(self, cell: Cell) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class Text(Column):
    """Texts, which may be anyone's; `at_right`: they end at one edge."""

    at_right: bool = False

    @property
    def right(self) -> bool:  # type: ignore[override]
        """Whether cells end at one edge."""
        return self.at_right

    def _accepts(self, cell: object) -> bool:
        return isinstance(cell, str)

    def _shown(self, cell: Cell) -> str:
        return cast(str, cell)


@dataclass(frozen=True)
class Count(Column):
    """Whole numbers, in groups of three digits."""

    def _accepts(self, cell: object) -> bool:
        return isinstance(cell, numbers.Integral) and not isinstance(cell, bool)

    def _shown(self, cell: Cell) -> str:
        return f"{cast(int, cell):,}"


@dataclass(frozen=True)
class Number(Column):
    """Numbers; `form` is a format specification of Python, such as ``.3f``.

    Raises:
        ValueError: `form` is none for numbers.
    """

    form: str = ".4g"

    def __post_init__(self) -> None:
        format(0.5, self.form)

    def _shown(self, cell: Cell) -> str:
        return format(cast(float, cell), self.form)


@dataclass(frozen=True)
class Seconds(Column):
    """Times in seconds."""

    def _shown(self, cell: Cell) -> str:
        return f"{cast(float, cell):,.1f} s"


@dataclass(frozen=True)
class _Interval(Column):
    """Numbers that may have an interval.

    Attributes:
        bounds: names of the interval's ends for programs; without them cells are plain numbers.
        level: heading of the interval.
    """

    bounds: tuple[str, str] | None = None
    level: str = "95 %"

    @property
    def intervals(self) -> str:
        """Heading of the cells' intervals; empty where they have none."""
        return self.level if self.bounds else ""

    def fields(self) -> tuple[str, ...]:
        """The number, then the ends of its interval."""
        return (*super().fields(), *(self.bounds or ()))

    def values(self, cell: Cell) -> tuple[object, ...]:
        """The number, then the ends of its interval."""
        if self.bounds is None:
            return (cell,)
        if cell is None:
            return (None, None, None)
        value, *ends = cast(Estimate, cell)
        return (value, *(None if math.isnan(end) else end for end in ends))

    def interval(self, cell: Cell) -> str:
        """``LOW-HIGH``."""
        if not isinstance(cell, Estimate) or _missing(cell) or math.isnan(cell.low):
            return ""
        return self._between(cell.low, cell.high)

    def _accepts(self, cell: object) -> bool:
        if self.bounds is None:
            return super()._accepts(cell)
        return isinstance(cell, Estimate) and all(map(super()._accepts, cell))

    def _shown(self, cell: Cell) -> str:
        return self._one(cell.value if isinstance(cell, Estimate) else cast(float, cell))

    def _one(self, value: float) -> str:
        raise NotImplementedError

    def _between(self, low: float, high: float) -> str:
        return f"{self._one(low)}-{self._one(high)}"


@dataclass(frozen=True)
class Rate(_Interval):
    """Shares on [0, 1], in per cent.

    Attributes:
        of: how many things the shares are of, at most; `evofool.text.rate` says how many digits
            that bears out.
        bar: colour of the bar that a page shows each share as, "main" or "second"; empty for none.
    """

    of: int = 1000
    bar: str = ""

    @property
    def bars(self) -> bool:
        """Whether a page shows the cells as bars, too."""
        return bool(self.bar)

    def ends(self, cell: Cell) -> Estimate | None:
        """What the bar of a cell shows; None for a cell without one."""
        if not self.bar or cell is None or _missing(cell):
            return None
        if isinstance(cell, Estimate):
            return cell
        value = cast(float, cell)
        return Estimate(value, value, value)

    def _one(self, value: float) -> str:
        return rate(value, self.of)

    def _between(self, low: float, high: float) -> str:
        return f"{self._one(low).removesuffix(' %')}-{self._one(high)}"


@dataclass(frozen=True)
class Confidence(_Interval):
    """Probabilities, with as many digits as tell how near to 1 they are."""

    def _one(self, value: float) -> str:
        return probability(value)


def _missing(cell: Cell) -> bool:
    value = cell.value if isinstance(cell, Estimate) else cell
    return value is None or (not isinstance(value, str) and math.isnan(value))
