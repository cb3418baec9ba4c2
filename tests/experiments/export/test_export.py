"""What is exported is read back by the ordinary library of each format."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import yaml
from markdown_it import MarkdownIt
from typer.testing import CliRunner

import evofool
from evofool.cli.app import app
from evofool.cli.export import Format
from evofool.errors import FolderError, StoreError, UsageError
from evofool.experiments.export import FORMATS
from evofool.experiments.records import AttackRecord
from evofool.experiments.results import AttackRun, EvolveRun
from evofool.store import CampaignFolder
from evofool.text import written_cell

TOYS = Path(__file__).parents[2] / "toys"
REPORTS = Path(__file__).parents[3] / "docs" / "reports"
HOSTILE = [
    "=1+1",
    'a,b\n"c"',
    "<script>alert(1)</script>",
    "| x | [y](z)",
    "\x1b[31mred",
    "naïve",
    "`",
]


@pytest.fixture(scope="module")
def evolved(
    tmp_path_factory: pytest.TempPathFactory, toy_campaign: Callable[..., dict[str, Any]]
) -> EvolveRun:
    config = toy_campaign(stop={"generations": 3})
    return evofool.evolve(config, tmp_path_factory.mktemp("evolved") / "run", seed=2**62)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> AttackRun:
    """Against a victim whose labels look like formulas."""
    config = {
        "classifier": f"{TOYS / 'linear.py'}:named",
        "images": {"noise": "uniform", "count": 20},
        "attacks": [
            {"name": "fgsm", "eps": [0.1, 0.5]},
            {"name": "deepfool"},
            {"name": "fgsm", "eps": 0.5, "targets": 2},
        ],
        "seed": 2,
    }
    return evofool.attack(config, tmp_path_factory.mktemp("attacked") / "run")


@pytest.fixture
def hostile(evolved: EvolveRun, tmp_path: Path) -> EvolveRun:
    """The same campaign, of a victim whose labels try to do something wherever they are shown."""
    shutil.copytree(evolved.path, tmp_path / "hostile")
    path = tmp_path / "hostile" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["classifier"]["labels"] = HOSTILE
    manifest["classifier"]["name"] = "a|b](http://x)<img src=x>`.py:f"
    manifest["classifier"]["digest"] = "` [y](z) `"
    manifest["command"] = "rm -rf ~\n```\n# heading"
    path.write_text(json.dumps(manifest))
    found = evofool.open_run(tmp_path / "hostile")
    assert isinstance(found, EvolveRun)
    return found


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def genomes(run: EvolveRun) -> list[str]:
    """sha256 of the dump of each elite's genome, from the store."""
    with CampaignFolder.open(run.path) as folder:
        archive = folder.archive()
    dumps = [archive.holders[elite.id].genome for elite in archive.elites]
    return [hashlib.sha256(dump or b"").hexdigest() for dump in dumps]


def test_a_folder_of_evolved_pictures(evolved: EvolveRun, tmp_path: Path) -> None:
    folder = evofool.export(evolved, tmp_path / "out")
    lines = table(folder)
    assert next(iter(lines[0])) == "file_name"
    assert {path.name for path in folder.iterdir()} == {
        *(line["file_name"] for line in lines), "metadata.csv", "README.md"
    }  # fmt: skip
    for line, elite, record, genome in zip(
        lines, evolved.elites(), evolved.results(), genomes(evolved), strict=True
    ):
        assert line["file_name"] == f"{elite.class_index:04d}.png"
        with PIL.Image.open(folder / line["file_name"]) as picture:
            np.testing.assert_array_equal(np.asarray(picture), elite.pixels[0])
        saved = (evolved.path / "images" / line["file_name"]).read_bytes()
        assert (folder / line["file_name"]).read_bytes() == saved  # its provenance too
        assert (int(line["class_index"]), line["label"]) == (elite.class_index, elite.label)
        assert float(line["confidence"]) == elite.confidence
        assert float(line["log_odds"]) == record.log_odds
        assert line["won"] == str(record.won)
        assert int(line["generation"]) == record.generation
        assert line["individual"] == record.individual
        assert line["parents"].split() == list(record.parents)
        assert line["genome_sha256"] == genome
        assert line["pixels_sha256"] == elite.provenance["pixels_sha256"]
        assert int(line["seed"]) == 2**62
        assert line["encoding"] == elite.provenance["encoding"]
        assert line["victim_digest"] == elite.provenance["classifier_digest"]


