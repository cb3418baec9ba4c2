"""A page of sections: its content, hostile texts, and how it looks in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.images import encode_png
from evofool.report.figures import dress, light_and_dark, new_figure, to_png
from evofool.report.output import Report
from evofool.report.sections import Figure, Picture, Section, sections_page
from evofool.report.tables import Cell, Column, Count, Estimate, Rate, Seconds, Table, Text
from evofool.report.theme import Colours

HOSTILE = (
    '</script><img src=x onerror=document.title=1> " onload="document.title=1" x="'
    " </style><script>document.title=1</script> {{ 7 * 7 }} " + "x" * 120
)


class Folder:
    """A folder on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write_file(self, name: str, data: bytes, *, durable: bool = True) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def draw(colours: Colours) -> bytes:
    figure = new_figure((6, 3), colours)
    dress(figure.subplots(), colours, "Title", "what is seen")
    return to_png(figure, colours)


def report(label: str) -> Report:
    columns: list[Column] = [Text("Group", "group"), Text("Threat", "threat"), Count("n")]
    columns += [
        Rate(f"Errors of the {net} net", net, bounds=(f"{net}_low", f"{net}_high"), bar="main")
        for net in ("undefended", "defended", "third")
    ]
    columns.append(Seconds("Time"))
    one = Estimate(0.125, 0.1, 0.15)
    rows: list[list[Cell]] = [[label, threat, 1000, one, one, None, 3.2] for threat in ("a", label)]
    table = Table(columns, rows, f"Threats, {label}", grouped_by="group")
    picture = encode_png(np.full((1, 8, 8), 90, np.uint8))
    page = sections_page(
        label,
        [
            Section("Threats", label, [Figure("curves", label)], [table]),
            Section("Champions", pictures=[Picture("champions/1.png", label, "0.99")]),
            Section("Stills", pictures=[Picture("stills.png", label)], strips=True),
        ],
        subject=label,
        lede=[label],
        facts={"seed": "1", label: label},
        files=["threats.csv"],
    )
    stills = encode_png(np.full((1, 40, 300), 90, np.uint8))
    files = {**light_and_dark("curves", draw), "champions/1.png": picture, "stills.png": stills}
    return Report(page, files, {"threats.csv": table}, {"label": label})


def test_what_is_empty_is_left_out() -> None:
    page = sections_page("Title", [Section("Only words", "a note")])
    for absent in ("<table", "<picture", "<ul", "<li", "files"):
        assert absent not in page.partition("</style>")[2]
    assert "<h2>Only words</h2>" in page
    assert '<p class="note">a note</p>' in page


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_the_page_in_a_browser(
    tmp_path: Path, browser: Any, eventually: Any, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    path = report(HOSTILE).write(Folder(tmp_path))
    page.goto(path.as_uri())
    assert page.title() == HOSTILE
    assert page.inner_text("h1") == HOSTILE
    assert page.locator("tbody th[scope=row]").nth(1).inner_text() == HOSTILE
    assert page.locator("script").count() == 0
    shown = page.evaluate("document.querySelector('picture img').currentSrc")
    assert shown.endswith("curves-dark.png" if scheme == "dark" else "curves.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
    eventually(page, "[...document.images].every(image => image.naturalWidth > 0)")
    assert page.locator(".strips img").bounding_box()["width"] == 300  # as it was drawn
    assert faults == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(tmp_path: Path, browser: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = report("a label").write(Folder(tmp_path))
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(path.as_uri())
    violations = Axe().run(page).response["violations"]
    serious = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in serious] == []
    context.close()
