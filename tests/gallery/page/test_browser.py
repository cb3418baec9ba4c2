"""The page in a real browser, opened from disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evofool.gallery import Options, build
from evofool.text import percent

from ..conftest import HOSTILE, PATIENCE_MS  # type: ignore[import-not-found]  # tests are no package


def data_of(path: Path) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())
    assert found
    return json.loads(found[1])


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
    assert "No picture matches" in page.inner_text("#pictures")


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


def test_what_fools_is_told_apart_without_colour(folder: Any, visit: Any) -> None:
    page = visit.open(build(folder("run", FISH, won=2)).page)
    badges = page.locator("#pictures .badge").all_text_contents()
    assert badges == ["fooled"] * 2 + ["not fooled"] * 4
    frames = page.evaluate(
        "[...document.querySelectorAll('#pictures .pic')].map((a) =>"
        " getComputedStyle(a, '::after').borderStyle)"
    )
    assert frames == ["none"] * 2 + ["dashed"] * 4
    alts = page.locator("#pictures img").evaluate_all("all => all.map((i) => i.alt)")
    assert alts[0] == "Evolved picture, taken for tench at 99.90 %"
    assert (
        alts[5] == "Evolved picture for kite, not fooled: kite gets 0.1 %, another class gets more"
    )
    page.select_option("#result", "1")
    assert visit.tiles() == list(FISH[:2])
    assert page.inner_text("#count") == "2 of 6 pictures"
    page.select_option("#result", "0")
    assert visit.tiles() == list(FISH[2:])
    page.evaluate("location.hash = '#run/5'")
    page.wait_for_selector("dialog[open]")
    assert page.inner_text("#verdict").startswith("not fooled")


def test_a_picture_that_does_not_fool_is_taken_for_what_it_is(toy_run: Path, visit: Any) -> None:
    path = build(toy_run, options=Options(scores="always")).page
    rows = data_of(path)["rows"]
    lost = [row for row in rows if not row[4]]
    assert lost
    page = visit.open(path)
    for row in rows:
        alt = page.locator(f"a[href='#toy/{row[1]}'] img").get_attribute("alt")
        first, p = row[9]["top"][0]
        assert f"taken for {first} at {percent(p)}" in alt
        assert alt.startswith(f"Evolved picture for {row[2]}, not fooled") is not bool(row[4])


def test_one_picture_is_no_plural(folder: Any, visit: Any) -> None:
    page = visit.open(build(folder("run", ["a"])).page)
    assert page.inner_text("#count") == "1 picture"


def test_the_search_finds_families(folder: Any, visit: Any) -> None:
    from evofool.classifiers.labels import shipped_labels

    labels = shipped_labels("imagenet")
    page = visit.open(build(folder("run", labels, side=2)).page)
    page.keyboard.press("/")
    page.keyboard.type("dog")
    visit.tiles()
    found = page.locator("#pictures a.pic").evaluate_all(
        "all => all.map((a) => Number(a.hash.split('/')[1]))"
    )
    dogs = set(range(151, 269))
    assert set(found) == dogs | {c for c, label in enumerate(labels) if "dog" in label.lower()}
    assert len(found) > 118


SEEN = """() => {
  window.seen = [];
  const note = () => seen.push([
    document.getElementById("detail-name").textContent,
    document.getElementById("sure").textContent,
    document.getElementById("then")?.hidden === false
      ? Number(document.getElementById("then").style.getPropertyValue("--k")) : null,
    document.getElementById("full").hidden,
    getComputedStyle(document.querySelector(".sheet .block")).visibility,
    [...document.querySelectorAll(".line li")].map((li) => li.classList.contains("past")),
  ]);
  new MutationObserver(note).observe(document.getElementById("as"), { childList: true });
}"""


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_play_shows_each_ancestor_with_its_own_caption(
    toy_run: Path, visit: Any, eventually: Any, motion: str
) -> None:
    path = build(toy_run, options=Options(scores="always")).page
    row = max(data_of(path)["rows"], key=lambda row: len(row[9].get("line", [])))
    line = row[9]["line"]
    visit.page.emulate_media(reduced_motion=motion)
    visit.page.clock.install()
    page = visit.open(path, f"#toy/{row[1]}")
    page.evaluate(SEEN)
    page.click("#play")
    for _ in line:
        page.clock.run_for(1200)  # one step where motion is reduced, else more
    eventually(page, f"seen.length >= {len(line)}")
    for at, (name, sure, k, hidden, rest, past) in enumerate(page.evaluate("seen")[: len(line)]):
        last = at == len(line) - 1
        assert name == str(line[at][1])
        assert sure == percent(line[at][2])
        assert k == (None if last else at)
        assert hidden is not last
        assert rest == ("visible" if last else "hidden")
        assert past == [other != at for other in range(len(line))]
    page.click("#play")
    assert page.inner_text("#play") == "Play"
    assert page.inner_text("#detail-name") == str(row[2])
    assert page.inner_text("#sure") == percent(row[3])
    assert page.locator("#then").count() == 0
    assert page.locator("#full").is_visible()


def test_a_bar_shows_the_number_below_it(toy_run: Path, visit: Any) -> None:
    path = build(toy_run, options=Options(scores="always")).page
    page = visit.open(path)
    both = 0
    for row in data_of(path)["rows"]:
        page.evaluate(f"location.hash = '#toy/{row[1]}'")
        page.wait_for_selector(f"#content a[href='#toy/{row[1]}']")
        bars = page.locator(".line .meter").evaluate_all(
            "all => all.map((m) => [m.firstChild.style.getPropertyValue('--p'),"
            " m.nextElementSibling.textContent])"
        )
        assert len(bars) >= len(row[9]["line"])
        both += len(bars) > len(row[9]["line"])
        for p, text in bars:
            assert text.startswith(percent(float(p)))
    assert both  # some ancestors were champions of another class


def pages(document: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page[^s]", document))


def test_what_is_looked_at_is_what_is_printed(toy_run: Path, folder: Any, visit: Any) -> None:
    page = visit.open(build(folder("run", [str(k) for k in range(200)])).page)
    whole = pages(page.pdf(format="A4"))
    page.evaluate("location.hash = '#run/3'")
    page.wait_for_selector("dialog[open]")
    assert pages(page.pdf(format="A4")) == 1 < whole
    page.keyboard.press("Escape")
    page = visit.open(build(toy_run).page, "#toy/3")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.emulate_media(media="print")
    assert page.locator("#full").is_visible()
    assert not page.locator("#pictures").is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


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


def test_hostile_labels_stay_text(folder: Any, visit: Any, tmp_path: Path, eventually: Any) -> None:
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
