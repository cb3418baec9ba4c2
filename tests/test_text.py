"""Text of strangers does nothing: in a terminal, in a spreadsheet, in a table that is read back."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from evofool.text import csv_bytes, duration, inert, rate, safe_cell, sent_line, suggestion

PACKAGE = Path(__file__).parents[1] / "evofool"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("runs/first  one", "runs/first  one"),
        ("ein Käfer, 甲虫, \U0001f41e", "ein Käfer, 甲虫, \U0001f41e"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\nb\r\tc\x85d\u2028e", "a\\nb\\r\\tc\\x85d\\u2028e"),
        ("\x9b31m", "\\x9b31m"),  # the escape sequence of eight-bit terminals
        ("exe\u202egnp.", "exe\\u202egnp."),
        ("broken\udcff", "broken\\udcff"),
    ],
)
def test_a_terminal_obeys_nothing_in_a_text(text: str, shown: str) -> None:
    assert inert(text) == shown
    inert(text).encode()  # whatever the terminal's encoding: no lone surrogates


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("@SUM(1)", "'@SUM(1)"),
        ("  =1+1", "'  =1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\t=1", "\\t=1"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("-3", "'-3"),
        (-0.5, -0.5),
        (-3, -3),
        ("T-shirt, a", "T-shirt, a"),
    ],
)
def test_a_cell_is_a_text(value: object, cell: object) -> None:
    assert safe_cell(value) == cell


def test_a_table_reads_back_line_by_line() -> None:
    data = csv_bytes(("label", "p"), [["=a\nb", 0.5], ['say "x", twice', None], ["\udcff", -1]])
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert rows == [["label", "p"], ["'=a\\nb", "0.5"], ['say "x", twice', ""], ["\\udcff", "-1"]]
    assert len(data.splitlines()) == 4


def test_there_is_one_writer_of_csv() -> None:
    others = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"csv\.(writer|DictWriter)|to_csv", path.read_text(encoding="utf-8"))
    }
    assert others == {"text.py"}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("mnist-lenett", "mnist-lenet"),
        ("MNIST-LeNet", "mnist-lenet"),
        ("color", "colour"),
        ("gen", "generations"),
        ("zzz", None),
        ("", None),
    ],
)
def test_what_was_meant(word: str, meant: str | None) -> None:
    found = suggestion(word, ["mnist-lenet", "colour", "generations", "s"])
    assert found == ("" if meant is None else f"; did you mean {meant!r}?")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (185, "3:05"), (7384, "2:03:04")],
)
def test_a_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_what_was_sent() -> None:
    sent = {"total": 1041, "probe": 8, "queries": 1000, "retries": 33, "verify": 0}
    assert sent_line(sent) == "1,041: 8 probe, 1,000 queries, 33 retries"
    assert sent_line({"total": 0, "probe": 0}) == "0"


@pytest.mark.parametrize(
    ("share", "of", "read"),
    [
        (0.98, 10, "98 %"), (0.875, 8, "88 %"), (1.0, 100, "100 %"), (0.991, 101, "99.1 %"),
        (0.9592, 4300, "95.9 %"), (0.9954, 10_000, "99.54 %"), (0.0, 5, "0 %"), (0.925, 40, "93 %"),
    ],
)  # fmt: skip
def test_a_share_has_the_digits_that_its_number_bears_out(share: float, of: int, read: str) -> None:
    assert rate(share, of) == read