def test_a_folder_of_attacked_pictures(attacked: AttackRun, tmp_path: Path) -> None:
    lines = table(evofool.export(attacked.path, tmp_path / "out", "imagefolder"))
    records = attacked.results()
    names = {field.name for field in fields(AttackRecord)} - {"png", "image"} | {"image_index"}
    assert names < set(lines[0])
    assert "image" not in lines[0]  # readers call the picture itself so
    for line, record, pixels in zip(lines, records, attacked.images(), strict=True):
        with PIL.Image.open(tmp_path / "out" / line["file_name"]) as picture:
            np.testing.assert_array_equal(np.asarray(picture), pixels[0])
        assert record.png == f"images/{line['file_name']}"
        assert int(line["image_index"]) == record.image
        assert json.loads(line["parameters"]) == record.parameters
        assert written_cell(line["source_label"]) == record.source_label
        assert line["target"] == ("" if record.target is None else str(record.target))
        assert (line["success_png"] == "True") == record.success_png
    assert "'+five" in {line["source_label"] for line in lines}


def test_hugging_face_reads_the_folder(
    evolved: EvolveRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    folder = evofool.export(evolved, tmp_path / "out")
    data = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert data.features["image"] == datasets.Image()
    kinds = {name: data.features[name].dtype for name in ("class_index", "confidence", "won")}
    assert kinds == {"class_index": "int64", "confidence": "float64", "won": "bool"}
    found = {line["class_index"]: line for line in data}
    for elite in evolved.elites():
        line = found[elite.class_index]
        np.testing.assert_array_equal(np.asarray(line["image"]), elite.pixels[0])
        assert line["confidence"] == elite.confidence
        assert line["seed"] == 2**62
    assert len(found) == 7


def test_arrays(evolved: EvolveRun, attacked: AttackRun, tmp_path: Path) -> None:
    with np.load(evofool.export(evolved, tmp_path / "e.npz", "npz"), allow_pickle=False) as arrays:
        assert (arrays["images"].dtype, arrays["images"].shape) == (np.uint8, (7, 1, 6, 6))
        np.testing.assert_array_equal(arrays["images"], evolved.images())
        assert arrays["labels"].dtype == np.int64
        assert arrays["labels"].tolist() == list(range(7))
        assert arrays["confidences"].tolist() == [each.confidence for each in evolved.elites()]
        assert arrays["genome_sha256"].tolist() == genomes(evolved)
        assert arrays["classes"][arrays["labels"]].tolist() == arrays["label"].tolist()
    with np.load(evofool.export(attacked, tmp_path / "a.npz", "npz"), allow_pickle=False) as arrays:
        records = attacked.results()
        np.testing.assert_array_equal(arrays["images"], attacked.images())
        assert arrays["labels"].tolist() == [record.source for record in records]
        assert arrays["predicted"].tolist() == [record.predicted for record in records]
        assert set(arrays["target"]) > {-1}  # of the attacks without one
        assert np.isnan(arrays["eps"]).tolist() == [record.eps is None for record in records]
        assert arrays["success_png"].dtype == np.bool_


@pytest.mark.parametrize("kind", ["evolved", "attacked"])
def test_parquet(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run = request.getfixturevalue(kind)
    path = evofool.export(run, tmp_path / "out.parquet", "parquet")
    lines = parquet.read_table(path).to_pylist()
    for line, record, pixels in zip(lines, run.results(), run.images(), strict=True):
        assert set(line["image"]) == {"bytes", "path"}
        with PIL.Image.open(io.BytesIO(line["image"]["bytes"])) as picture:
            np.testing.assert_array_equal(np.asarray(picture), pixels[0])
        for field in fields(record):
            value = getattr(record, field.name)
            if (
                isinstance(value, int | float | str | None)
                and field.name in line
                and field.name != "image"
            ):
                assert line[field.name] == value, field.name
    if kind == "attacked":
        assert [line["eps"] is None for line in lines] == [
            each.eps is None for each in run.results()
        ]


def test_hugging_face_reads_the_parquet(
    evolved: EvolveRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    path = evofool.export(evolved, tmp_path / "out.parquet", "parquet")
    data = datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    assert data.features["image"] == datasets.Image()
    for line, elite in zip(data, evolved.elites(), strict=True):
        np.testing.assert_array_equal(np.asarray(line["image"]), elite.pixels[0])
        assert (line["label"], line["confidence"]) == (elite.label, elite.confidence)


def test_a_parquet_without_pyarrow(
    evolved: EvolveRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'evofool\[parquet\]'"):
        evofool.export(evolved, tmp_path / "out.parquet", "parquet")
    assert not list(tmp_path.iterdir())


def read_card(text: str) -> tuple[dict[str, Any], str]:
    """The front matter of a card, and the rest as HTML."""
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), MarkdownIt("commonmark").enable("table").render(body)


def test_cards(evolved: EvolveRun, attacked: AttackRun, tmp_path: Path) -> None:
    front, html = read_card(evofool.export(evolved, tmp_path / "e.md", "card").read_text())
    assert front["task_categories"] == ["image-classification"]
    manifest = json.loads((evolved.path / "manifest.json").read_text())
    assert f"<td>{manifest['classifier']['digest']}</td>" in html
    assert f"<td>{evolved.summary['archive_digest']}</td>" in html
    found = dict(re.findall(r"<td>([^<]*)</td>\n<td>([^<]*)</td>\n</tr>", html))
    assert found["of these the victim's first answer"] == str(evolved.summary["cells_won"])
    assert found["evaluations"] == f"{evolved.summary['evaluations']:,}"
    share = evolved.summary["share_at"]["0.9"]
    assert found["at 0.9 or above"] == str(round(share * 7))
    assert "<h2>Licence</h2>" in html
    _, html = read_card(evofool.export(attacked, tmp_path / "a.md", "card").read_text())
    for line in attacked.summary["attacks"]:
        fooled = round(line["success_png"]["rate"] * line["n"])
        assert f"<td>{line['n']}</td>\n<td>{fooled}</td>" in html
    assert "its data set" in html


def test_hostile_labels_do_nothing(hostile: EvolveRun, tmp_path: Path) -> None:
    folder = evofool.export(hostile, tmp_path / "out")
    assert {path.name for path in folder.iterdir() if path.suffix == ".png"} == {
        f"{c:04d}.png" for c in range(7)
    }
    written = [line["label"] for line in table(folder)]
    assert written[0] == "'=1+1"
    assert written[1] == 'a,b\\n"c"'
    assert written[4] == "\\x1b[31mred"
    _, html = read_card((folder / "README.md").read_text(encoding="utf-8"))
    assert "<img" not in html
    assert "<a " not in html
    assert "<h1>heading" not in html
    assert html.count("<h1>") == 1
    assert "rm -rf" not in html
    with np.load(evofool.export(hostile, tmp_path / "x.npz", "npz")) as arrays:
        assert arrays["label"][4] == "\\x1b[31mred"


def test_the_command_offers_every_format() -> None:
    assert [each.value for each in Format] == list(FORMATS)


def test_the_command(evolved: EvolveRun, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out.npz"
    done = CliRunner().invoke(
        app, ["export", str(evolved.path), "--format", "npz", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    assert done.output.strip() == str(out)
    assert out.is_file()


def test_kinds_without_pictures(tmp_path: Path) -> None:
    for name, kind in (("mnist-fgsm", "defend"), ("mnist-costs", "costs")):
        with pytest.raises(UsageError, match=f"of kind {kind} has no pictures of its own"):
            evofool.export(REPORTS / name, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_what_is_refused(evolved: EvolveRun, attacked: AttackRun, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    (tmp_path / "there.npz").write_text("mine")
    for out, format, error, message in (
        ("full", "imagefolder", FolderError, "is not empty"),
        ("there.npz", "npz", FolderError, "is not empty"),
        ("there.npz", "imagefolder", FolderError, "is not empty"),
        ("data.csv", "parquet", UsageError, r"must end in \.parquet"),
        ("a\0b", "imagefolder", UsageError, "NUL"),
        ("x", "imagefoldr", UsageError, "did you mean 'imagefolder'"),
        ("there.npz/x", "imagefolder", StoreError, "cannot be written"),
    ):
        with pytest.raises(error, match=message):
            evofool.export(evolved, tmp_path / out, format)
    assert (tmp_path / "there.npz").read_text() == "mine"
    with pytest.raises(FolderError, match="no such folder"):
        evofool.export(tmp_path / "nowhere", tmp_path / "out")
    shutil.copytree(attacked.path, tmp_path / "run")
    lines = (tmp_path / "run" / "results.csv").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "results.csv").write_text("".join([*lines, lines[-1]]))
    with pytest.raises(StoreError, match="two of its pictures have the same name"):
        evofool.export(tmp_path / "run", tmp_path / "out")
    (tmp_path / "run" / "results.csv").write_text(lines[0])
    with pytest.raises(StoreError, match="no picture to export yet"):
        evofool.export(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()
