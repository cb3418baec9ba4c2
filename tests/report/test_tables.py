"""One table in five formats: numbers as people and programs read them, hostile text as text."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from evofool.report.tables import (
    Cell,
    Column,
    Confidence,
    Count,
    Estimate,
    Number,
    Rate,
    Seconds,
    Table,
    Text,
)
from evofool.text import bare, printable, safe_cell

HOSTILE = (
    "=HYPERLINK(1)", "a|b", "R&D", "snake_case", "<script>alert(1)</script>", "two\nlines",
    "{{ 7 * 7 }}", r"\input{/etc/passwd}", "[12pt]", "*bold*", "`code`", "$x^2$", "100 %",
    "# heading", "~~gone~~", "https://example.org", "www.example.org", "me@example.org", "a--b",
    "![x](y)", "&lt;", "\\", "\\|", "x\u202ey", "שלום", "猫", "e\u0301", "''", "\x1b[31m", "",
)  # fmt: skip

texts = (
    st.text(max_size=20) | st.sampled_from(HOSTILE) | st.text("\\|`*_<>&[]{}$%#~^\n =-", max_size=9)
)
ALL_HOSTILE = [(one, one) for one in HOSTILE]
rows_of_texts = st.lists(st.tuples(texts, texts), max_size=4)


def two_texts(rows: list[tuple[str, str]]) -> Table:
    return Table([Text("one"), Text("other")], rows)


class Cells(HTMLParser):
    """Rows of a table's texts, and all tags and attributes that there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.open = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.open = False

    def handle_data(self, data: str) -> None:
        if self.open:
            self.rows[-1][-1] += data


@settings(deadline=None)
@given(rows_of_texts)
@example(ALL_HOSTILE)
def test_html_holds_the_texts_and_no_tag_of_theirs(rows: list[tuple[str, str]]) -> None:
    read = Cells(two_texts(rows).html())
    assert read.rows == [["one", "other"], *([printable(cell) for cell in row] for row in rows)]
    assert read.attributes <= {"class", "scope", "tabindex", "role", "aria-label"}
    assert read.tags <= {"div", "table", "thead", "tbody", "tr", "th", "td", "bdi"}


@settings(deadline=None)
@given(rows_of_texts)
@example(ALL_HOSTILE)
def test_csv_is_read_back(rows: list[tuple[str, str]]) -> None:
    read = list(csv.reader(io.StringIO(two_texts(rows).csv().decode(), newline="")))
    assert read == [["one", "other"], *([safe_cell(cell) for cell in row] for row in rows)]
    assert not any(cell.lstrip().startswith(tuple("=+-@")) for row in read for cell in row)


@settings(deadline=None)
@given(rows_of_texts)
@example(ALL_HOSTILE)
def test_markdown_is_read_as_the_texts_and_no_mark_of_theirs(rows: list[tuple[str, str]]) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(two_texts(rows).markdown())
    cells = [token for token in tokens if token.type == "inline"]
    read = ["".join(part.content for part in cell.children or ()) for cell in cells]
    assert read == ["one", "other", *(printable(cell).strip() for row in rows for cell in row)]
    assert {part.type for cell in cells for part in cell.children or ()} <= {"text", "text_special"}
    assert [token.type for token in tokens].count("tr_open") == 1 + len(rows)


@pytest.mark.parametrize("address", ["https://example.org", "www.example.org", "me@example.org"])
def test_markdown_makes_no_link_of_an_address(address: str) -> None:
    written = two_texts([(address, "")]).markdown()
    assert address not in written  # GitHub makes links of bare addresses


