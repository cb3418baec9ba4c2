"""The page as text: what it says, its policy, and that hostile text adds nothing to it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import FolderError, StoreError, UsageError
from evofool.gallery import Options, build
from evofool.gallery.page.document import short
from evofool.gallery.page.families import NAMES, families
from evofool.gallery.page.html import policy
from evofool.text import bare, estimate, percent, printable, probability

from ..conftest import HOSTILE  # type: ignore[import-not-found]  # tests are no package


class Outline(HTMLParser):
    """Tags with their attributes, and the text of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def data_of(path: Path) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())
    assert found
    return json.loads(found[1])


def test_a_gallery_has_everything_beside_it(toy_run: Path) -> None:
    built = build(toy_run, options=Options(scores="always"))
    folder = toy_run / "gallery"
    for name in ("convergence.png", "convergence-dark.png", "by-class.png", "contact-sheet.png"):
        assert (folder / name).stat().st_size > 1000
    data = data_of(built.page)
    (run,) = data["runs"]
    for kind in ("picture", "strip", "film"):
        path = folder / run["paths"][kind].format("0003")
        assert path.is_file(), path
    row = next(row for row in data["rows"] if row[2] == 3)
    assert row[9]["top"][0][1] >= row[9]["top"][4][1]
    line = row[9]["line"]
    assert line[-1][1] == 3
    assert [step[0] for step in line] == sorted({step[0] for step in line})
    assert line[-1][2] == pytest.approx(row[3], abs=1e-3)
    assert line[-1][3] == pytest.approx(row[3], abs=1e-3)
    assert line[0][0] == 0


def test_the_victim_is_asked_once(toy_run: Path) -> None:
    build(toy_run, options=Options(scores="always"))
    scores = toy_run / "gallery" / "scores.json"
    before = scores.read_bytes()
    build(toy_run, options=Options(scores="always"))
    assert scores.read_bytes() == before
    scores.write_text('{"classifier_digest": "0", "top": {"1:1": [[99999, 2]]}}')
    build(toy_run, options=Options(scores="always"))
    assert scores.read_bytes() == before


def test_a_victim_of_ones_own_is_asked_only_on_request(toy_run: Path, tmp_path: Path) -> None:
    (toy_run / "gallery" / "scores.json").unlink(missing_ok=True)
    data = data_of(build(toy_run, tmp_path / "out").page)
    assert "only on request" in data["runs"][0]["note"]
    assert all("top" not in row[9] for row in data["rows"])


