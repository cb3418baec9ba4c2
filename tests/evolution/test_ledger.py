"""Every picture that a service was sent is booked, and the budget holds over all of them."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evofool.cli.report import print_status
from evofool.errors import BudgetError, ConfigError, Interrupted, ScoringError, StoreError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.status import status
from evofool.evolution.verify import verify
from evofool.scoring import Heading

Make = Callable[..., dict[str, Any]]
SERVICE = {"name": f"{Path(__file__).parents[1] / 'toys' / 'service.py'}:victim"}


class Service:
    """What the service has written down, and how it is told to fail."""

    def __init__(self, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._log = log
        self._patch = monkeypatch
        monkeypatch.setenv("SERVICE_LOG", str(log))

    @property
    def sent(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def fail(self, at: int, by: str) -> None:
        self._patch.setenv("SERVICE_FAILS_AT", str(at))
        self._patch.setenv("SERVICE_FAILS_BY", by)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(tmp_path / "log", monkeypatch)


@pytest.fixture
def campaign(toy_campaign: Make) -> dict[str, Any]:
    """20 + 12 x 20 pictures, in micro-batches of eight, eight and four."""
    return toy_campaign(classifier=SERVICE)


def _checks(run: Path) -> dict[str, tuple[bool | None, str]]:
    return {check.name: (check.ok, check.detail) for check in verify(run)}


def test_all_that_is_sent_is_booked(
    campaign: dict[str, Any],
    service: Service,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    summary = evolve(campaign, run).summary
    probe = summary["sent"]["probe"]
    assert probe > 0
    assert summary["sent"] == {
        "probe": probe, "queries": 260, "retries": 0, "confirmations": 0, "verify": 0,
        "total": service.sent,
    }  # fmt: skip
    assert (summary["evaluations"], summary["forward_images"]) == (260, 260)
    assert status(run)["sent"] == summary["sent"]

    before = service.sent
    checks = _checks(run)
    assert all(ok is not False for ok, _ in checks.values()), checks
    assert checks["ledger"] == (
        True,
        f"{before + probe} pictures are booked, 260 queries among them",
    )
    found = status(run)["sent"]
    assert found == {
        **summary["sent"], "probe": 2 * probe, "verify": service.sent - before - probe,
        "total": service.sent,
    }  # fmt: skip
    assert found["verify"] > 0
    print_status(status(run))
    line = f"{service.sent}: {2 * probe} probe, 260 queries, {found['verify']} verify\n"
    assert re.search(rf"^sent +{line}", capsys.readouterr().out, re.MULTILINE)
    # of a finished run a resume asks nothing but the probe, and forgets nothing
    assert resume(run).summary["sent"] == {**found, "probe": 3 * probe, "total": service.sent}


@pytest.mark.parametrize("by", ["raise", "kill"])
def test_what_was_sent_before_a_failure_is_booked(
    campaign: dict[str, Any], service: Service, forked: Any, tmp_path: Path, by: str
) -> None:
    """The generation is made again, and its pictures are sent again."""
    whole = evolve(campaign, tmp_path / "whole").summary
    probe, before = whole["sent"]["probe"], service.sent
    run = tmp_path / "run"
    service.fail(before + probe + 20 + 3 * 20 + 11, by)  # the second micro-batch of generation 4
    if by == "kill":
        (tmp_path / "config.json").write_text(json.dumps(campaign))
        program = (
            "import json, sys; from evofool.evolution.campaign import evolve;"
            "evolve(json.load(open(sys.argv[1])), sys.argv[2])"
        )
        ended = forked(program, tmp_path / "config.json", run).end()
        assert ended.returncode == -signal.SIGKILL
    else:
        with pytest.raises(ScoringError, match="503"):
            evolve(campaign, run)
    found = status(run)
    sent = found["sent"]
    assert sent["total"] == service.sent - before
    assert sent["queries"] == found["evaluations"]
    assert sent["retries"] == service.sent - before - probe - sent["queries"] >= 16

    service.fail(-1, by)
    summary = resume(run).summary
    assert summary["archive_digest"] == whole["archive_digest"]
    assert summary["sent"] == {
        **whole["sent"], "probe": 2 * probe, "retries": sent["retries"],
        "total": service.sent - before,
    }  # fmt: skip
    assert (summary["evaluations"], summary["forward_images"]) == (260, 260)


def test_what_was_sent_before_an_interrupt_is_booked(
    campaign: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == 13

    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        evolve(campaign, run, should_stop=should_stop)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["sent"]["total"] == service.sent
    assert summary["sent"]["queries"] == summary["evaluations"]
    assert status(run)["sent"] == summary["sent"]


def test_a_halved_batch_is_booked_twice(
    campaign: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    probe = evolve(campaign, tmp_path / "whole").summary["sent"]["probe"]
    before = service.sent
    service.fail(before + probe + 20 + 11, "memory")
    summary = evolve(campaign, tmp_path / "run").summary
    assert summary["evaluations"] == summary["sent"]["queries"] == 260
    assert summary["sent"]["total"] == service.sent - before
    assert summary["sent"]["retries"] == service.sent - before - probe - 260 >= 16


def test_the_budget_holds_over_all_of_them(
    campaign: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    """Today's budget of 200 was 200 evaluations: a probe, a failure and a verify came on top."""
    campaign["scoring"]["budget"] = 200
    run = tmp_path / "run"
    service.fail(100, "raise")
    with pytest.raises(ScoringError, match="503"):
        evolve(campaign, run)
    service.fail(-1, "raise")
    summary = resume(run).summary
    assert (summary["stop_reason"], summary["sent"]["total"]) == ("budget", service.sent)
    assert summary["sent"]["retries"] > 0
    assert 180 < service.sent <= 200
    assert summary["evaluations"] < 180

    while service.sent + summary["sent"]["probe"] // 2 <= 200:
        checks = _checks(run)
        assert checks["archive digest"][0]
        assert service.sent <= 200
    before = service.sent
    for again in (verify, resume):
        with pytest.raises(BudgetError, match=r"raise scoring\.budget"):
            list(again(run))  # type: ignore[arg-type]
    assert service.sent == before == status(run)["sent"]["total"]

    summary = resume(run, overrides=["scoring.budget=1000"]).summary
    assert summary["evaluations"] == 260
    assert summary["sent"]["total"] == service.sent


