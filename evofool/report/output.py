"""A report: the page, files, tables and summary of a run, and writing them into its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from evofool.report.tables import Table
from evofool.store.files import json_bytes

PAGE = "report/index.html"
"""Where a page lies in its run folder."""
SUMMARY = "summary.json"


class Folder(Protocol):
    """What a report is written into, such as a run folder."""

    def write_file(self, name: str, data: bytes, *, durable: bool = True) -> Path:
        """Write one file whole or not at all; `name` is relative to the folder."""
        ...


class Drawn(Protocol):
    """What is drawn from rows: a `Report`, or files without a page of their own."""

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """The content of ``summary.json``."""
        ...

    def write(self, folder: Folder) -> Path:
        """Write everything; returns what to look at."""
        ...


@dataclass(frozen=True)
class Report:
    """A report in memory; making it touches no disk, so it can be made again at any time.

    Attributes:
        page: HTML.
        files: what the page shows, by the name it calls it (``curves.png``).
        tables: by their name in the run folder (``threats.csv``), written as CSV.
        summary: the content of ``summary.json``; None writes none.
        beside: further files by their name in the run folder.
    """

    page: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    summary: Mapping[str, Any] | None = None
    beside: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, folder: Folder) -> Path:
        """Write everything; the page comes last, when all that it names is there.

        Each file is replaced whole, so that a report that is drawn anew is never half of a file.

        Returns:
            Where the page is.

        Raises:
            StoreError: a name leads out of the folder, or a file cannot be written.
        """
        around = PAGE.rpartition("/")[0]
        for name, data in self.files.items():
            folder.write_file(f"{around}/{name}", data, durable=False)
        for name, data in self.beside.items():
            folder.write_file(name, data, durable=False)
        for name, table in self.tables.items():
            folder.write_file(name, table.csv())
        if self.summary is not None:
            folder.write_file(SUMMARY, json_bytes(self.summary))
        return folder.write_file(PAGE, self.page.encode())
