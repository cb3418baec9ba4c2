"""The page in a real browser, opened from disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evofool.gallery import Options, build

from .conftest import HOSTILE, PATIENCE_MS  # type: ignore[import-not-found]  # tests are no package

FISH = ("tench", "goldfish", "great white shark", "hen", "magpie", "kite")


def test_search_sort_and_range(folder: Any, visit: Any) -> None:
    page = visit.open(build(folder("run", FISH)).page)
    assert visit.tiles() == list(FISH)
    page.keyboard.press("/")
    page.keyboard.type("GREAT sh")
    assert visit.tiles() == ["great white shark"]
    assert page.inner_text("#count") == "1 of 6 pictures"
    page.keyboard.press("Escape")
    page.select_option("#sort", "name")
    assert visit.tiles() == sorted(FISH)
    page.select_option("#sort", "-confidence")
    assert visit.tiles() == list(FISH)[::-1]
    page.locator("#low").fill("50")
    assert set(visit.tiles()) == set(FISH[:3])
    page.keyboard.press("/")
    page.keyboard.type("nothing of the kind")
    assert visit.tiles() == []
    assert "Nothing is like that" in page.inner_text("#pictures")


def test_groups(folder: Any, visit: Any) -> None:
    page = visit.open(build(folder("run", FISH, won=2)).page)
    page.select_option("#group", "won")
    visit.tiles()
    headings = page.locator("#pictures h2").all_inner_texts()
    assert [re.sub(r"\s+", " ", text) for text in headings] == [
        "Fooled: the class is the first answer 2",
        "Not the first answer 4",
    ]


def test_imagenet_classes_come_in_families(folder: Any, visit: Any) -> None:
    from evofool.classifiers.labels import shipped_labels

    page = visit.open(build(folder("run", shipped_labels("imagenet"), side=2)).page)
    page.select_option("#group", "family")
    visit.tiles()
    headings = [re.sub(r"\s+", " ", h) for h in page.locator("#pictures h2").all_inner_texts()]
    assert headings[0] == "Dogs 118"
    assert len(headings) > 15


def test_by_keyboard_from_the_grid_into_a_picture_and_back(
    toy_run: Path, visit: Any, eventually: Any
) -> None:
    page = visit.open(build(toy_run, options=Options(scores="always")).page)
    first, second = visit.tiles()[:2]
    page.locator("a.pic").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.inner_text("#detail-name") == second
    eventually(page, f"location.hash == '#toy/{second}'")
    assert page.locator(".top5 li").count() == 5
    assert page.locator(".line li").count() >= 2
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#detail-name") == first
    page.keyboard.press("p")
    assert page.inner_text("#play") == "Stop"
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    # the browser gives focus and address back in its own time
    eventually(page, f"document.activeElement.getAttribute('href') == '#toy/{first}'")
    eventually(page, "location.hash == ''")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.wait_for_selector("#help", state="hidden")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_grid_is_one_tab_stop(folder: Any, visit: Any) -> None:
    page = visit.open(build(folder("run", FISH)).page)
    assert page.locator('#pictures a[tabindex="0"]').count() == 1
    page.locator("a.pic").first.focus()
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#run/5"
    assert page.locator('#pictures a[tabindex="0"]').count() == 1


def test_a_permalink_opens_its_picture(folder: Any, visit: Any) -> None:
    path = build(folder("run", FISH)).page
    page = visit.open(path, "#run/3")
    assert page.inner_text("#detail-name") == "hen"
    assert "Only the picture's own class is known" in page.inner_text("#content")
    page = visit.open(path, "#run/%E0%A4%A")
    assert page.locator("dialog[open]").count() == 0


def test_two_runs_side_by_side(folder: Any, visit: Any, tmp_path: Path) -> None:
    runs = [folder("one", FISH), folder("two", FISH[:4], seed=9)]
    page = visit.open(build(runs, tmp_path / "both").page)
    assert len(visit.tiles()) == 10
    page.select_option("#compare", label="one | two")
    assert visit.tiles() == list(FISH)
    assert page.inner_text("#count") == "6 classes side by side"
    assert page.locator(".pair .gone").count() == 2
    page.select_option("#compare", "")
    page.select_option("#run", label="two")
    assert len(visit.tiles()) == 4
    for image in page.locator("#pictures img").all():
        image.scroll_into_view_if_needed()
        assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 8


def test_hostile_labels_stay_text(
    folder: Any, visit: Any, tmp_path: Path, eventually: Any
) -> None:
    run = folder("</script><b>run", HOSTILE)
    for path in (
        build(run).page,
        build(run, tmp_path / "one.html", Options(single_file=True)).page,
    ):
        page = visit.open(path)
        title = page.title()
        names = visit.tiles()
        assert names[0] == HOSTILE[0].split(",")[0]
        assert page.locator("#pictures img").count() == len(HOSTILE)
        for key in range(len(HOSTILE)):
            page.evaluate(f"location.hash = 'script-b-run/{key}'")
            page.wait_for_selector("dialog[open]")
            assert page.inner_text("#detail-name")
            page.keyboard.press("Escape")
            page.wait_for_selector("dialog[open]", state="detached")
            # set back, with the address, by an event that comes after the dialog has gone
            eventually(page, f"document.title === {json.dumps(title)}")
        assert page.locator("script:not([type])").count() == 1
        assert page.locator("[onerror], [onload]").count() == 0
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", page.content())


def test_an_injected_script_is_stopped_by_the_policy(
    folder: Any, browser: Any, tmp_path: Path
) -> None:
    path = build(folder("run", FISH)).page
    text = path.read_text()
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace("<main", "<script>document.title = 'bad'</script><main"))
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    with page.expect_console_message(lambda m: "Content Security Policy" in m.text):
        page.goto(broken.as_uri())
    assert page.title() != "bad"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(toy_run: Path, browser: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = build(toy_run, options=Options(scores="always")).page
    context = browser.new_context(color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    for fragment in ("", "#toy/3"):
        page.goto("about:blank")
        page.goto(path.as_uri() + fragment)
        page.wait_for_selector("html[data-ready]")
        found = Axe().run(page).response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in serious] == []
    context.close()


def test_a_phone_has_no_sideways_scroll(toy_run: Path, browser: Any) -> None:
    path = build(toy_run).page
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    for fragment in ("", "#toy/3"):
        page.goto("about:blank")
        page.goto(path.as_uri() + fragment)
        page.wait_for_selector("html[data-ready]")
        wide = "document.documentElement.scrollWidth, document.getElementById('detail').scrollWidth"
        assert page.evaluate(f"Math.max({wide})") <= 390
    page.keyboard.press("Escape")
    page.click("#more")
    assert page.locator("#sort").is_visible()
    context.close()
