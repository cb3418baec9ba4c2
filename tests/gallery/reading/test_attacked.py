"""Galleries of runs of attacks: finished, interrupted, empty, hostile, beside campaigns."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from evofool.attacks.runs.rows import role_of
from evofool.errors import FolderError, Interrupted, StoreError, UsageError
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life
from evofool.gallery import Options, build
from evofool.gallery.drawing import printing
from evofool.gallery.live.server import LiveServer
from evofool.gallery.reading.attacked import spelt
from evofool.gallery.reading.collect import collect
from evofool.images import decode_png
from evofool.store.experiment import ExperimentFolder
from evofool.text import rate

from ..conftest import HOSTILE, PATIENCE_MS  # type: ignore[import-not-found]  # tests are no package

attack, resume_attacks = partial(life.begin, AttackStudy), partial(life.resume, AttackStudy)

TOYS = Path(__file__).parents[2] / "toys"
Values: TypeAlias = dict[str, Any]


def config(**sections: Any) -> Values:
    return {
        "classifier": f"{TOYS / 'linear.py'}:victim",
        "images": {"noise": "uniform", "count": 9},
        "attacks": [
            {"name": "fgsm", "eps": ["1/255", "16/255"]},
            {"name": "pgd", "eps": "16/255", "targets": "next", "steps": 20},
            {"name": "fgsm", "eps": "16/255", "targets": "all"},
        ],
        "scoring": {"batch": 8, "workers": 1},
        "chunk": 3,
        "seed": 3,
        **sections,
    }


def data_of(path: Path) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())
    assert found
    return json.loads(found[1])


def table_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((path.parent / "elites.csv").read_text(), newline="")))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attack") / "hit"
    attack(config(), path, command="evofool attack toy.yaml")
    return path


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    shutil.copytree(finished, tmp_path / "hit", ignore=shutil.ignore_patterns("gallery"))
    return tmp_path / "hit"


def change(run: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(run / "run.sqlite") as database:
        database.execute(statement, values)
    database.close()


def test_one_exhibit_an_attacked_image(finished: Path) -> None:
    built = build(finished)
    data = data_of(built.page)
    (run,) = data["runs"]
    results = list(csv.DictReader(io.StringIO((finished / "results.csv").read_text(), newline="")))
    assert len(data["rows"]) == len(results) == built.pictures == 9 * 3 + 9 * 6
    assert run["attacks"]["ways"] == [
        "fgsm, eps 1/255",
        "fgsm, eps 16/255",
        "pgd, eps 16/255, steps 20, targets next",
        "fgsm, eps 16/255, targets all",
    ]
    keys = [row[1] for row in data["rows"]]
    assert len(set(keys)) == len(keys)
    by_key = {row[1]: row for row in data["rows"]}
    folder = finished / "gallery"
    for result in results:
        row = by_key[Path(result["png"]).stem]
        assert row[2] == int(result["predicted"])
        assert row[3] == float(result["confidence"])
        assert row[4] == int(result["success_png"])
        hit = row[9]["hit"]
        assert hit[:2] == [int(result["attack_index"]), int(result["image"])]
        assert hit[2] == (int(result["target"]) if result["target"] else None)
        assert hit[8] == pytest.approx(float(result["l2"]), rel=1e-5)
        _, origin, source, *_ = run["attacks"]["images"][result["image"]]
        assert (origin, source) == (result["picture"], int(result["source"]))
        assert run["labels"][str(source)] == result["source_label"]
        saved = folder / run["paths"]["picture"].format(row[1])
        assert saved.resolve() == (finished / result["png"]).resolve()
        assert (folder / run["paths"]["change"].format(row[1])).is_file()
        clean = decode_png((folder / run["paths"]["clean"].format(f"{hit[1]:05d}")).read_bytes())
        moved = np.abs(clean.astype(int) - decode_png(saved.read_bytes())).max()
        assert moved == round(float(result["linf"]) * 255)
    rows = table_of(built.page)
    assert {row["attack"] for row in rows} == set(run["attacks"]["ways"])
    assert "generation" not in rows[0]
    assert sum(int(row["success"]) for row in rows) == sum(row[4] for row in data["rows"])


def test_the_page_says_what_came_of_it(finished: Path) -> None:
    path = build(finished).page
    text = path.read_text()
    summary = json.loads((finished / "summary.json").read_text())
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", text)
    for group in summary["attacks"]:
        assert rate(group["success_png"]["rate"], group["n"]) in cells
    fooled = sum(group["success_png"]["successes"] for group in summary["attacks"])
    assert f"{fooled} of 81 pictures fool; 4 attacks on 9 images." in text
    assert "ancestry" not in text.split("<script", 1)[0].split("</style>")[1]
    assert 'value="generation"' not in text


def test_an_interrupted_run_shows_what_it_has_and_then_the_rest(tmp_path: Path) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 12

    run = tmp_path / "hit"
    with pytest.raises(Interrupted):
        attack(config(), run, should_stop=stop)
    built = build(run)
    assert 0 < built.pictures < 81
    data = data_of(built.page)
    paths = data["runs"][0]["paths"]
    assert data["runs"][0]["status"] == "interrupted"
    for row in data["rows"]:  # the run folder has no images/ yet
        assert (run / "gallery" / paths["picture"].format(row[1])).is_file()
        assert (run / "gallery" / paths["change"].format(row[1])).is_file()
    assert f">0 of {9 * 6}</" in built.page.read_text()
    resume_attacks(run)
    assert build(run).pictures == 81


def test_a_run_that_has_not_attacked_anything(finished: Path, tmp_path: Path) -> None:
    with ExperimentFolder.open(finished) as full:
        manifest, text = full.manifest, full.config_text
    with ExperimentFolder.create(tmp_path / "bare", manifest, text):
        pass
    built = build(tmp_path / "bare")
    assert (built.pictures, built.contact_sheet) == (0, None)
    assert "Nothing has been attacked yet." in built.page.read_text()


def test_a_gallery_elsewhere_has_its_own_pictures(finished: Path, tmp_path: Path) -> None:
    path = build(finished, tmp_path / "out").page
    assert "../" not in path.read_text()
    run = data_of(path)["runs"][0]
    claims = json.loads((tmp_path / "out" / "pictures" / "provenance.json").read_text())
    for row in data_of(path)["rows"]:
        saved = (tmp_path / "out" / run["paths"]["picture"].format(row[1])).read_bytes()
        assert saved == (finished / "images" / f"{row[1]}.png").read_bytes()
        shown = (tmp_path / "out" / run["paths"]["change"].format(row[1])).read_bytes()
        assert shown == (finished / "perturbations" / f"{row[1]}.png").read_bytes()
        assert claims[f"{row[1]}.png"]["attack"] in ("fgsm", "pgd")
    one = build(finished, tmp_path / "one.html", Options(single_file=True, top=5)).page.read_text()
    found = re.search(r'id="assets">(.*?)</script>', one)
    assert found
    assert {name.split("/")[0] for name in json.loads(found[1])} == {
        "pictures",
        "clean",
        "perturbations",
    }


def test_what_fools_comes_first(finished: Path) -> None:
    data = data_of(build(finished, options=Options(top=3)).page)
    assert [row[4] for row in data["rows"]] == [1, 1, 1]
    assert data["runs"][0]["headline"].endswith("images. 3 are shown.")
    assert len(data["runs"][0]["attacks"]["images"]) <= 3


def test_pictures_that_were_changed_on_disk_are_not_shown(copied: Path) -> None:
    name = next((copied / "images").iterdir())
    other = (copied / "images" / "001-00001.png").read_bytes()
    assert name.read_bytes() != other
    name.write_bytes(other)
    run = data_of(build(copied).page)["runs"][0]
    assert run["paths"]["picture"] == "pictures/{}.png"


def test_beside_a_campaign(finished: Path, toy_run: Path, tmp_path: Path) -> None:
    path = build([finished, toy_run], tmp_path / "both").page
    data = data_of(path)
    assert [run["kind"] for run in data["runs"]] == ["attack", "evolve"]
    assert "attacks" not in data["runs"][1]
    rows = table_of(path)
    assert len(rows) == 81 + 7
    assert {row["generation"] == "" for row in rows if row["run"] == "hit"} == {True}
    assert {row["attack"] for row in rows if row["run"] != "hit"} == {""}


def test_a_victim_that_gives_labels_alone(copied: Path, visit: Any) -> None:
    nothing = "UPDATE rows SET content = json_set(content, '$.confidence', NULL) WHERE type = ?"
    change(copied, nothing, "result")
    change(copied, nothing, "image")
    path = build(copied).page
    assert {row[3] for row in data_of(path)["rows"]} == {None}
    assert {row["confidence"] for row in table_of(path)} == {""}
    page = visit.open(path, "#hit/002-00003")
    assert "no confidence given" in page.inner_text("#content")
    assert page.locator("#pictures .sure b").first.text_content() == "–"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("content = json_set(content, '$.image', 99)", "missing"),
        ("content = json_set(content, '$.image', 0)", "twice"),
        ("png = x'00'", "damaged"),
    ],
)
def test_damage_is_told(copied: Path, statement: str, message: str) -> None:
    with ExperimentFolder.open(copied) as run:
        address = run.roles()[role_of(1)]
    where = "WHERE type = 'result' AND item = 2 AND address = ?"
    change(copied, f"UPDATE rows SET {statement} {where}", address)
    with pytest.raises(StoreError, match=message):
        build(copied)


def test_damage_of_a_clean_picture_is_told(copied: Path) -> None:
    change(copied, "UPDATE rows SET png = x'00' WHERE type = 'image' AND item = 2")
    message = "damaged"
    with pytest.raises(StoreError, match=message):
        build(copied)


def test_there_is_nothing_to_draw_anew_or_to_watch(finished: Path) -> None:
    with pytest.raises(UsageError, match="no genome"):
        printing.enlarge(finished, 3, 64, repeat=True)
    with pytest.raises(UsageError, match="no ancestors"):
        printing.animate(finished, 3, "gif")
    with pytest.raises(FolderError, match="not evolve"):
        LiveServer(finished)


def test_scores_of_an_image_that_is_attacked_anew_are_asked_anew(tmp_path: Path) -> None:
    run = tmp_path / "hit"
    attacks = [{"name": "pgd", "eps": "3/255", "steps": 30, "step_size": "1/255"}]
    attack(config(attacks=attacks, scoring={"batch": 8, "workers": 1, "budget": 60}), run)
    before = data_of(build(run, options=Options(scores="always")).page)["rows"]
    assert any(not row[9]["hit"][3] for row in before)  # some are not complete
    resume_attacks(run, overrides=["scoring.budget=5000"])
    rows = data_of(build(run, options=Options(scores="always")).page)["rows"]
    assert len(rows) == 9
    for row in rows:
        best, sure = row[9]["top"][0]
        assert (best, sure) == (row[2], pytest.approx(row[3], rel=1e-3))


@pytest.mark.parametrize(
    ("value", "text"),
    [(8 / 255, "8/255"), (0.3, "0.3"), (0.2, "0.2"), (2.0, "2"), (None, "None"), (0.007, "0.007")],
)
def test_sizes_are_spelt_as_people_write_them(value: object, text: str) -> None:
    assert spelt(value) == text


def hostile(run: Path) -> None:
    """Labels, origins and command that are hard on whoever shows them."""
    path = run / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["classifier"]["labels"] = list(HOSTILE[:7])
    manifest["command"] = HOSTILE[0]
    path.write_text(json.dumps(manifest))
    for index in range(9):
        change(
            run,
            "UPDATE rows SET content = json_set(content, '$.source', ?)"
            " WHERE type = 'image' AND item = ?",
            HOSTILE[index],
            index,
        )


def test_hostile_text_adds_no_tag(copied: Path, finished: Path) -> None:
    tags = re.compile(r"<(\w+)")

    def outside(path: Path) -> list[str]:
        text = re.sub(r"<(script|style)[^>]*>.*?</\1>", r"<\1>", path.read_text(), flags=re.S)
        return tags.findall(text)

    calm = outside(build(finished).page)
    hostile(copied)
    path = build(copied).page
    assert outside(path) == calm
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", path.read_text())
    assert all(row["origin"][:1] != "=" for row in table_of(path))
    names = {p.name for p in copied.rglob("*") if p.is_file()}
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)


def test_in_a_browser(copied: Path, visit: Any, eventually: Any) -> None:
    hostile(copied)
    path = build(copied, options=Options(scores="always")).page
    page = visit.open(path)
    title = page.title()
    assert page.input_value("#group") == "encoding"
    fooled = page.locator("#pictures h2 small").all_inner_texts()
    assert len(fooled) == 4
    assert all(re.fullmatch(r"\d+ of (9|54) fooled", text) for text in fooled)
    page.select_option("#encoding", label="fgsm, eps 16/255")
    assert len(visit.tiles()) == 9
    page.select_option("#encoding", "")
    page.select_option("#result", "1")
    won = sum(row[4] for row in data_of(path)["rows"])
    assert len(visit.tiles()) == won
    page.select_option("#result", "")
    page.select_option("#group", "")
    page.select_option("#sort", "l2")
    visit.tiles()
    order = [link.split("/")[1] for link in page.eval_on_selector_all(
        "#pictures a.pic", "all => all.map((a) => a.getAttribute('href'))")]  # fmt: skip
    l2 = {row[1]: row[9]["hit"][8] for row in data_of(path)["rows"]}
    assert [l2[key] for key in order] == sorted(l2.values())
    page = visit.open(path, "#hit/003-00004-0002")
    page.wait_for_selector("dialog[open]")
    for image in page.locator(".equation img").all():
        assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") == 6
    assert page.locator(".equation img").count() == 3
    assert page.locator(".line, .graph, #play").count() == 0
    assert "1 forward, 1 backward" in page.inner_text(".facts")
    page.keyboard.press("p")  # nothing is there to play
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    # set back by an event that comes after the dialog has gone
    eventually(page, f"document.title === {json.dumps(title)}")
    assert page.locator("script:not([type])").count() == 1
    assert page.locator("[onerror], [onload]").count() == 0


def test_two_runs_on_the_same_images_side_by_side(
    finished: Path, visit: Any, tmp_path: Path
) -> None:
    attacks = [{"name": "fgsm", "eps": "16/255"}, {"name": "i-fgsm", "eps": "4/255"}]
    attack(config(attacks=attacks, images={"noise": "uniform", "count": 5}), tmp_path / "other")
    page = visit.open(build([finished, tmp_path / "other"], tmp_path / "both").page)
    page.select_option("#compare", label="hit | other")
    visit.tiles()
    # five images with the attack both know, nine with the best of the others
    assert page.locator(".pairs .tile").count() == 9 + 9
    assert page.locator(".pair .gone").count() == 4 + 4
    both = page.locator(".pairs .tile").first.locator("a.pic").evaluate_all(
        "all => all.map((a) => a.getAttribute('href').split('-')[1])"
    )  # fmt: skip
    assert both[0] == both[1]
    assert "was " in page.locator(".pairs .tile").first.text_content()
    attack(config(images={"noise": "grey", "count": 1}), tmp_path / "grey")
    page = visit.open(build([finished, tmp_path / "grey"], tmp_path / "third").page)
    page.select_option("#compare", label="hit | grey")
    visit.tiles()
    assert "classes side by side" in page.inner_text("#count")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_and_a_phone(finished: Path, browser: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = build(finished, options=Options(scores="always")).page
    context = browser.new_context(
        color_scheme=scheme, bypass_csp=True, reduced_motion="reduce",
        viewport={"width": 390, "height": 844},
    )  # fmt: skip
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    for fragment in ("", "#hit/002-00003"):
        page.goto("about:blank")
        page.goto(path.as_uri() + fragment)
        page.wait_for_selector("html[data-ready]")
        found = Axe().run(page).response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in serious] == []
        wide = "document.documentElement.scrollWidth, document.getElementById('detail').scrollWidth"
        assert page.evaluate(f"Math.max({wide})") <= 390
    context.close()


def test_a_reader_leaves_a_busy_run_alone(finished: Path) -> None:
    opened: list[Any] = []
    with ExperimentFolder.open(finished, writable=True):
        (collection,) = collect([finished], opened.append, write=True)
        assert collection.status == "running"
        assert not collection.saved
    opened[0].close()