def latex_text(cell: str) -> str:
    """What LaTeX sets for a cell; fails where a character is active that is not escaped."""
    words = {
        "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<",
        "textgreater": ">", "textbar": "|", "textasciigrave": "`", "char34": '"',
    }  # fmt: skip
    text, place = "", 0
    grammar = re.compile(r"\\(\w+)\{\}|\\([{}$&#_%])|\{([\[*])\}|(\{\})|([^\\{}$&#_%~^<>|`\"\[*])")
    while place < len(cell):
        match = grammar.match(cell, place)
        assert match, f"{cell[place:]!r} is active"
        word, sign, shielded, _, plain = match.groups()
        text += words[word] if word else sign or shielded or plain or ""
        place = match.end()
    return text


@settings(deadline=None)
@given(rows_of_texts)
@example(ALL_HOSTILE)
def test_latex_sets_the_texts_and_no_command_of_theirs(rows: list[tuple[str, str]]) -> None:
    lines = two_texts(rows).latex().splitlines()
    assert lines[:4] == [
        r"\begin{tabular}{ll}", r"\toprule", r"one & other \\", r"\midrule",
    ]  # fmt: skip
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    body = lines[4:-2]
    assert len(body) == len(rows)
    for line, row in zip(body, rows, strict=True):
        cells = re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))
        assert [latex_text(cell) for cell in cells] == [printable(cell) for cell in row]
        assert not re.search(r"--|''|,,", line)


@settings(deadline=None)
@given(rows_of_texts)
@example(ALL_HOSTILE)
def test_lines_of_a_terminal_are_aligned(rows: list[tuple[str, str]]) -> None:
    table = Table([Text("one"), Count("n")], [(one, 7) for one, _ in rows])
    lines = table.plain()
    assert len(lines) == 1 + len(rows)
    for line, (one, _) in zip(lines[1:], rows, strict=True):
        assert line.startswith(bare(one))
        assert line.endswith("  7")
        assert line == line.rstrip()


NUMBERS: tuple[Column, ...] = (
    Text("threat"), Count("n"), Rate("errors", "rate", bounds=("low", "high")),
    Confidence("median", bounds=("median_low", "median_high")), Seconds("time", "seconds"),
    Number("eps", form=".3f"),
)  # fmt: skip
ROWS: list[list[Cell]] = [
    ["PGD-40", 12345, Estimate(0.123456789, 0.1, 0.149), Estimate(0.99999, 0.9, 1.0), 1.26, 0.1],
    ["no attack", 7, None, None, None, None],
]


def test_plain_numbers_end_at_one_edge_and_intervals_have_a_column() -> None:
    assert Table(NUMBERS, ROWS).plain() == [
        "threat          n  errors         95 %    median      95 %   time    eps",
        "PGD-40     12,345  12.3 %  10.0-14.9 %  0.999990  0.9000-1  1.3 s  0.100",
        "no attack       7       -                      -                -      -",
    ]


def test_markdown_numbers() -> None:
    assert Table(NUMBERS[:3], [row[:3] for row in ROWS]).markdown() == (
        "| threat    |      n |               errors |\n"
        "| --------- | -----: | -------------------: |\n"
        "| PGD-40    | 12,345 | 12.3 % (10.0-14.9 %) |\n"
        "| no attack |      7 |                    - |\n"
    )


def test_latex_numbers() -> None:
    assert Table(NUMBERS[:3], [row[:3] for row in ROWS]).latex().splitlines()[4:6] == [
        r"PGD-40 & 12,345 & 12.3 \% (10.0-14.9 \%) \\",
        r"no attack & 7 & - \\",
    ]


def test_html_numbers() -> None:
    table = Table(NUMBERS, ROWS, "Threats & nets")
    html = table.html()
    assert Cells(html).rows[:2] == [
        ["threat", "n", "errors", "95 %", "median", "95 %", "time", "eps"],
        ["PGD-40", "12,345", "12.3 %", "10.0-14.9 %", "0.999990", "0.9000-1", "1.3 s", "0.100"],
    ]
    assert "<caption>Threats &amp; nets</caption>" in html
    assert html.count('<th scope="row"') == 2


