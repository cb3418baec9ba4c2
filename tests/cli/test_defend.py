"""``evofool defend`` as a user runs it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from evofool.experiments.runs import status

ROOT = Path(__file__).parents[2]

CONFIG = """# a toy
kind: defend
base: mnist-lenet
defense: {name: median, size: 3}
data: {dataset: mnist-sample, limit: 10, start: 20}
threats: {eps: 0.2, steps: 4, restarts: 1, black_images: 5, square_queries: 20,
          substitute_initial: 8, substitute_rounds: 1, random_points: 3}
evolution: {encodings: [cppn], initial: 6, children: 6, generations: 1, seeds: [4]}
"""


@pytest.fixture(scope="module")
def finished(evofool: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("defend")
    (folder / "toy.yaml").write_text(CONFIG)
    done = evofool("defend", "toy.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder / "runs" / "toy"


def test_it_ends_with_the_matrix_and_the_verdict(finished: Path) -> None:
    folder = finished.parents[1]
    text, said = (folder / "stdout").read_text(), (folder / "stderr").read_text()
    lines = text.splitlines()
    assert lines[0] == "mnist-lenet, defense median, eps 0.2"
    assert lines[1].split()[:2] == ["threat", "n"]
    assert [line.split("  ")[0] for line in lines[2:6]] == ["no attack", "FGSM", "R+FGSM", "PGD-4"]
    assert "evolution, cppn, defended net" in text
    assert "gradient masking: " in text
    assert "report" in text
    assert "\x1b" not in text + said
    assert "left" in said


def test_status_verify_and_score(evofool: Any, finished: Path) -> None:
    found = json.loads(evofool("status", finished, "--json", cwd=finished).stdout)
    assert (found["kind"], found["status"], found["defense"]) == ("defend", "finished", "median")
    assert "finished" in evofool("status", finished, cwd=finished).stdout
    checked = evofool("verify", finished, cwd=finished)
    assert checked.returncode == 0, checked.stdout
    assert "FAILED" not in checked.stdout
    picture = finished / "evolution" / "defended-cppn-4" / "images" / "0003.png"
    done = evofool(
        "score", picture, "--classifier", finished / "victim.yaml", "--json", cwd=finished
    )
    (reading,) = json.loads(done.stdout)
    assert reading["same_victim"]
    assert reading["now"] == pytest.approx(reading["claim"]["confidence"], abs=1e-5)


def test_verify_finds_a_changed_table(evofool: Any, finished: Path) -> None:
    path = finished / "threats.csv"
    before = path.read_bytes()
    try:
        path.write_bytes(before.replace(b"FGSM", b"fgsm", 1))
        done = evofool("verify", finished, cwd=finished)
        assert done.returncode == 1
        assert "FAILED  threats.csv" in done.stdout
    finally:
        path.write_bytes(before)


def test_a_dry_run_prints_a_config_that_loads_again(evofool: Any, tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(CONFIG)
    done = evofool(
        "defend", "toy.yaml", "threats.steps=9", "--dry-run", "--seed", "9", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "seed: 9" in done.stdout
    assert "steps: 9" in done.stdout
    assert "# images to be attacked: 10; to be evolved: 24" in done.stdout
    assert "# ready to run" in done.stdout
    assert not (tmp_path / "runs").exists()
    (tmp_path / "again.yaml").write_text(done.stdout)
    assert evofool("defend", "again.yaml", "--dry-run", cwd=tmp_path).stdout == done.stdout


def test_bad_usage(fails: Any, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(CONFIG.replace("name: median", "name: medium"))
    assert "bad.yaml:4: defense.name" in fails(2, "defend", "bad.yaml", cwd=tmp_path)
    (tmp_path / "toy.yaml").write_text(CONFIG)
    assert "resume" in fails(2, "defend", "toy.yaml", "--out", finished, cwd=tmp_path)
    assert "evofool defend" in fails(2, "attack", "toy.yaml", cwd=tmp_path)
    assert "holds the evaluation of a defense" in fails(2, "gallery", finished, cwd=tmp_path)
    assert "only scoring.workers" in fails(2, "resume", finished, "seed=2", cwd=tmp_path)


def test_the_list_knows_defenses(evofool: Any, tmp_path: Path) -> None:
    rows = json.loads(evofool("list", "defenses", "--json", cwd=tmp_path).stdout)
    found = {row["name"]: row for row in rows}
    assert found["jpeg"]["parameters"] == {"quality": 75}
    assert found["energy"]["kind"] == "behind the net"
    text = evofool("list", "defenses", cwd=tmp_path).stdout
    assert all(name in text for name in found)


HELD = """
import signal, sys
from pathlib import Path
from evofool.experiments.library import defend

def hold(progress):
    if progress.done > 3:
        Path(sys.argv[3]).touch()
        signal.pause()  # until it is killed, however late that is

defend(sys.argv[1], sys.argv[2], progress=hold)
"""


def test_a_kill_loses_at_most_the_step_in_hand(
    evofool: Any, forked: Any, until: Any, finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "toy.yaml").write_text(CONFIG)
    run, midway = tmp_path / "run", tmp_path / "midway"
    process = forked(HELD, tmp_path / "toy.yaml", run, midway)
    until(process, midway.exists)
    process.send_signal(signal.SIGKILL)
    assert process.end().returncode == -signal.SIGKILL
    assert status(run)["finished"] > 2
    assert status(run)["status"] == "interrupted"
    done = evofool("resume", run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    def rows(path: Path) -> list[dict[str, object]]:
        found = json.loads((path / "summary.json").read_text())["threats"]
        return [{k: v for k, v in row.items() if k != "seconds"} for row in found]

    assert rows(run) == rows(finished)
