"""What the pages of all experiments have in common: their templates and style."""

from __future__ import annotations

from pathlib import Path

from evofool.report.page import Pages

PAGES = Pages(Path(__file__).parent / "templates", ("table.css", "report.css", "defend.css"))
