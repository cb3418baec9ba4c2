"""``evofool attack`` as a user runs it: files, messages, exit codes, SIGKILL."""

from __future__ import annotations

import csv
import io
import json
import random
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life

status = partial(life.status, AttackStudy)

ROOT = Path(__file__).parents[2]
TOYS = ROOT / "tests" / "toys"
KILLS = 5
CONFIG = f"""# a toy
kind: attack
classifier: "{TOYS / "linear.py"}:victim"
images: {{noise: uniform, count: 24}}
attacks:
  - {{name: fgsm, eps: [4/255, 16/255]}}
  - {{name: pgd, eps: 16/255, targets: all, steps: 10, step_size: 1/255}}
scoring: {{batch: 4, workers: 2}}
chunk: 4
seed: 3
"""


def table(run: Path) -> list[dict[str, str]]:
    text = (run / "results.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    for row in rows:
        del row["seconds"]
    return rows


@pytest.fixture(scope="module")
def finished(evofool: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attack")
    (folder / "toy.yaml").write_text(CONFIG)
    done = evofool("attack", "toy.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder / "runs" / "toy"


def test_it_ends_with_a_table_and_where_to_look(finished: Path) -> None:
    text = (finished.parents[1] / "stdout").read_text()
    lines = text.splitlines()
    assert "24 of 24 images attacked; labels are the victim's own answers" in lines[0]
    assert lines[1].split()[:2] == ["attack", "parameters"]
    assert [line.split()[0] for line in lines[2:5]] == ["fgsm", "fgsm", "pgd"]
    assert "targets=all" in text
    assert "step_size=0.003922" in text  # as the config sets it
    assert "results.csv" in text
    progress = (finished.parents[1] / "stderr").read_text()
    assert "pgd (3/3)  144/144 images" in progress
    assert "\x1b" not in text + progress


def test_status_and_score(evofool: Any, finished: Path) -> None:
    found = json.loads(evofool("status", finished, "--json").stdout)
    assert (found["kind"], found["status"], found["results"]) == ("attack", "finished", 192)
    assert "finished" in evofool("status", finished).stdout
    row = table(finished)[0]
    (reading,) = json.loads(
        evofool(
            "score", finished / row["png"], "--classifier", f"{TOYS / 'linear.py'}:victim", "--json"
        ).stdout
    )
    assert reading["now"] == pytest.approx(reading["claim"]["confidence"])
    assert reading["same_victim"]


def test_it_ends_with_a_gallery(fails: Any, evofool: Any, finished: Path) -> None:
    text = (finished.parents[1] / "stdout").read_text()
    page = finished / "gallery" / "index.html"
    assert f"look at {page.relative_to(finished.parents[1])}" in text
    assert f"of {24 * 2 + 24 * 6} pictures fool" in page.read_text()
    done = evofool("gallery", finished, "--single-file", "--top", "5")
    assert done.returncode == 0, done.stderr
    assert "no genome" in fails(2, "gallery", finished, "--class", "3", "--size", "64")
    assert "not evolve" in fails(2, "gallery", finished, "--watch")


def test_a_dry_run_prints_a_config_that_runs(evofool: Any, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(CONFIG)
    done = evofool("attack", "toy.yaml", "--dry-run", "--seed", "9", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "seed: 9" in done.stdout
    assert "# attack 2: pgd seed=9 eps=0.06275" in done.stdout
    assert "# images to be attacked: 24" in done.stdout
    assert not (tmp_path / "runs").exists()
    (tmp_path / "again.yaml").write_text(done.stdout)
    done = evofool("attack", "again.yaml", "--out", "x", "--seed", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert table(tmp_path / "x") == table(finished)


def test_overrides(evofool: Any, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(CONFIG)
    done = evofool(
        "attack", "toy.yaml", "images.count=3", "attacks=[{name: fgsm, eps: 1/255}]",
        "--out", "x", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(table(tmp_path / "x")) == 3


@pytest.mark.parametrize(
    ("good", "bad", "where", "word"),
    [
        ("name: fgsm", "name: fgms", ":6: attacks[0]", "did you mean 'fgsm'"),
        ("eps: [4/255", "eps: [four", ":6: attacks[0].eps", "number"),
        ("eps: [4/255", "epsilon: [4/255", ":6: attacks[0].epsilon", "eps"),
        ("steps: 10", "steps: 0", ":7: attacks[1]", "at least 1"),
        ("targets: all", "targets: zebra", ":7: attacks[1].targets", "zebra"),
        ("noise: uniform", "folder: absent", ":4: images", "count belongs to noise"),
        ("{noise: uniform, count: 24}", "{folder: absent}", ":4: images.folder", "no such folder"),
        ("batch: 4", "batch: 4, budget: 24", ":8: scoring.budget", "clean images"),
        ("kind: attack", "kind: evolve", ":2: kind", "evofool evolve"),
    ],
)
def test_bad_configs(
    fails: Any, tmp_path: Path, good: str, bad: str, where: str, word: str
) -> None:
    (tmp_path / "toy.yaml").write_text(CONFIG.replace(good, bad))
    message = fails(2, "attack", "toy.yaml", cwd=tmp_path)
    assert f"toy.yaml{where}" in message
    assert word in message
    assert not (tmp_path / "runs").exists()


def test_the_list_knows_attacks(evofool: Any, tmp_path: Path) -> None:
    rows = json.loads(evofool("list", "attacks", "--json").stdout)
    found = {row["name"]: row for row in rows}
    assert found["pgd"]["needs"] == "gradients"
    assert found["pgd"]["parameters"]["steps"] == 40
    assert found["step-ll"]["aim"] == "untargeted"
    assert "foolbox:LinfPGD" in found  # it is in the dev group


BATCHES = 40
"""After so many batches of the 377 the toy waits: so no process ends before it is stopped, however
late its parent has the processor."""


def _paced(hold: Path) -> dict[str, str]:
    """Makes the toy slow, and has it wait after `BATCHES` for as long as `hold` is there."""
    hold.touch()
    return {"TOY_SECONDS_A_BATCH": "0.01", "TOY_BATCHES": str(BATCHES), "TOY_HOLD": str(hold)}


def _results(run: Path) -> int:
    return int(status(run)["results"]) if (run / "manifest.json").is_file() else 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_and_say_so(
    evofool: Any,
    start_evofool: Any,
    finished: Path,
    tmp_path: Path,
    until: Any,
    number: int,
    code: int,
) -> None:
    (tmp_path / "toy.yaml").write_text(CONFIG)
    run, hold = tmp_path / "run", tmp_path / "hold"
    process = start_evofool("attack", tmp_path / "toy.yaml", "--out", run, **_paced(hold))
    until(process, lambda: _results(run) > 0)
    process.send_signal(number)
    hold.unlink()  # a batch that is asked for is waited for
    ended = process.end()
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "saved" in ended.stderr
    assert status(run)["status"] == "interrupted"
    done = evofool("resume", run)
    assert done.returncode == 0, done.stderr
    assert table(run) == table(finished)


@pytest.mark.slow
def test_five_kills(
    evofool: Any, start_evofool: Any, finished: Path, tmp_path: Path, until: Any
) -> None:
    (tmp_path / "toy.yaml").write_text(CONFIG)
    run, hold = tmp_path / "run", tmp_path / "hold"
    rng = random.Random(5)
    for _ in range(KILLS):
        before = _results(run)
        command = ["resume", run] if before else ["attack", tmp_path / "toy.yaml", "--out", run]
        process = start_evofool(*command, **_paced(hold))
        until(process, lambda before=before: _results(run) > before)  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.2))  # the moment is random on purpose
        process.send_signal(signal.SIGKILL)
        assert process.end().returncode == -signal.SIGKILL, "it ended before it was killed"
    assert status(run)["results"] < 192, "it was through before the last kill"
    done = evofool("resume", run)
    assert done.returncode == 0, done.stderr
    assert table(run) == table(finished)
    found, wanted = status(run), status(finished)
    for key in ("queries", "forward_images", "backward_images", "results", "fooled"):
        assert found[key] == wanted[key]
