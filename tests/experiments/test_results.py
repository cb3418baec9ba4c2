"""What runs return: pictures, typed records, frames; and the same from a folder that lies there."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evofool
from evofool.errors import FolderError, StoreError, UsageError
from evofool.experiments.records import AttackRecord, EliteRecord, NetRecord, ThreatRecord
from evofool.experiments.results import (
    AttackRun,
    CostsRun,
    DefendRun,
    EvolveRun,
    RetrainRun,
    Run,
    open_run,
)
from evofool.images import PROVENANCE, pixels_sha256, read_picture, read_text
from evofool.text import written_cell

TOYS = Path(__file__).parents[1] / "toys"
REPORTS = Path(__file__).parents[2] / "docs" / "reports"


@pytest.fixture(scope="module")
def evolved(
    tmp_path_factory: pytest.TempPathFactory, toy_campaign: Callable[..., dict[str, Any]]
) -> EvolveRun:
    config = toy_campaign(stop={"generations": 3})
    return evofool.evolve(config, tmp_path_factory.mktemp("evolved") / "run")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> AttackRun:
    """Against a victim whose labels look like formulas."""
    config = {
        "classifier": f"{TOYS / 'linear.py'}:named",
        "images": {"noise": "uniform", "count": 8},
        "attacks": [
            {"name": "fgsm", "eps": [0.1, 0.5]},
            {"name": "deepfool"},
            {"name": "fgsm", "eps": 0.5, "targets": 2},
        ],
        "seed": 2,
    }
    return evofool.attack(config, tmp_path_factory.mktemp("attacked") / "run")


def test_elites_are_the_saved_pictures(evolved: EvolveRun) -> None:
    elites = evolved.elites()
    assert [elite.class_index for elite in elites] == list(range(7))
    with (evolved.path / "elites.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    for elite, line in zip(elites, lines, strict=True):
        assert (str(elite.class_index), elite.label) == (line["class_index"], line["label"])
        assert elite.confidence == float(line["confidence"])
        assert elite.pixels.shape == (1, 6, 6)
        assert elite.pixels.dtype == np.uint8
        saved = evolved.path / line["png"]
        np.testing.assert_array_equal(elite.pixels[0], np.asarray(read_picture(saved)))
        assert elite.provenance == json.loads(read_text(saved)[PROVENANCE])
        assert elite.provenance["pixels_sha256"] == pixels_sha256(elite.pixels)
        assert elite.genome == elite.pixels.tobytes()  # of the toy encoding
    images = evolved.images()
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, np.stack([elite.pixels for elite in elites]))
    with evofool.Scorer(evofool.load_classifier(f"{TOYS / 'exact.py'}:victim")) as scorer:
        own = scorer.confidence(images)[range(7), range(7)]
    np.testing.assert_array_equal(own, [elite.confidence for elite in elites])


def test_records_of_evolution(evolved: EvolveRun) -> None:
    records = evolved.results()
    elites = evolved.elites()
    for record, elite in zip(records, elites, strict=True):
        assert (record.class_index, record.label) == (elite.class_index, elite.label)
        assert record.confidence == elite.confidence
        assert record.individual == elite.provenance["individual"]
        assert record.generation == elite.provenance["generation"]
        assert bool(record.parents) == (record.generation > 0)
    assert sum(record.won for record in records) == evolved.summary["cells_won"]


def test_records_and_pictures_of_attacks(attacked: AttackRun) -> None:
    records, images = attacked.results(), attacked.images()
    assert len(records) == len(images) == sum(each["n"] for each in attacked.summary["attacks"])
    assert images.shape[1:] == (1, 6, 6)
    assert images.dtype == np.uint8
    labels = json.loads((attacked.path / "manifest.json").read_text())["classifier"]["labels"]
    for record in records:
        assert record.source_label == labels[record.source]
        assert record.target_label == ("" if record.target is None else labels[record.target])
        assert (record.target is not None) == (record.attack_index == 3)
        assert (record.eps is None) == (record.attack == "deepfool")
        assert record.parameters.keys() >= {"seed"}
    assert "+five" in {record.source_label for record in records}
    assert "'+five" in (attacked.path / "results.csv").read_text()
    for index, line in enumerate(attacked.summary["attacks"]):
        own = [record.success_png for record in records if record.attack_index == index]
        assert sum(own) / len(own) == line["success_png"]["rate"]
    with evofool.Scorer(evofool.load_classifier(f"{TOYS / 'linear.py'}:named")) as scorer:
        assert scorer.labels(images).tolist() == [record.predicted for record in records]


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (DefendRun(REPORTS / "mnist-fgsm", {}), ThreatRecord),
        (RetrainRun(REPORTS / "mnist-retrain", {}), NetRecord),
    ],
)
def test_published_tables_are_read(run: Run, kind: type) -> None:
    records = run.results()
    assert {type(record) for record in records} == {kind}
    assert run.to_frame().shape[0] == len(records)


def test_what_published_tables_say() -> None:
    defense = DefendRun(REPORTS / "mnist-fgsm", {}).results()[1]
    assert (defense.net, defense.threat, defense.n, defense.errors) == (
        "undefended", "FGSM", 500, 461
    )  # fmt: skip
    assert defense.rate == 0.922
    median, *_ = CostsRun(REPORTS / "mnist-costs", {}).results()
    assert (median.loss, median.n, median.hits) == ("cross-entropy", None, None)
    assert median.rate == 0.9943446152433828
    net, *_ = RetrainRun(REPORTS / "mnist-retrain", {}).results()
    assert (net.round, net.trained_on, net.clean_error, net.recall_old) == (0, "base", 0.0046, None)
    assert net.evolution["cells_99_direct"] == 0.8
    assert net.evolution["recall_first_cppn"] is None
    columns = (REPORTS / "mnist-retrain" / "retrain.csv").read_text().split("\n")[0]
    assert list(RetrainRun(REPORTS / "mnist-retrain", {}).to_frame()) == columns.split(",")


def test_frames(evolved: EvolveRun, attacked: AttackRun) -> None:
    frame = evolved.to_frame()
    assert frame.confidence.tolist() == [record.confidence for record in evolved.results()]
    frame = attacked.to_frame()
    rates = frame.groupby(["attack_index", "parameters"]).success_png.mean()
    assert rates.tolist() == [each["success_png"]["rate"] for each in attacked.summary["attacks"]]
    with (attacked.path / "results.csv").open(newline="") as file:
        assert list(frame) == next(csv.reader(file))


def test_without_pandas_one_error_says_how_to_have_it(
    evolved: EvolveRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        evolved.to_frame()


def test_a_folder_gives_the_same(evolved: EvolveRun, attacked: AttackRun) -> None:
    for run in (evolved, attacked):
        again = open_run(run.path)
        assert type(again) is type(run)
        assert again.summary == json.loads(json.dumps(run.summary))
        assert again.results() == run.results()
        assert evofool.status(run)["kind"] == again.kind
        assert not [check for check in evofool.verify(run) if check.ok is False]
        resumed = evofool.resume(run)
        assert type(resumed) is type(run)
        assert resumed.results() == run.results()


def test_a_gallery_takes_runs(evolved: EvolveRun, attacked: AttackRun, tmp_path: Path) -> None:
    made = evofool.make_gallery([evolved, attacked.path], tmp_path / "gallery", top=2)
    assert made.page.is_file()
    assert made.pictures == 4
    assert evofool.make_gallery(evolved).page.is_relative_to(evolved.path)
    with pytest.raises(UsageError, match="no option 'topp'; did you mean 'top'"):
        evofool.make_gallery(evolved, topp=2)


def test_a_run_that_was_stopped_at_once_has_no_pictures(
    toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    run = evofool.evolve(toy_campaign(), tmp_path / "run", should_stop=lambda: True)
    assert run.elites() == run.results() == ()
    assert run.images().shape == (0, 1, 6, 6)
    assert list(run.to_frame()) == [*EliteRecord.__dataclass_fields__]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no such folder"):
        open_run(tmp_path / "nothing")
    with pytest.raises(FolderError, match="is not a run folder"):
        open_run(tmp_path)
    (tmp_path / "manifest.json").write_text('{"kind": "attack", "schema_version": 2}')
    with pytest.raises(StoreError, match=r"manifest\.json: damaged: run_id"):
        open_run(tmp_path)


def test_kinds_without_pictures_or_table_say_so(tmp_path: Path) -> None:
    run = Run(tmp_path, {"kind": "sweep"})
    assert run.kind == "sweep"
    for ask in (run.images, run.results, run.to_frame):
        with pytest.raises(UsageError, match="a run of kind sweep has no"):
            ask()
    with pytest.raises(FolderError, match=r"threats\.csv: does not exist yet; evofool resume"):
        DefendRun(tmp_path, {}).results()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("attack_index,", "index,", 1), "its columns are not"),
        (lambda text: text.replace("images/000-00000.png", "../../secret.png"), "not a picture"),
        (lambda text: text.replace("images/000-00000.png", "images/9.png"), "cannot be read"),
        (lambda text: text.replace(",fgsm,", ",fgsm,,", 1), "more or fewer cells"),
        (lambda text: text.replace("\n0,", "\nzero,", 1), "attack_index: must be a whole number"),
        (lambda text: text.replace('{""seed', "{{", 1), "parameters"),
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "\0", "damaged"),
    ],
)
def test_a_damaged_table_is_one_error(
    attacked: AttackRun, tmp_path: Path, change: Callable[[str], str], words: str
) -> None:
    copied = Path(shutil.copytree(attacked.path, tmp_path / "run"))
    text = (copied / "results.csv").read_text()
    (copied / "results.csv").write_text(change(text))
    with pytest.raises(StoreError, match=words):
        AttackRun(copied, {}).images()


def test_pictures_of_another_shape_are_refused(attacked: AttackRun, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(attacked.path, tmp_path / "run"))
    other = next(REPORTS.rglob("*.png"))
    shutil.copy(other, copied / "images" / "000-00000.png")
    with pytest.raises(StoreError, match=r"differ in shape|cannot be read"):
        AttackRun(copied, {}).images()


@pytest.mark.parametrize("text", ["=2+2", "-3", "@x", "plain", "'quoted'", "", "'"])
def test_cells_read_back_as_they_were(text: str) -> None:
    from evofool.text import safe_cell

    assert written_cell(str(safe_cell(text))) == text


def test_records_match_the_table_that_is_written() -> None:
    from evofool.experiments.attack.outputs import COLUMNS as ATTACKS
    from evofool.experiments.costs import summary as costs
    from evofool.experiments.defend import summary as defend
    from evofool.experiments.records import CostRecord

    threats, rates = defend.table([]), costs.table({"nets": []})
    assert tuple(AttackRecord.__dataclass_fields__) == ATTACKS
    assert tuple(ThreatRecord.__dataclass_fields__) == tuple(c.title for c in threats.columns)
    assert tuple(CostRecord.__dataclass_fields__) == tuple(c.title for c in rates.columns)
