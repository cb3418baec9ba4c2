"""One typed table, as HTML, CSV, Markdown, LaTeX and as lines of a terminal.

Texts in it may be hostile: each format shows them as text, and none takes them for its own marks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

from markupsafe import Markup

from evofool.report.columns import (
    Cell,
    Column,
    Confidence,
    Count,
    Estimate,
    Number,
    Rate,
    Seconds,
    Text,
)
from evofool.report.page import environment
from evofool.text import bare, csv_bytes, printable

__all__ = [
    "Cell",
    "Column",
    "Confidence",
    "Count",
    "Estimate",
    "Number",
    "Rate",
    "Seconds",
    "Table",
    "Text",
]

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|&~$@#!]|(?<=w)\.|:(?=//))")
"""What Markdown, also GitHub's with its bare links, could take for a mark of its own."""
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\char34{}",
    "`": r"\textasciigrave{}",
    # the ``\\`` before a row would take these for its own
    "[": "{[}", "*": "{*}",
}  # fmt: skip
_LIGATURES = re.compile(r"(?<=([-',]))(?=\1)")
"""Between two characters that LaTeX would set as another one, as ``--`` becomes a dash."""


@dataclass(frozen=True)
class Table:
    """Rows of typed cells.

    Attributes:
        columns: at least one.
        rows: each with one cell a column; None where there is no value.
        caption: what is to be seen; may be empty.
        grouped_by: name of a column that on a page is the heading of the rows that follow each
            other and agree in it, in place of a column; empty for none.

    Raises:
        ValueError: there is no column, a row is too short or too long, or a cell is not of its
            column's kind.
        KeyError: there is no column `grouped_by`.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    grouped_by: str = ""

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("a table needs a column")
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} has {len(row)} cells of {len(self.columns)}")
            for column, cell in zip(self.columns, row, strict=True):
                if not column.accepts(cell):
                    kind = type(column).__name__
                    raise ValueError(
                        f"row {number}, {column.title!r}: {cell!r} is not a {kind} cell"
                    )
        if self.grouped_by:
            self._place(self.grouped_by)

    def select(self, *names: str) -> Table:
        """The table of only some columns, by their `Column.name`, in this order; not grouped where
        that column is left out.

        Raises:
            KeyError: there is no such column.
        """
        places = [self._place(name) for name in names]
        return replace(
            self,
            columns=[self.columns[k] for k in places],
            rows=[[row[k] for k in places] for row in self.rows],
            grouped_by=self.grouped_by if self.grouped_by in names else "",
        )

    def html(self, label: str = "") -> Markup:
        """A ``<table>``, its first column the headings of the rows, in a box that scrolls.

        Args:
            label: what a page with several tables calls this one, before its caption, for those
                who hear the page instead of seeing it.
        """
        columns, groups = self._groups()
        template = environment().get_template("table.html")
        width = len(columns) + sum(bool(each.intervals) and not each.bars for each in columns)
        name = ": ".join(part for part in (label, self.caption) if part) or "Table"
        text = template.render(
            caption=self.caption, columns=columns, groups=groups, width=width, label=name
        )
        return Markup(text)  # escaped by its template

    def _groups(self) -> tuple[list[Column], list[tuple[str, list[list[Cell]]]]]:
        """The columns of a page, and its groups of rows, each with its heading."""
        if not self.grouped_by:
            return list(self.columns), [("", [list(row) for row in self.rows])]
        place = self._place(self.grouped_by)
        heading = self.columns[place]
        groups = [
            (heading.shown(cell), [[*row[:place], *row[place + 1 :]] for row in rows])
            for cell, rows in groupby(self.rows, key=itemgetter(place))
        ]
        return [*self.columns[:place], *self.columns[place + 1 :]], groups

    def _place(self, name: str) -> int:
        places = {column.fields()[0]: k for k, column in enumerate(self.columns)}
        if name not in places:
            raise KeyError(f"no column {name!r}; there are {', '.join(places)}")
        return places[name]

    def csv(self) -> bytes:
        """UTF-8 with a line of names; numbers in full, an interval in columns of its own."""
        names = [name for column in self.columns for name in column.fields()]
        pairs = [zip(self.columns, row, strict=True) for row in self.rows]
        lines = [[value for column, cell in row for value in column.values(cell)] for row in pairs]
        return csv_bytes(names, lines)

    def markdown(self) -> str:
        """A table as GitHub reads it, without the caption."""
        titles = [_markdown(column.title) for column in self.columns]
        rows = self._cells(_markdown)
        widths = [max(3, *map(_width, column)) for column in zip(titles, *rows, strict=True)]
        marks = [
            "-" * (width - 1) + ":" if column.right else "-" * width
            for column, width in zip(self.columns, widths, strict=True)
        ]
        lines = [
            " | ".join(self._aligned(cells, widths)) for cells in (titles, marks, *rows)
        ]  # fmt: skip
        return "".join(f"| {line} |\n" for line in lines)

    def latex(self) -> str:
        """A ``tabular`` with the rules of the package booktabs, without the caption."""
        alignment = "".join("r" if column.right else "l" for column in self.columns)
        titles = [_latex(column.title) for column in self.columns]
        head, *body = (" & ".join(cells) + r" \\" for cells in (titles, *self._cells(_latex)))
        lines = (
            rf"\begin{{tabular}}{{{alignment}}}", r"\toprule", head, r"\midrule", *body,
            r"\bottomrule", r"\end{tabular}",
        )  # fmt: skip
        return "".join(f"{line}\n" for line in lines)

    def plain(self) -> list[str]:
        """Lines for a terminal, aligned, an interval in a column of its own; without the caption.

        Lines are as wide as they must be, and free of invisible characters.
        """
        titles: list[str] = []
        right: list[bool] = []
        for column in self.columns:
            titles.append(bare(column.title))
            right.append(column.right)
            if column.intervals:
                titles.append(bare(column.intervals))
                right.append(True)
        rows = [titles]
        for row in self.rows:
            cells = []
            for column, cell in zip(self.columns, row, strict=True):
                cells.append(bare(column.shown(cell)))
                if column.intervals:
                    cells.append(column.interval(cell))
            rows.append(cells)
        widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(_aligned(row, widths, right)).rstrip() for row in rows]

    def _cells(self, escape: Callable[[str], str]) -> list[list[str]]:
        """All cells for people, an interval in brackets."""
        rows = []
        for row in self.rows:
            cells = []
            for column, cell in zip(self.columns, row, strict=True):
                interval = column.interval(cell)
                aside = f" ({interval})" if interval else ""
                cells.append(escape(column.shown(cell) + aside))
            rows.append(cells)
        return rows

    def _aligned(self, cells: Sequence[str], widths: Sequence[int]) -> list[str]:
        return _aligned(cells, widths, [column.right for column in self.columns])


def _aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    lines = []
    for cell, width, at_right in zip(cells, widths, right, strict=True):
        space = " " * (width - _width(cell))
        lines.append(space + cell if at_right else cell + space)
    return lines


def _width(text: str) -> int:
    """Places that a text without invisible characters takes in a terminal."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(_is_mark, text))


def _is_mark(character: str) -> bool:
    """Whether a character is drawn over the one before it."""
    return unicodedata.category(character) in ("Mn", "Me")


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", printable(text))


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in printable(text))
    return _LIGATURES.sub("{}", escaped)