def test_a_gallery_with_a_place_of_its_own_can_be_moved(toy_run: Path, tmp_path: Path) -> None:
    built = build(toy_run, tmp_path / "out")
    text = built.page.read_text()
    assert "../" not in text
    assert str(tmp_path) not in text
    assert (tmp_path / "out" / "pictures" / "provenance.json").is_file()
    build(toy_run, tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("precious")
    with pytest.raises(FolderError, match="another --out"):
        build(toy_run, tmp_path / "other")


def test_several_runs_need_a_place(folder: Any, tmp_path: Path) -> None:
    runs = [folder("a/same", ["x", "y"]), folder("b/same", ["x", "y"])]
    with pytest.raises(UsageError, match="--out"):
        build(runs)
    data = data_of(build(runs, tmp_path / "out").page)
    assert [run["key"] for run in data["runs"]] == ["same", "same-2"]


def test_a_run_without_a_generation(folder: Any, tmp_path: Path) -> None:
    from evofool.store import CampaignFolder

    full = folder("full", ["a", "b"])
    with CampaignFolder.open(full) as run:
        manifest, config = run.manifest, run.config_text
    with CampaignFolder.create(tmp_path / "bare", manifest, config):
        pass
    built = build(tmp_path / "bare")
    assert built.pictures == 0
    assert built.contact_sheet is None
    assert "No picture yet" in built.page.read_text()


def test_a_folder_of_another_kind_is_refused(folder: Any, tmp_path: Path) -> None:
    run = folder("run", ["a", "b"])
    path = run / "manifest.json"
    path.write_text(path.read_text().replace('"evolve"', '"other"', 1))
    with pytest.raises(FolderError, match="other"):
        build(run)
    with pytest.raises(StoreError, match="not a run folder"):
        build(tmp_path)


def test_one_file_holds_everything(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder("run", [str(k) for k in range(30)])
    built = build(run, options=Options(single_file=True))
    text = built.page.read_text()
    outline = Outline(text)
    assert not [attributes for tag, attributes in outline.tags if tag == "img"]
    assert text.count("data:image/png;base64,") == 30
    monkeypatch.setattr("evofool.gallery.page.single.MAX_BYTES", 50_000)
    with pytest.raises(UsageError, match=r"--top (\d+)"):
        build(run, options=Options(single_file=True))


@pytest.mark.parametrize(
    ("name", "file"),
    [("one", "one.html"), ("v1.2", "v1.2.html"), ("a.HTML", "a.HTML"), ("a.htm", "a.htm")],
)
def test_one_file_is_a_page_whatever_it_is_called(
    name: str, file: str, folder: Any, tmp_path: Path
) -> None:
    built = build(folder("run", "ab"), tmp_path / name, Options(single_file=True))
    assert built.page == tmp_path / file
    assert built.page.is_file()
    assert not (tmp_path / name).exists() or name == file


def test_one_file_in_a_folder(folder: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    built = build(folder("run", "ab"), tmp_path / "out", Options(single_file=True))
    assert built.page == tmp_path / "out" / "gallery.html"


def test_top_shows_the_surest(folder: Any) -> None:
    data = data_of(build(folder("run", "abcdef"), options=Options(top=2)).page)
    assert [row[2] for row in data["rows"]] == [0, 1]
    assert "The 2 surest of 6 classes" in data["runs"][0]["headline"]


def test_the_policy_allows_this_style_and_script_and_nothing_else(folder: Any) -> None:
    text = build(folder("run", ["a", "b"])).page.read_text()
    outline = Outline(text)
    found = next(a["content"] for t, a in outline.tags if t == "meta" and "http-equiv" in a)
    for tag in ("style", "script"):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        assert body
        digest = base64.b64encode(hashlib.sha256(body[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in str(found)
    assert "default-src 'none'" in str(found)
    assert "connect-src" not in str(found)
    assert "connect-src 'self'" in policy(served=True)
    for tag, attributes in outline.tags:  # the policy would block these
        assert tag not in ("link", "base", "form", "iframe", "object")
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert not str(attributes.get("src", "")).startswith("http")


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_text_adds_no_tag_and_no_attribute(label: str, folder: Any) -> None:
    calm = Outline(build(folder("calm", ["a", "b"])).page.read_text())
    run = folder("wild", [label, label])
    for name in ("manifest.json", "config.yaml"):
        path = run / name
        path.write_text(path.read_text().replace("evofool evolve x", json.dumps(label)[1:-1]))
    wild = Outline(text := build(run).page.read_text())
    assert [(tag, set(attributes)) for tag, attributes in wild.tags] == [
        (tag, set(attributes)) for tag, attributes in calm.tags
    ]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", text)
    assert max(map(len, re.findall("x+", text))) <= 300
    names = {p.name for p in run.rglob("*") if p.is_file()}
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)


def test_cells_of_the_table_are_no_formulas(folder: Any) -> None:
    build(run := folder("run", ["=1+1", "+x", "-x", "@x", "\tx", "plain, with comma"]))
    rows = list(csv.DictReader(io.StringIO((run / "gallery" / "elites.csv").read_text())))
    assert [row["label"] for row in rows] == [
        "'=1+1",
        "'+x",
        "'-x",
        "'@x",
        "\\tx",
        "plain, with comma",
    ]
    assert float(rows[0]["confidence"]) == pytest.approx(0.999)


def test_families_are_for_imagenet_only() -> None:
    from evofool.classifiers.labels import shipped_labels

    labels = shipped_labels("imagenet")
    found = families(labels)
    assert found is not None
    assert set(found) == set(NAMES)
    for index, family in {
        207: "Dogs",
        281: "Cats",
        1: "Fish",
        579: "Musical instruments",
        779: "Vehicles and vessels",
        963: "Food and drink",
        980: "Landscapes",
        849: "Kitchen and tableware",
    }.items():
        assert found[index] == family
    assert found.count("Dogs") == 118
    assert found.count("Other things") < 60
    assert families([*labels[:-1], "other"]) is None


@pytest.mark.parametrize(
    ("confidence", "read"),
    [
        (0.0, "0.0 %"),
        (0.123, "12.3 %"),
        (0.9899, "98.9 %"),
        (0.99, "99.00 %"),
        (0.9901, "99.01 %"),
        (0.9999999, "99.999990 %"),
        (0.99985, "99.98 %"),
        (0.99995, "99.9950 %"),
        (0.9999961677735687, "99.9996 %"),
        (0.99999975, "99.99997 %"),
        (0.9999999986553108, "99.9999998 %"),
        (1 - 1e-13, "99.99999999 %"),
        (1 - 2**-53, "99.99999999 %"),
        (1.0, "100 %"),
    ],
)
def test_percent_never_rounds_up_and_tells_how_near_to_1(confidence: float, read: str) -> None:
    assert percent(confidence) == read


@pytest.mark.parametrize(
    ("confidence", "read"),
    [
        (0.0, "0.0000"),
        (0.28571, "0.2857"),
        (0.99996, "0.99996"),
        (0.9999961677735687, "0.999996"),
        (0.9999999986553108, "0.999999998"),
        (1 - 2**-53, "0.9999999999"),
        (1.0, "1"),
    ],
)
def test_a_number_below_1_never_reads_1(confidence: float, read: str) -> None:
    assert probability(confidence) == read
    assert estimate(confidence, 0.5, confidence) == f"{read} (0.5000-{read})"


def test_confidences_of_the_page_are_not_rounded_up() -> None:
    assert short(0.98999999) == 0.98999999


def test_text_keeps_direction_marks_only_where_they_can_be_isolated() -> None:
    assert printable("a\u200fb\u202ec\n d") == "a\u200fbc d"
    assert bare("a\u200fb\u202ec") == "a b c"