def test_verify_says_what_the_budget_does_not_reach(
    campaign: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    probe = evolve(campaign, run).summary["sent"]["probe"]
    resume(run, overrides=[f"scoring.budget={service.sent + 2 * probe + 2}"])
    before = service.sent
    checks = _checks(run)
    assert checks["confidences"][0] is None
    assert "has 2 left (evofool resume RUN scoring.budget=N" in checks["confidences"][1]
    assert checks["archive digest"][0] is checks["pictures"][0] is True
    assert service.sent == before + probe


def test_a_budget_that_the_first_pictures_exceed_sends_none(
    campaign: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    campaign["scoring"]["budget"] = 20  # the initial ones, and none for the probe
    run = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"scoring\.budget: 20 images do not cover"):
        evolve(campaign, run)
    assert not run.exists()


def test_a_net_on_this_machine_pays_for_nothing(toy_campaign: Make, tmp_path: Path) -> None:
    """Its budget is one of queries, and only these and what was computed in vain are shown."""
    linear = Path(__file__).parents[1] / "toys" / "linear.py"
    sections = toy_campaign(
        classifier={"name": f"{linear}:victim"},
        scoring={"batch": 8, "workers": 2, "budget": 100},
    )
    run = tmp_path / "run"
    summary = evolve(sections, run).summary
    assert (summary["stop_reason"], summary["evaluations"]) == ("budget", 100)
    nothing = {heading: 0 for heading in Heading if heading != Heading.CACHED}
    assert summary["sent"] == {**nothing, "queries": 100, "total": 100}
    before = (run / "run.sqlite").read_bytes()
    assert all(ok is not False for ok, _ in _checks(run).values())
    assert (run / "run.sqlite").read_bytes() == before


@pytest.mark.parametrize("value", ["-1", "1e9", "", "9" * 40, "x"])
def test_a_damaged_ledger(
    campaign: dict[str, Any], service: Service, tmp_path: Path, value: str
) -> None:
    run = tmp_path / "run"
    evolve({**campaign, "stop": {"generations": 1}}, run)
    with sqlite3.connect(run / "run.sqlite") as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'sent.queries'", (value,))
        db.execute("DELETE FROM meta WHERE key = 'booked_sha256'")  # as whoever means it would
    db.close()
    for look in (status, lambda path: list(verify(path)), resume):
        with pytest.raises(StoreError, match=r"sent\.queries is damaged"):
            look(run)


def test_verify_holds_the_ledger_to_the_rows(
    campaign: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    evolve({**campaign, "stop": {"generations": 1}}, run)
    with sqlite3.connect(run / "run.sqlite") as db:
        db.execute("UPDATE meta SET value = '39' WHERE key = 'sent.queries'")
    db.close()
    assert _checks(run)["ledger"] == (False, "39 queries are booked, 40 were answered")


def test_a_run_of_a_version_without_a_ledger(
    campaign: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    evolve({**campaign, "stop": {"generations": 1}}, run)
    with sqlite3.connect(run / "run.sqlite") as db:
        db.execute("DELETE FROM meta WHERE key LIKE 'sent.%' OR key = 'probe_pictures'")
    db.close()
    assert status(run)["sent"]["queries"] == 40
    assert _checks(run)["ledger"][0] is None
    sent = resume(run, overrides=["stop.generations=2"]).summary["sent"]
    assert (sent["queries"], sent["retries"]) == (60, 0)
