"""Every picture that a service was sent by a run of attacks is booked."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import BudgetError, ConfigError, Interrupted, ScoringError
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life

attack, resume_attacks, status, verify_attacks = (
    partial(life.begin, AttackStudy),
    partial(life.resume, AttackStudy),
    partial(life.status, AttackStudy),
    partial(life.verify, AttackStudy),
)

SERVICE = f"{Path(__file__).parents[2] / 'toys' / 'service.py'}:victim"


class Log:
    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = path
        self._patch = monkeypatch
        monkeypatch.setenv("SERVICE_LOG", str(path))

    @property
    def sent(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def fail(self, at: int) -> None:
        self._patch.setenv("SERVICE_FAILS_AT", str(at))
        self._patch.setenv("SERVICE_FAILS_BY", "raise")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(tmp_path / "log", monkeypatch)


def config(**scoring: Any) -> dict[str, Any]:
    return {
        "classifier": SERVICE,
        "images": {"noise": "uniform", "count": 20},
        "attacks": [{"name": "square", "eps": "8/255", "queries": 6, "rescale": False}],
        "scoring": {"batch": 8, "workers": 2, **scoring},
        "chunk": 6,
        "seed": 3,
    }


def test_a_failure_a_resume_and_a_verify(log: Log, tmp_path: Path) -> None:
    whole = attack(config(), tmp_path / "whole").summary
    probe = whole["sent"]["probe"]
    assert probe > 0
    assert whole["sent"]["total"] == log.sent == probe + whole["queries"]
    before, run = log.sent, tmp_path / "run"
    log.fail(before + probe + 20 + (whole["queries"] - 20) // 2)
    with pytest.raises(ScoringError, match="503"):
        attack(config(), run)
    found = status(run)
    assert found["sent"]["total"] == log.sent - before
    assert found["sent"]["queries"] == found["queries"]
    assert found["sent"]["retries"] == log.sent - before - probe - found["queries"] > 0
    log.fail(-1)
    summary = resume_attacks(run).summary
    assert (summary["queries"], summary["attacks"]) == (whole["queries"], summary["attacks"])
    assert summary["sent"] == {
        **whole["sent"], "probe": 2 * probe, "retries": found["sent"]["retries"],
        "total": log.sent - before,
    }  # fmt: skip
    checks = {check.name: check for check in verify_attacks(run)}
    assert all(check.ok for check in checks.values()), checks
    after = status(run)["sent"]
    assert after["verify"] == 20
    assert after["total"] == log.sent - before


CHILD = """
import json, sys
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life
what, config, run = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
life.resume(AttackStudy, run) if what == "resume" else life.begin(AttackStudy, config, run)
"""


def test_kills_while_the_service_is_asked(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, run = attack(config(), tmp_path / "whole").summary, tmp_path / "run"
    before, probe = log.sent, whole["sent"]["probe"]
    monkeypatch.setenv("SERVICE_FAILS_BY", "kill")
    queries = 0
    for what, at in (("attack", probe + 60), ("resume", probe + 50)):
        monkeypatch.setenv("SERVICE_FAILS_AT", str(log.sent + at))
        child = [sys.executable, "-c", CHILD, what, json.dumps(config()), str(run)]
        assert subprocess.run(child, check=False).returncode == -signal.SIGKILL
        found = status(run)
        assert found["status"] == "interrupted"
        assert found["sent"]["total"] == log.sent - before
        assert found["queries"] > queries
        queries = found["queries"]
    monkeypatch.setenv("SERVICE_FAILS_AT", "-1")
    summary = resume_attacks(run).summary
    assert summary["queries"] == whole["queries"]
    assert summary["sent"]["total"] == log.sent - before
    assert summary["sent"]["probe"] == 3 * probe
    assert _table(run) == _table(tmp_path / "whole")
    checks = {check.name: check for check in verify_attacks(run)}
    assert all(check.ok for check in checks.values()), checks
    assert status(run)["sent"]["total"] == log.sent - before


def _table(run: Path) -> list[dict[str, str]]:
    with (run / "results.csv").open(encoding="utf-8", newline="") as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def test_an_interrupt(log: Log, tmp_path: Path) -> None:
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 9

    with pytest.raises(Interrupted):
        attack(config(), tmp_path / "run", should_stop=should_stop)
    assert status(tmp_path / "run")["sent"]["total"] == log.sent


def test_the_budget_holds_over_all_of_them(log: Log, tmp_path: Path) -> None:
    run = tmp_path / "run"
    log.fail(60)
    with pytest.raises(ScoringError, match="503"):
        attack(config(budget=100), run)
    log.fail(-1)
    summary = resume_attacks(run).summary
    assert summary["stop_reason"] == "budget"
    assert summary["sent"]["retries"] > 0
    assert summary["sent"]["total"] == log.sent <= 100
    before = log.sent
    if before + summary["sent"]["probe"] // 2 > 100:
        with pytest.raises(BudgetError, match=r"raise scoring\.budget"):
            list(verify_attacks(run))
        assert log.sent == before
    else:
        found = {check.name: check for check in verify_attacks(run)}
        assert found["confidences"].ok is None
        assert log.sent == before + summary["sent"]["probe"] // 2
    larger = resume_attacks(run, overrides=["scoring.budget=2000"]).summary
    assert larger["stop_reason"] is None
    assert larger["sent"]["total"] == log.sent


def test_a_budget_for_the_clean_images_and_no_probe(log: Log, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"the 20 clean images and the \d+ pictures of the probe alone"
    ):
        attack(config(budget=24), tmp_path / "run")
    assert not (tmp_path / "run").exists()
