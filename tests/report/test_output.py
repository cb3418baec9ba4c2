"""A report goes into a folder whole: the page last."""

from __future__ import annotations

import json
from pathlib import Path

from evofool.report.output import Report
from evofool.report.tables import Count, Table, Text


class Folder:
    """Remembers what is written, in order."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def write_file(self, name: str, data: bytes, *, durable: bool = True) -> Path:
        self.files.pop(name, None)
        self.files[name] = data
        return Path(name)


def test_everything_is_written_and_the_page_last() -> None:
    table = Table([Text("net"), Count("n")], [("LeNet", 3)])
    report = Report(
        "<p>page</p>", {"curves.png": b"png"}, {"threats.csv": table}, {"status": "finished"}
    )
    folder = Folder()
    for _ in range(2):  # as often as is asked for
        assert report.write(folder) == Path("report/index.html")
        assert list(folder.files) == [
            "report/curves.png", "threats.csv", "summary.json", "report/index.html",
        ]  # fmt: skip
    assert folder.files["report/curves.png"] == b"png"
    assert folder.files["threats.csv"] == b"net,n\nLeNet,3\n"
    assert json.loads(folder.files["summary.json"]) == {"status": "finished"}
    assert folder.files["report/index.html"] == b"<p>page</p>"


def test_a_page_alone_is_a_report() -> None:
    folder = Folder()
    Report("<p>page</p>").write(folder)
    assert list(folder.files) == ["report/index.html"]
