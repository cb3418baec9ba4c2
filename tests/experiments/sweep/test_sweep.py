"""Sweeps carried out: tables, plots, runs of their own, budgets, stops, and several at once."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from toy_sweeps import campaign, sweep

from evofool.errors import Interrupted
from evofool.evolution.campaign import evolve
from evofool.experiments.engine import begin
from evofool.experiments.engine.drawing import KEY, drawn_digests
from evofool.experiments.engine.life import redraw
from evofool.experiments.runs import resume, status, verify
from evofool.experiments.sweep.study import SweepStudy
from evofool.experiments.sweep.summary import mean_of
from evofool.images import read_picture
from evofool.store.experiment import ExperimentFolder

GRID = {"evolution.children": [8, 12], "evolution.initial": [10, 20]}


def table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    for row in rows:
        row.pop("seconds", None)
    return rows


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("sweep") / "run"
    begin(SweepStudy, sweep(grid=GRID), run, command="evofool sweep toy.yaml")
    return run


def test_every_run_is_a_run_of_its_own(finished: Path, tmp_path: Path) -> None:
    runs = sorted((finished / "runs").iterdir())
    assert len(runs) == 8
    one = next(run for run in runs if "children=8-initial=20-seed-2" in run.name)
    config = campaign(evolution={"initial": 20, "children": 8}, seed=2)
    alone = evolve(config, tmp_path / "alone").summary
    summary = json.loads((one / "summary.json").read_text())
    assert summary["archive_digest"] == alone["archive_digest"]
    assert all(check.ok is not False for check in verify(one))


def test_tables_and_plots_are_over_the_grid(finished: Path) -> None:
    rows = table(finished / "sweep.csv")
    assert [(r["children"], r["initial"], r["seed"]) for r in rows[:3]] == [
        ("8", "10", "1"), ("8", "10", "2"), ("8", "20", "1"),
    ]  # fmt: skip
    grid = table(finished / "grid.csv")
    assert [row["seeds"] for row in grid] == ["2"] * 4
    own = [
        float(r["median_confidence"]) for r in rows if (r["children"], r["initial"]) == ("8", "10")
    ]
    assert float(grid[0]["median_confidence"]) == pytest.approx(sum(own) / 2)
    assert float(grid[0]["low"]) <= sum(own) / 2 <= float(grid[0]["high"])
    assert "children" in (finished / "grid.md").read_text()
    assert "tabular" in (finished / "grid.tex").read_text()
    page = (finished / "report" / "index.html").read_text()
    assert "median confidence by evolution.children" in page
    assert "median confidence by evolution.initial" in page
    assert read_picture(finished / "report" / "sweep-1.png").width > 400
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["queries"] == sum(int(row["queries"]) for row in rows)
    assert status(finished)["queries"] == summary["queries"]


def test_verify_looks_into_the_runs(finished: Path, tmp_path: Path) -> None:
    assert all(check.ok for check in verify(finished))
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    picture = next((copy / "runs").rglob("images/*.png"))
    picture.write_bytes(b"nothing")
    assert any(check.ok is False for check in verify(copy))


def test_verify_finds_every_file_of_a_report_that_was_changed(
    finished: Path, tmp_path: Path
) -> None:
    """One bit of each; of plots too, which another matplotlib would draw otherwise."""
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    files = [path for path in (copy / "report").rglob("*") if path.is_file()]
    for path in files:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    found = {check.name for check in verify(copy) if check.ok is False}
    assert found == {str(path.relative_to(copy)) for path in files}
    assert any(name.endswith(".png") for name in found)


def test_plots_of_another_version_are_as_they_were_drawn(finished: Path, tmp_path: Path) -> None:
    """Also after the report is drawn again; of a run without digests nobody knows."""
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    redraw(SweepStudy, copy)
    plot = copy / "report" / "sweep-1.png"
    plot.write_bytes(plot.read_bytes() + b"other")  # what a decoder does not read
    with ExperimentFolder.open(copy, writable=True) as run:
        digests = {**drawn_digests(run.meta()), "report/sweep-1.png": sha256(plot)}  # type: ignore[dict-item]
        run.set_meta({KEY: json.dumps(digests)})
    assert not [check for check in verify(copy) if check.ok is False]
    plot.unlink()
    assert [c.name for c in verify(copy) if c.ok is False] == ["report/sweep-1.png"]
    with ExperimentFolder.open(copy, writable=True) as run:
        run.set_meta({KEY: ""})
    assert not [check for check in verify(copy) if check.ok is False]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_several_at_once_are_as_one_after_the_other(finished: Path, tmp_path: Path) -> None:
    begin(SweepStudy, sweep(grid=GRID), tmp_path / "run", at_once=3)
    for name in ("grid.csv", "sweep.csv"):
        assert table(tmp_path / "run" / name) == table(finished / name)


def test_a_stop_keeps_what_is_done(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stop: list[bool] = []

    def progress(now: Any) -> None:
        if now.done == 3:
            stop.append(True)

    with pytest.raises(Interrupted, match="continue with: evofool resume"):
        begin(SweepStudy, sweep(grid=GRID), run, should_stop=lambda: bool(stop), progress=progress)
    assert status(run)["finished"] == 3
    resume(run)
    assert table(run / "grid.csv") == table(finished / "grid.csv")


def test_a_budget_is_shared_before_the_start(tmp_path: Path) -> None:
    """Each of the four runs wants 30 pictures; what is cut short is no result, until it may."""
    config = sweep(grid={"evolution.children": [9, 10]}, budget=88)
    here, there = tmp_path / "here", tmp_path / "there"
    for run, at_once in ((here, 1), (there, 4)):
        begin(SweepStudy, config, run, at_once=at_once)
        assert status(run)["stop_reason"] == "budget"
        assert status(run)["finished"] == 0
        assert status(run)["queries"] == 4 * 10 + 2 * 9 + 2 * 10
    resume(here, overrides=["budget=1000"])
    begin(SweepStudy, sweep(grid={"evolution.children": [9, 10]}), tmp_path / "whole")
    assert table(here / "grid.csv") == table(tmp_path / "whole" / "grid.csv")
    assert not status(here)["stop_reason"]
    assert status(here)["queries"] == status(tmp_path / "whole")["queries"]


def test_attacks_and_defenses_are_swept_too(tmp_path: Path) -> None:
    base = {
        "kind": "attack",
        "classifier": "mnist-lenet",
        "images": {"dataset": "mnist-sample", "limit": 6},
        "attacks": [{"name": "fgsm", "eps": "8/255"}],
    }
    grid = {"images.limit": [3, 6]}
    eps = [[{"name": "fgsm", "eps": "8/255"}], [{"name": "fgsm", "eps": "76/255"}]]
    config = {"kind": "sweep", "base": base, "grid": {**grid, "attacks": eps}, "seeds": [1]}
    run = tmp_path / "attacks"
    begin(SweepStudy, config, run)
    rows = table(run / "grid.csv")
    assert [row["limit"] for row in rows] == ["3", "3", "6", "6"]
    assert float(rows[3]["success"]) > float(rows[2]["success"])
    assert rows[0]["low"] == ""  # of one seed there is no interval
    assert all(check.ok for check in verify(run))
    begun = status(run)["queries"]
    resume(run)
    assert status(run)["queries"] == begun


def test_intervals_need_two_seeds() -> None:
    assert mean_of([0.5]) == (0.5, None, None)
    mean, low, high = mean_of([0.2, 0.4, 0.6])
    assert mean == pytest.approx(0.4)
    assert low is not None
    assert high is not None
    assert 0.2 <= low < mean < high <= 0.6
