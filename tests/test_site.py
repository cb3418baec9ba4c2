"""The check of the built site sees what is broken in it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def faults() -> Callable[[Path], list[str]]:
    path = ROOT / "docs" / "site" / "check_links.py"
    spec = importlib.util.spec_from_file_location("check_links", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_links"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    found: Callable[[Path], list[str]] = module.faults
    return found


def test_a_whole_site_has_no_faults(faults: Callable[[Path], list[str]], tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "x.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(
        '<a href="a/">a</a> <a href="a/index.html#there">b</a> <a href="#here">c</a>'
        '<i id="here"></i>'
        '<a href="https://example.org/">d</a> <img src="x.png"> <img src="data:image/png;base64,">'
    )
    (tmp_path / "a" / "index.html").write_text('<h2 id="there">x</h2> <img src="../x.png">')
    assert faults(tmp_path) == []


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ('<a href="b.html">b</a>', "b.html: there is no such file"),
        ('<img src="b.png">', "b.png: there is no such file"),
        ('<a href="../">up</a>', "../: there is no such file"),
        ('<a href="#gone">c</a>', "#gone: there is no such heading"),
        ('<script src="https://example.org/x.js"></script>', "must be whole by itself"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "must be whole by itself"),
    ],
)
def test_a_fault_is_named(
    faults: Callable[[Path], list[str]], tmp_path: Path, html: str, said: str
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(html)
    (fault,) = faults(site)
    assert fault.startswith("index.html: ")
    assert said in fault
