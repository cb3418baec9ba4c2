"""Rules of the templates, the policy, and one theme for pages and figures."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import jinja2
import pytest

from evofool.report.page import Pages, policy, prose
from evofool.report.theme import DARK, LIGHT, PALETTE


def hash_of(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    (tmp_path / "own.css").write_text(".own { color: var(--main); }\n")
    (tmp_path / "own.html").write_text(
        '{% extends "report.html" %}{% from "parts.html" import bar, figure %}'
        '{% set subject = "a test" %}{% block lede %}<p>{{ label }}</p>{% endblock %}'
        '{% block main %}{{ bar(0.5, 0.25, 0.75) }}{{ figure("curves", "what is seen") }}'
        "{% endblock %}{% block facts %}{{ share | rate }}{% endblock %}"
    )
    return Pages(tmp_path, ("report.css", "own.css"))


def test_a_page_holds_the_style_that_its_policy_allows(pages: Pages) -> None:
    html = pages.render("own.html", title="Title", label="x", share=0.25)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert f"style-src &#39;sha256-{hash_of(style)}&#39;" in html
    assert style == pages.style
    assert style.index("--paper:") < style.index("--serif:") < style.index(".own")
    assert "script-src" not in html
    assert "a test" in html
    assert "25.0 %" in html
    assert 'srcset="curves-dark.png"' in html
    assert 'src="curves.png" alt="what is seen"' in html
    assert 'width="500.0"' in html


def test_no_line_of_a_sentence_ends_before_a_per_cent_sign() -> None:
    assert prose("98 % of\x1b 100\n%") == "98\u00a0% of 100\u00a0%"


def test_all_text_is_escaped(pages: Pages) -> None:
    hostile = "</style><script>alert(1)</script>"
    html = pages.render("own.html", title=hostile, label=hostile, share=0.0)
    assert "<script" not in html
    assert html.count("</style>") == 1


def test_a_value_that_is_missing_is_an_error(pages: Pages) -> None:
    with pytest.raises(jinja2.UndefinedError, match="label"):
        pages.render("own.html", title="Title", share=0.0)


def test_a_policy_allows_no_more_than_was_asked_for() -> None:
    assert policy("s") == (
        f"default-src 'none'; style-src 'sha256-{hash_of('s')}'; img-src 'self' file:;"
        " base-uri 'none'; form-action 'none'"
    )
    assert policy("s", script="1;", images="'self' data:", connect="'self'") == (
        f"default-src 'none'; script-src 'sha256-{hash_of('1;')}'; style-src"
        f" 'sha256-{hash_of('s')}'; img-src 'self' data:; base-uri 'none'; form-action 'none';"
        " connect-src 'self'"
    )


def test_a_page_of_another_style_or_script_is_told_apart(pages: Pages, tmp_path: Path) -> None:
    html = pages.render("own.html", title="Title", label="x", share=0.0)
    assert pages.made(html)
    assert not Pages(tmp_path, ("own.css",)).made(html)
    assert not Pages(tmp_path, pages.sheets, script="1;").made(html)


def _luminance(colour: str) -> float:
    levels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=("light", "dark"))
def test_text_and_lines_stand_out_from_the_paper(colours: dict[str, str]) -> None:
    for name in ("ink", "soft", "red", "amber", "green"):  # text: WCAG 2.2, 1.4.3
        assert contrast(colours[name], colours["paper"]) >= 4.5
        assert contrast(colours[name], colours["card"]) >= 4.5
    for name in ("main", "second", "focus"):  # graphics: 1.4.11
        assert contrast(colours[name], colours["paper"]) >= 3


def test_pages_and_figures_have_the_same_colours() -> None:
    style = Pages().style
    for name, (light, dark) in PALETTE.items():
        assert f"--{name}: light-dark({light}, {dark});" in style
        assert (LIGHT[name], DARK[name]) == (light, dark)
    named = set(re.findall(r"var\(--([\w-]+)", style))
    defined = set(re.findall(r"--([\w-]+):", style))
    assert named <= defined
