"""``kind: compare`` end to end on a net of exact arithmetic."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.classifiers import load_classifier
from evofool.data import Dataset
from evofool.errors import ConfigError, DataError, Interrupted
from evofool.experiments.compare import held_against, plots, report, study
from evofool.experiments.compare.lines import plan_lines, result_lines
from evofool.experiments.compare.measures import read
from evofool.experiments.compare.study import CompareStudy, plan
from evofool.experiments.engine import Options, Results, begin
from evofool.experiments.runs import kind_of, resume, status, verify
from evofool.images import decode_png, encode_png
from evofool.render.masks import Mask
from evofool.scoring import Scorer
from evofool.scoring.ranking import sigmoid
from evofool.store import Result
from evofool.store.experiment import ExperimentFolder

TOYS = Path(__file__).resolve().parents[2] / "toys"
WHITE, BLACK = f"{TOYS / 'linear.py'}:victim", f"{TOYS / 'exact.py'}:victim"
LAYERS = Path(__file__).resolve().parents[2] / "support" / "layered_nets.py"
CLASSES = 7
METHODS = (
    {"evolution": "direct", "initial": 8, "children": 8},
    {"attack": "gradient-ascent", "step_size": 0.05},
    {"attack": "square"},
    {"random": "direct"},
    {"noise": "uniform"},
    {"pictures": "test"},
)


def config(**sections: Any) -> dict[str, Any]:
    return {
        "kind": "compare",
        "victims": [WHITE],
        "methods": list(METHODS),
        "budget": 30 * CLASSES,
        "seeds": [1, 2],
        "data": "mnist",
        "scoring": {"batch": 16},
        **sections,
    }


def load_toys(name: str, split: str, _folder: object = None) -> Dataset:
    """60 pictures of the toys' size."""
    images = np.random.default_rng(5).integers(0, 256, (60, 1, 6, 6), dtype=np.uint8)
    return Dataset(name, split, images, np.zeros(60, np.int64), ("a",))  # type: ignore[arg-type]


FIGURES = ("net-{n}-best", "net-{n}-medians", "net-{n}-share", "net-{n}-tests", "answer")


def no_figures(compared: Any, net: str, number: int, *_: Any) -> dict[str, bytes]:
    """The files of the figures, which take longer to be drawn than all the rest here."""
    names = [name.format(n=number) for name in FIGURES]
    pixel = encode_png(np.zeros((1, 1, 1), np.uint8))
    return {f"{name}{dark}.png": pixel for name in names for dark in ("", "-dark")}


FIGURES_DRAWN = report.figures


@pytest.fixture(autouse=True, scope="module")
def toys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "load_dataset", load_toys)
        patch.setattr(held_against, "load_dataset", load_toys)
        patch.setattr(report, "figures", no_figures)
        yield


