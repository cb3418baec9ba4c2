"""A report goes into a folder whole: the page last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evofool.errors import StoreError
from evofool.report.output import Report
from evofool.report.tables import Count, Table, Text
from evofool.store import CampaignFolder


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


def test_a_report_goes_into_a_run_folder_and_nowhere_else(tmp_path: Path) -> None:
    with CampaignFolder.create(tmp_path / "run", {"kind": "evolve"}, "seed: 1\n") as run:
        table = Table([Text("net")], [("LeNet",)])
        page = Report("<p>first</p>", {"a/b.png": b"png"}, {"nets.csv": table}).write(run)
        assert page == tmp_path / "run" / "report" / "index.html"
        assert Report("<p>second</p>").write(run) == page
        assert page.read_text() == "<p>second</p>"
        assert (page.parent / "a" / "b.png").read_bytes() == b"png"
        with pytest.raises(StoreError, match="does not lie inside the run folder"):
            Report("<p>third</p>", {"../../x.png": b"png"}).write(run)
        assert page.read_text() == "<p>second</p>"  # the one before is still whole
    assert not (tmp_path / "x.png").exists()