def test_csv_holds_numbers_in_full() -> None:
    first, second, third = csv.reader(io.StringIO(Table(NUMBERS, ROWS).csv().decode()))
    assert first == [
        "threat", "n", "rate", "low", "high", "median", "median_low", "median_high", "seconds",
        "eps",
    ]  # fmt: skip
    assert second == [
        "PGD-40", "12345", "0.123456789", "0.1", "0.149", "0.99999", "0.9", "1.0", "1.26", "0.1",
    ]  # fmt: skip
    assert third == ["no attack", "7", *[""] * 8]


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(0), st.floats(0, 1e6))
def test_csv_numbers_are_read_back_exactly(share: float, n: int, seconds: float) -> None:
    columns = [Rate("rate"), Count("n"), Seconds("s")]
    _, line = csv.reader(io.StringIO(Table(columns, [(share, n, seconds)]).csv().decode()))
    assert (float(line[0]), int(line[1]), float(line[2])) == (share, n, seconds)


def test_what_is_not_a_number_is_missing_to_people() -> None:
    table = Table([Confidence("p"), Rate("r")], [(float("nan"), float("nan"))])
    assert table.plain()[1].split() == ["-", "-"]


def test_some_columns() -> None:
    table = Table(NUMBERS, ROWS, "all").select("seconds", "threat")
    assert table.csv() == b"seconds,threat\n1.26,PGD-40\n,no attack\n"
    assert table.caption == "all"
    with pytest.raises(KeyError, match="nothing"):
        table.select("nothing")


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (Text("x"), 1), (Count("x"), 1.5), (Count("x"), "1"), (Count("x"), True), (Rate("x"), "1"),
        (Rate("x"), Estimate(0.5, 0.4, 0.6)), (Rate("x", bounds=("a", "b")), 0.5),
        (Confidence("x"), "sure"), (Seconds("x"), "1 s"), (Number("x"), "1"),
    ],
)  # fmt: skip
def test_a_cell_of_another_kind_is_refused(column: Column, cell: Cell) -> None:
    with pytest.raises(ValueError, match=r"row 0, 'x': .* is not a \w+ cell"):
        Table([column], [[cell]])


def test_rows_and_columns_must_fit() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells of 2"):
        two_texts([("a", "b"), ("c",)])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="needs a column"):
        Table([], [])
    with pytest.raises(ValueError, match=r"(?i)format"):
        Number("x", form=".3q")


GROUPED = Table(
    [
        Text("Group", "group"), Text("Threat", "threat"),
        Rate("Errors", "rate", bounds=("low", "high"), bar="second"),
    ],
    [
        ["White & box", "FGSM", Estimate(0.5, 0.25, 0.75)], ["White & box", "PGD", None],
        ["Black box", "Square", Estimate(0.1, 0.0, 0.2)],
    ],
    grouped_by="group",
)  # fmt: skip


def test_a_page_has_groups_as_headings_and_shares_as_bars() -> None:
    html = GROUPED.html()
    shown = Cells(html)
    assert shown.rows == [
        ["Threat", "Errors"],
        ["White & box"], ["FGSM", "50.0 % (25.0-75.0 %)"], ["PGD", "-"],
        ["Black box"], ["Square", "10.0 % (0.0-20.0 %)"],
    ]  # fmt: skip
    assert html.count('<th scope="rowgroup" colspan="2">') == 2
    assert html.count('class="bar second"') == 2
    assert 'width="500.0"' in html
    assert 'x="250.0" y="4" width="500.0"' in html


def test_programs_have_groups_as_a_column() -> None:
    assert GROUPED.csv().startswith(b"group,threat,rate,low,high\nWhite & box,FGSM,0.5,0.25,0.75\n")
    assert GROUPED.plain()[1].startswith("White & box  FGSM")
    assert "Group" not in GROUPED.select("threat", "rate").html()
    with pytest.raises(KeyError, match="no column 'family'; there are one, other"):
        Table([Text("one"), Text("other")], [], grouped_by="family")
