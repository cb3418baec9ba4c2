"""What a backward pass costs here: measured, named by its machine, never taken from another."""

from __future__ import annotations

import csv
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from evofool.experiments.compare import passes, report, study
from evofool.experiments.compare.passes import PassesRow, TimedPasses
from evofool.experiments.compare.study import CompareStudy
from evofool.experiments.engine import Options, begin
from evofool.experiments.runs import resume, status, verify
from evofool.store.experiment import ExperimentFolder

TOYS = Path(__file__).resolve().parents[2] / "toys"
CONFIG: dict[str, Any] = {
    "kind": "compare",
    "victims": [f"{TOYS / 'linear.py'}:victim", f"{TOYS / 'exact.py'}:victim"],
    "methods": [{"noise": "uniform"}],
    "budget": 70,
    "seeds": [1],
}


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "figures", lambda *_: {})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    begin(CompareStudy, CONFIG, tmp_path / "run")
    return tmp_path / "run"


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "passes.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def timed(run: Path) -> dict[str, float]:
    """What is stored, by the address of its work."""
    with ExperimentFolder.open(run) as folder:
        return {
            address: PassesRow.parse(item, content, None, "").gradient
            for address, work in folder.works().items()
            if work.kind == TimedPasses.kind
            for item, content in folder.contents(address, PassesRow.type)
        }


def test_a_net_with_gradients_is_timed_and_the_page_says_it(run: Path) -> None:
    (row,) = rows(run)
    assert row["net"] == "linear"  # the other one is a black box
    forward, gradient = float(row["forward_seconds"]), float(row["gradient_seconds"])
    assert float(row["ratio"]) == pytest.approx((gradient - forward) / forward)
    assert row["counted"] == "2"
    text = (run / "report" / "index.html").read_text(encoding="utf-8")
    assert f"{float(row['ratio']):.1f} on linear. The tables count 2." in text


def test_the_ratio_is_of_the_shortest_of_its_times(monkeypatch: pytest.MonkeyPatch) -> None:
    # each is called once before it is timed; a call takes what the clock says
    clock = iter([0.0, 5.0, 5.0, 7.0, 7.0, 10.0, 10.0, 14.0, 14.0, 18.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    calls: list[int] = []
    assert passes._shortest(lambda: calls.append(1)) == 2.0
    assert len(calls) == passes.TIMES + 1
    assert PassesRow(0, 2.0, 5.0, 32, "cpu", "x").ratio == 1.5


def test_it_is_no_cost_of_a_method(run: Path) -> None:
    with (run / "costs.csv").open(encoding="utf-8", newline="") as file:
        spent = [int(row["spent"]) for row in csv.DictReader(file)]
    assert spent == [70, 70]
    assert status(run)["queries"] > sum(spent)


def test_another_machine_keeps_what_was_measured_where_it_began(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, table = timed(run), rows(run)
    monkeypatch.setattr(study, "this_machine", lambda: "another")
    assert all(check.ok for check in verify(run))
    resume(run)
    assert (timed(run), rows(run)) == (before, table)


def test_another_machine_never_takes_it_over(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    options = Options(reuse=[run], say=said.append)
    begin(CompareStudy, CONFIG, tmp_path / "same", options=options)
    assert timed(tmp_path / "same") == timed(run)
    monkeypatch.setattr(study, "this_machine", lambda: "another")
    begin(CompareStudy, CONFIG, tmp_path / "other", options=options)
    assert not timed(tmp_path / "other").keys() & timed(run).keys()
    assert "passes" in said[0]
    assert "passes" not in said[1]


def test_a_comparison_of_runs_says_what_they_measured(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "first")
    config = {"kind": "compare", "runs": [str(tmp_path / "first")]}
    begin(CompareStudy, config, tmp_path / "made")
    text = (tmp_path / "made" / "report" / "index.html").read_text(encoding="utf-8")
    ratio = float(rows(run)[0]["ratio"])
    assert f"{ratio:.1f} on linear in first; the tables count 2." in text