@pytest.fixture(scope="module")
def finished(toys: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compare") / "run"
    begin(CompareStudy, config(), path, command="evofool compare toy.yaml")
    return path


def rows(run: Path, name: str = "compare.csv") -> list[dict[str, str]]:
    with (run / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tables(run: Path) -> dict[str, list[dict[str, str]]]:
    """All tables, without the seconds that a method or a pass took."""
    found = {path.name: rows(run, path.name) for path in run.glob("*.csv")}
    del found["passes.csv"]
    for name in ("compare.csv", "costs.csv"):
        for row in found[name]:
            row.pop("seconds")
    return found


def test_it_leaves_what_people_look_for(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "compare.csv", "curves.csv", "searches.csv", "tests.csv", "pictures.csv", "report",
        "likeness.csv", "traces.csv", "costs.csv", "passes.csv", "pictures", "evolution",
        "summary.json", "run.sqlite",
    }  # fmt: skip
    assert kind_of(finished).name == "compare"
    found = status(finished)
    # a search and its distances, of evolution the campaign, and the timed passes
    works = 2 * (2 * len(METHODS) + 1) + 1
    assert (found["status"], found["works"], found["finished"]) == ("finished", works, works)
    checks = list(verify(finished))
    assert all(check.ok for check in checks), checks
    assert sum(check.name.endswith(", again") for check in checks) == 4 * len(METHODS)
    tex = (finished / "report" / "compare.tex").read_text(encoding="utf-8")
    assert tex.startswith(r"\begin{tabular}")


def test_no_method_spends_more_than_it_has(finished: Path) -> None:
    found = rows(finished)
    assert [row["method"] for row in found] == [
        "evolution direct", "gradient-ascent", "square", "random direct", "noise uniform",
        "pictures test",
    ]  # fmt: skip
    assert [row["sees"] for row in found] == ["scores", "weights", *["scores"] * 4]
    for row in found:
        assert 0 < float(row["spent"]) <= 30 * CLASSES, row["method"]
        if row["method"] not in ("pictures test", "evolution direct"):
            assert float(row["spent"]) >= 0.9 * 30 * CLASSES, row["method"]
    assert float(found[5]["spent"]) == 60 + CLASSES  # there are no more pictures


def test_every_number_follows_from_the_pictures_and_the_searches(finished: Path) -> None:
    """Recomputed without the package's own measures."""
    searches = rows(finished, "searches.csv")
    victim = load_classifier(WHITE)
    methods = [row["method"] for row in rows(finished)]
    with Scorer(victim) as scorer:
        for number, method in enumerate(methods):
            own = [r for r in searches if r["method"] == method and r["seed"] == "1"]
            assert len(own) == CLASSES
            for row in own:
                c = int(row["class_index"])
                png = finished / "pictures" / f"0-{number:02d}-1-{c:04d}.png"
                odds = scorer.score(decode_png(png.read_bytes())[None]).log_odds[0, c]
                assert float(row["log_odds"]) == pytest.approx(odds, abs=1e-6)
    for row in rows(finished):
        medians, shares, halves = [], [], []
        for seed in "12":
            own = [r for r in searches if (r["method"], r["seed"]) == (row["method"], seed)]
            sure = [1 / (1 + np.exp(-float(r["log_odds"]))) for r in own]
            medians.append(np.median(sure))
            shares.append(np.mean([c >= 0.9 for c in sure]))
            costs = sorted(float(r["cost_at_0.99"] or "inf") for r in own)
            halves.append(costs[3])
        assert float(row["median_confidence"]) == pytest.approx(np.median(medians))
        assert float(row["share_0.9"]) == pytest.approx(np.mean(shares))
        assert float(row["median_low"]) == pytest.approx(min(medians))
        assert float(row["median_high"]) == pytest.approx(max(medians))
        half = np.median(halves)
        assert row["half_at"] == (str(int(half)) if np.isfinite(half) else "")


def test_curves_rise_to_what_was_reached(finished: Path) -> None:
    for row in rows(finished):
        curve = [r for r in rows(finished, "curves.csv") if r["method"] == row["method"]]
        costs = [int(r["cost"]) for r in curve]
        assert costs == sorted(costs)
        assert costs[-1] == 30 * CLASSES
        values = [float(r["median_confidence"]) for r in curve if r["median_confidence"]]
        assert values == sorted(values)
        assert values[-1] == pytest.approx(float(row["median_confidence"]), abs=1e-6)
        shares = [float(r["share_0.9"]) for r in curve]
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(float(row["share_0.9"]))


def test_a_drawn_curve_is_the_best_of_the_pictures_so_far(finished: Path) -> None:
    from evofool.attacks.query.noise import noise_images

    with Scorer(load_classifier(WHITE)) as scorer:
        sure = [
            sigmoid(scorer.score(noise_images("uniform", (1, 6, 6), 128, seed)).log_odds)
            for seed in (1, 2)
        ]
    for row in rows(finished, "curves.csv"):
        cost = int(row["cost"])
        if row["method"] == "noise uniform" and cost <= 128:
            medians = [np.median(each[:cost].max(axis=0)) for each in sure]
            assert float(row["median_confidence"]) == pytest.approx(np.median(medians), abs=1e-6)


def test_the_page_stands_alone(finished: Path) -> None:
    text = (finished / "report" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "forward-equivalents" in text
    for name in re.findall(r'(?:src|srcset|href)="([^"]+)"', text):
        assert (finished / "report" / name).is_file(), name
    columns = len(METHODS) - 1  # noise is not shown beside random pictures of an encoding
    assert text.count('<img src="pictures/') == columns * CLASSES
    assert text.index('class="lead"') < text.index("net-0-best.png") < text.index("<h2>Methods")
    shown = {path.name for path in (finished / "report" / "pictures").iterdir()}
    assert len(shown) == columns * CLASSES


@pytest.mark.parametrize("stops", [3, 20, 45])
def test_what_was_stopped_goes_on_to_the_same_tables(
    finished: Path, tmp_path: Path, stops: int
) -> None:
    calls = iter(range(100_000))
    stop = Options(should_stop=lambda: next(calls) >= stops)
    with pytest.raises(Interrupted, match="evofool resume"):
        begin(CompareStudy, config(), tmp_path / "run", options=stop)
    assert status(tmp_path / "run")["status"] == "interrupted"
    resume(tmp_path / "run")
    assert tables(tmp_path / "run") == tables(finished)


def test_the_figures_are_drawn(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = CompareStudy.make(CompareStudy.load(config()))
    monkeypatch.setattr(report, "figures", FIGURES_DRAWN)
    with ExperimentFolder.open(finished) as run:
        results = Results(run, made.plan)
        files = dict(made.report(results, run.manifest).files)
        found = [read(arm, results, CLASSES) for arm in made.compared.arms]
        odd = dict.fromkeys(made.compared.labels, (r"$\frac{", "<b>", "\u202e9", *"3456"))
        made.compared = dataclasses.replace(made.compared, labels=odd)
        with monkeypatch.context() as others:  # which name no class
            others.setattr(report, "light_and_dark", lambda name, draw: {})
            others.setattr(plots, "svgs", lambda *arguments: {})
            others.setattr(report.heat, "heat_svg", lambda pairs: b"")
            named = made.report(results, run.manifest).files["answer.svg"].decode()
    assert r"$\frac{" in named  # and not as a formula
    assert "\u202e" not in named
    names = {name for name in files if "/" not in name} - {"compare.tex"}
    stems = [name.format(n=0) for name in FIGURES]
    assert names == {f"{s}{end}" for s in stems for end in (".png", "-dark.png", ".svg")}
    for name in names:
        start = b"<?xml" if name.endswith(".svg") else b"\x89PNG"
        assert files[name].startswith(start), name
    methods = [row["method"] for row in rows(finished)]
    for stem in ("net-0-medians", "net-0-share", "net-0-tests"):
        for method in methods:
            assert method in files[f"{stem}.svg"].decode()  # as text, which can be searched
    again = plots.svgs(found, 1, "net-0")
    assert all(files[name] == data for name, data in again.items())


def test_natural_pictures_stay_out_of_what_is_published(finished: Path, tmp_path: Path) -> None:
    wanted = config(pictures=False)
    begin(CompareStudy, wanted, tmp_path / "run", options=Options(reuse=[finished]))
    own = {row["file"]: row for row in rows(tmp_path / "run", "pictures.csv")}
    assert {row["method"] for row in own.values() if not row["file"]} == {"pictures test"}
    left = {f"pictures/{path.name}" for path in (tmp_path / "run" / "pictures").iterdir()}
    assert left == own.keys() - {""}
    assert len(left) == 2 * CLASSES * (len(METHODS) - 1)
    shown = (tmp_path / "run" / "report" / "pictures").iterdir()
    assert {f"pictures/{path.name}" for path in shown} <= left
    assert rows(tmp_path / "run", "compare.csv")[5]["method"] == "pictures test"
    assert all(check.ok for check in verify(tmp_path / "run"))


def test_rows_of_another_comparison_are_taken_over(finished: Path, tmp_path: Path) -> None:
    less = config(methods=list(METHODS[:3]), seeds=[2])
    result = begin(CompareStudy, less, tmp_path / "run", options=Options(reuse=[finished]))
    own = rows(tmp_path / "run", "searches.csv")
    assert own == [
        row
        for row in rows(finished, "searches.csv")
        if row["seed"] == "2" and row["method"] in {each["method"] for each in own}
    ]
    assert result.summary["seeds"] == [2]


def test_one_seed_has_no_interval_and_says_so(tmp_path: Path) -> None:
    begin(CompareStudy, config(seeds=[1], methods=list(METHODS[3:5])), tmp_path / "run")
    assert "median_low" not in rows(tmp_path / "run")[0]
    text = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert "There is only one seed, so no interval is drawn." in text


def test_what_a_net_cannot_give_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str, split: str) -> Dataset:
        raise DataError("mnist is not here; fetch it")

    monkeypatch.setattr(study, "load_dataset", missing)
    monkeypatch.setattr(held_against, "load_dataset", missing)
    result = begin(CompareStudy, config(victims=[BLACK], seeds=[1]), tmp_path / "run")
    left_out = {each["method"]: each["reason"] for each in result.summary["left_out"]}
    far = "distance to natural pictures"
    assert left_out.keys() == {"gradient-ascent", "pictures test", far}
    assert "needs gradients, which" in left_out["gradient-ascent"]
    assert left_out["pictures test"] == left_out[far] == "mnist is not here; fetch it"
    text = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert "needs gradients, which" in text
    lines = result_lines(Result(tmp_path / "run", json.loads(
        (tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))), [])  # fmt: skip
    assert any("left out: gradient-ascent on toy: " in line for line in lines)


def test_pictures_are_shown_to_what_has_the_same_classes(tmp_path: Path) -> None:
    """Also to a black box, but not to the victim itself, nor to a net of other classes."""
    others = [WHITE, f"{LAYERS}:victim", BLACK]
    wanted = config(seeds=[1], methods=[{"noise": "uniform"}], transfer=others, data=None)
    result = begin(CompareStudy, wanted, tmp_path / "run")
    left_out = {each["method"]: each["reason"] for each in result.summary["left_out"]}
    assert left_out.keys() == {
        "transfer to linear", "transfer to layers"
    }  # fmt: skip
    assert left_out["transfer to linear"] == "it is the same net"
    assert "share no classes" in left_out["transfer to layers"]
    (row,) = rows(tmp_path / "run", "transfer.csv")
    assert (row["target"], row["method"]) == ("toy", "noise uniform")
    text = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert "What other nets make of the pictures" in text
    assert "share no classes" in text
    assert all(check.ok for check in verify(tmp_path / "run"))


def test_two_nets_are_compared_side_by_side(tmp_path: Path) -> None:
    wanted = config(victims=[WHITE, BLACK], seeds=[1], methods=list(METHODS[2:4]))
    begin(CompareStudy, wanted, tmp_path / "run")
    assert [(r["net"], r["method"]) for r in rows(tmp_path / "run")] == [
        ("linear", "square"), ("linear", "random direct"),
        ("toy", "square"), ("toy", "random direct"),
    ]  # fmt: skip
    assert (tmp_path / "run" / "report" / "net-1-best.png").is_file()


def test_a_net_and_the_same_under_transforms_have_names_of_their_own() -> None:
    two, other = ({"k": 2, "seed": seed, "brightness": 0.1} for seed in (1, 2))
    nets: list[Any] = [WHITE, {"name": WHITE, "transforms": two}]
    named = "linear", "linear under 2 transforms"
    wanted = config(victims=nets, transfer=nets, methods=[{"noise": "uniform"}])
    compared = CompareStudy.make(CompareStudy.load(wanted)).compared
    assert tuple(compared.labels) == named
    assert {measure.target for measure in compared.measures} >= set(named)
    nets[0] = {"name": WHITE, "transforms": other}
    compared = CompareStudy.make(CompareStudy.load(config(victims=nets, seeds=[1]))).compared
    assert len(compared.labels) == 2
    assert all(name.startswith(f"{named[1]} (") for name in compared.labels)


def test_evolution_on_a_part_of_a_picture(tmp_path: Path) -> None:
    disc = {"shape": "disc", "size": 0.7}
    method = {
        "evolution": "masked", "name": "a sticker", "inner": "direct", "mask": disc,
        "background": [9, 9, 9], "initial": 8, "children": 8,
    }  # fmt: skip
    wanted = config(methods=[method], seeds=[1], data=None)
    begin(CompareStudy, wanted, tmp_path / "run")
    outside = ~Mask.model_validate(disc).raster((6, 6))
    files = sorted((tmp_path / "run" / "pictures").glob("*.png"))
    assert len(files) == CLASSES
    pictures = np.stack([decode_png(file.read_bytes()) for file in files])
    assert (pictures[:, :, outside] == 9).all()
    assert (pictures[:, :, ~outside] != 9).any()
    assert rows(tmp_path / "run")[0]["method"] == "a sticker"
    assert all(check.ok is not False for check in verify(tmp_path / "run"))


def test_a_dry_run_says_what_there_is_to_do() -> None:
    lines = plan_lines(plan(CompareStudy.load(config())))
    assert lines[-1] == "# 12 runs of methods, 210 forward-equivalents each, 2,520 in all"


def test_damage_is_found(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    text = (copy / "searches.csv").read_text(encoding="utf-8")
    (copy / "searches.csv").write_text(text.replace("square", "sqare", 1), encoding="utf-8")
    (copy / "pictures" / "0-02-1-0003.png").unlink()
    found = {check.name: check for check in verify(copy)}
    assert found["searches.csv"].ok is False
    assert found["pictures"].ok is False
    assert found["pictures"].detail == "pictures/0-02-1-0003.png differs or is missing"


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"methods": [{"evolution": "dircet"}]}, "methods[0].evolution", "'direct'"),
        ({"methods": [{"random": "nosuch"}]}, "methods[0].random", "nosuch"),
        ({"methods": [{"attack": "gradient-assent"}]}, "methods[0].attack", "gradient-ascent"),
        ({"methods": [{"attack": "deepfool"}]}, "methods[0].attack", "cannot be aimed"),
        ({"methods": [{"attack": "square", "tries": 3}]}, "methods[0]", "tries"),
        ({"methods": [{"attack": "pgd", "step_size": [0.1, 0.2]}]}, "methods[0]", "of its own"),
        ({"methods": [{"attack": "pgd", "noise": "dim"}]}, "methods[0]", "exactly one of"),
        ({"methods": [{"random": "cppn", "queries": 3}]}, "methods[0]", "unknown key 'queries'"),
        ({"methods": [{"noise": "dim"}] * 2}, "methods", "two methods are called 'noise dim'"),
        ({"methods": []}, "methods", "must have at least 1 item"),
        ({"budget": 55}, "budget", "55 forward-equivalents are 7 for each of the 7 classes of"),
        ({"victims": [WHITE, WHITE]}, "victims[1]", "two nets are called linear"),
        ({"seeds": [1, 1]}, "seeds", "names one twice"),
        ({"transfer": ["no/such.py:net"]}, "transfer[0]", "no/such.py"),
        ({"transfer": [WHITE, WHITE]}, "transfer[1]", "two nets are called linear"),
        ({"rounds": 3}, "rounds", "unknown key"),
    ],
)
def test_bad_configs(changes: dict[str, Any], place: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CompareStudy.make(CompareStudy.load(config(**changes)))
    assert message in str(caught.value)
    assert place in str(caught.value)
