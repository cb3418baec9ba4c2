"""What a gallery asks of a service is booked in the run, within its budget."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from served_nets import Served, servers

import evofool
from evofool.evolution.campaign import evolve, resume
from evofool.experiments.runs import status, verify
from evofool.gallery import Options, build

TOYS = Path(__file__).parents[2] / "toys"
ALWAYS = Options(scores="always", ancestry=0, single_file=True)


@pytest.fixture
def served() -> Iterator[Served]:
    with servers() as start:
        yield start()


def victim(served: Served) -> dict[str, Any]:
    return {"http": {"url": served.server.url, "pictures": 4}}


@pytest.fixture
def campaign(served: Served, tmp_path: Path) -> Path:
    config = {
        "classifier": victim(served),
        "encoding": {"name": "direct"},
        "evolution": {"initial": 8, "children": 8},
        "stop": {"generations": 1},
        "seed": 1,
    }
    return evolve(config, tmp_path / "run").path


@pytest.fixture
def attacks(served: Served, tmp_path: Path) -> Path:
    config = {
        "classifier": victim(served),
        "images": {"noise": "uniform", "count": 3},
        "attacks": [{"name": "one-pixel", "population": 4, "generations": 1}],
        "seed": 3,
    }
    return evofool.attack(config, out=tmp_path / "run").path


def shown(run: Path) -> tuple[str, int]:
    """What a gallery notes of the victim, and how many of its pictures have top classes."""
    text = build(run, options=ALWAYS).page.read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found
    data = json.loads(found[1])
    return data["runs"][0]["note"], sum("top" in row[9] for row in data["rows"])


@pytest.mark.parametrize("kind", ["campaign", "attacks"])
def test_a_service_is_paid_once_and_what_it_is_sent_is_booked(
    kind: str, served: Served, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(kind)
    before = served.logged
    note, pictures = shown(run)
    assert (note, served.logged) == ("", before)  # all of its answers were kept
    (run / "answers.sqlite").unlink()
    assert shown(run) == ("", pictures)
    sent = status(run)["sent"]
    assert served.logged == sent["total"]
    assert 0 < sent["verify"] == served.logged - before <= pictures
    assert shown(run) == ("", pictures)
    assert served.logged == sent["total"]
    assert all(check.ok is not False for check in verify(run))


def test_the_budget_of_the_run_holds(campaign: Path, served: Served) -> None:
    before = served.logged
    resume(campaign, overrides=[f"scoring.budget={before}", "stop.generations=1"])
    assert shown(campaign)[0] == ""  # what is kept is paid already
    (campaign / "answers.sqlite").unlink()
    note, pictures = shown(campaign)
    assert f"budget of {before}" in note
    assert (pictures, served.logged) == (0, before)
    resume(campaign, overrides=[f"scoring.budget={before + 4}", "stop.generations=1"])
    shown(campaign)
    assert before < served.logged <= before + 4
    assert served.logged == status(campaign)["sent"]["total"]


def test_a_predict_function_is_booked_with_its_probe(
    toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("SERVICE_LOG", str(log))
    service = {"name": f"{TOYS / 'service.py'}:victim"}
    run = evolve(toy_campaign(classifier=service, stop={"generations": 1}), tmp_path / "run").path
    before, probe = log.stat().st_size, status(run)["sent"]["probe"]
    note, pictures = shown(run)
    sent = status(run)["sent"]
    assert (note, pictures) == ("", 7)
    assert log.stat().st_size == sent["total"] == before + probe + pictures
    assert sent["verify"] == pictures

    resume(run, overrides=[f"scoring.budget={sent['total'] + 2 * probe + 6}"])
    sent = status(run)["sent"]
    note, pictures = shown(run)
    assert "7 pictures" in note
    assert pictures == 0
    assert log.stat().st_size == sent["total"] + probe  # it was loaded, and not asked
