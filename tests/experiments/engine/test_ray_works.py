"""Works as tasks of Ray come to the rows that they come to one after the other, here."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from ray_works import attacks, search, seconds, stored, table

from evofool.errors import Interrupted, ScoringError, UsageError
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.costs.study import CostsStudy
from evofool.experiments.engine import Options, begin
from evofool.experiments.engine import run as runner
from evofool.experiments.engine.progress import ExperimentProgress
from evofool.experiments.engine.ray import driver
from evofool.experiments.runs import resume, status, verify
from evofool.experiments.search.study import SearchStudy
from evofool.ray_session import session

TOYS = Path(__file__).parents[2] / "toys"
Until = Callable[..., None]


@pytest.mark.slow
def test_attacks_over_ray_are_those_without(tmp_path: Path) -> None:
    """The budget's shares too: two attacks are cut short, in whatever order all run."""
    pytest.importorskip("ray")
    there, here = tmp_path / "there", tmp_path / "here"
    with session(cpus=2):
        begin(AttackStudy, attacks(), there, ray=True)
    begin(AttackStudy, attacks(), here)
    assert stored(there) == stored(here)
    assert table(there / "results.csv") == table(here / "results.csv")
    assert status(there)["sent"] == status(here)["sent"]
    assert status(there)["stop_reason"] == "budget"


@pytest.mark.cluster
def test_campaigns_come_back_whole(cluster: Any, tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    begin(SearchStudy, search(), there, ray=True)
    begin(SearchStudy, search(), here)
    assert stored(there) == stored(here)
    for name in ("search.csv", "curves.csv", "classes.csv"):
        assert (there / name).read_bytes() == (here / name).read_bytes()
    assert all(check.ok for check in verify(there))


@pytest.mark.cluster
@pytest.mark.data
def test_nets_that_are_trained_there_are_those_of_here(cluster: Any, tmp_path: Path) -> None:
    """Campaigns and attacks stand on them: what is trained in one process goes to another."""
    config = {
        "kind": "costs",
        "training": {"dataset": "mnist", "epochs": 1, "batch": 500},
        "nets": ["cross-entropy"],
        "seeds": [1],
        "images": 20,
        "rubbish": {"images": 30},
        "evolution": {"encodings": ["direct"], "initial": 8, "children": 8, "generations": 2},
    }
    there, here = tmp_path / "there", tmp_path / "here"
    begin(CostsStudy, config, there, ray=True)
    begin(CostsStudy, config, here)
    assert stored(there) == stored(here)
    assert (there / "costs.csv").read_bytes() == (here / "costs.csv").read_bytes()
    weights = "nets/cross-entropy-1.safetensors"
    assert (there / weights).read_bytes() == (here / weights).read_bytes()
    written = (there / "evolution" / "cross-entropy-1-direct" / "config.yaml").read_text()
    assert str(there / "nets") in written  # where its net lies now, not where it was trained
    assert all(check.ok for check in verify(there))


def long_attacks() -> dict[str, Any]:
    """So long that something can happen to them."""
    pgd = {"name": "pgd", "eps": "8/255", "step_size": "1/255", "steps": 500, "targets": "next"}
    return attacks(None, attacks=[pgd, {**pgd, "steps": 501}, "deepfool"], chunk=1)


def _act_once(act: Callable[[], None]) -> Callable[[ExperimentProgress], None]:
    done: list[bool] = []

    def progress(now: ExperimentProgress) -> None:
        if now.step.startswith("pgd") and now.tally is not None and now.tally.done and not done:
            done.append(True)
            act()

    return progress


@pytest.mark.cluster
def test_a_work_whose_worker_is_killed_is_done_again(
    cluster: Any, tmp_path: Path, watched: list[driver.RayWorks]
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    killed: list[int] = []

    def kill() -> None:
        killed.extend(pid for _, pid in list(watched[0].workers.values()))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    begin(AttackStudy, long_attacks(), there, ray=True, progress=_act_once(kill))
    begin(AttackStudy, long_attacks(), here)
    assert killed
    assert stored(there) == stored(here)
    sent = status(there)["sent"]
    assert sent["queries"] == status(here)["sent"]["queries"]


@pytest.mark.cluster
def test_a_work_that_kills_its_workers_is_given_up(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: list[driver.RayWorks]
) -> None:
    """The others are done."""
    monkeypatch.setattr(runner, "ATTEMPTS", 2)

    def kill(now: ExperimentProgress) -> None:
        if now.step.startswith("square"):
            works = {p.work.address: p.title for p in watched[0]._made.plan}
            for address, (_, pid) in list(watched[0].workers.items()):
                if works[address].startswith("square"):
                    with suppress(ProcessLookupError):  # the one killed before
                        os.kill(pid, signal.SIGKILL)

    run = tmp_path / "run"
    with pytest.raises(
        ScoringError, match=r"2 workers in a row were lost while doing it.*evofool resume"
    ):
        begin(AttackStudy, attacks(None), run, ray=True, progress=kill)
    assert status(run)["finished"] == 4
    begin(AttackStudy, attacks(None), tmp_path / "here")
    resume(run)
    assert stored(run) == stored(tmp_path / "here")


@pytest.mark.cluster
def test_a_stop_saves_and_the_rest_is_done_here(cluster: Any, tmp_path: Path) -> None:
    stop: list[bool] = []
    options = Options(
        ray=True, should_stop=lambda: bool(stop), progress=_act_once(lambda: stop.append(True))
    )
    run = tmp_path / "run"
    with pytest.raises(Interrupted, match="what is done is saved; continue with: evofool resume"):
        begin(AttackStudy, long_attacks(), run, options=options)
    assert status(run)["status"] == "interrupted"
    resume(run)
    begin(AttackStudy, long_attacks(), tmp_path / "here")
    assert stored(run) == stored(tmp_path / "here")


@pytest.mark.cluster
@pytest.mark.parametrize("stops", [False, True])
def test_what_tells_of_stops_is_lost(cluster: Any, stops: bool, tmp_path: Path) -> None:
    """That is no stop, and one that is asked for after it arrives all the same."""
    killed: list[int] = []

    def kill() -> None:
        import psutil  # which Ray brings

        for process in psutil.Process().children(recursive=True):
            if "Signal" in " ".join(process.cmdline()):
                process.kill()
                killed.append(process.pid)

    run = tmp_path / "run"
    options = Options(
        ray=True, should_stop=lambda: stops and bool(killed), progress=_act_once(kill)
    )
    with pytest.raises(Interrupted) if stops else nullcontext():
        begin(AttackStudy, long_attacks(), run, options=options)
    assert killed
    if stops:
        resume(run)
    begin(AttackStudy, long_attacks(), tmp_path / "here")
    assert stored(run) == stored(tmp_path / "here")


@pytest.mark.cluster
def test_another_victim_on_a_worker_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file at the same path, as on a machine that was not updated."""
    file = tmp_path / "victim.py"
    file.write_text((TOYS / "linear.py").read_text())
    request = driver.RayWorks._request

    def late(*arguments: Any) -> Any:
        file.write_text(file.read_text().replace("/ 4096", "/ 2048"))
        return request(*arguments)

    monkeypatch.setattr(driver.RayWorks, "_request", late)
    with pytest.raises(UsageError, match="same files must lie at the same paths"):
        begin(AttackStudy, attacks(classifier=f"{file}:victim"), tmp_path / "run", ray=True)


DRIVER = """
import json, sys
from evofool.experiments.search.study import SearchStudy
from evofool.experiments.engine import begin

begin(SearchStudy, json.loads(sys.argv[1]), sys.argv[2], ray=True)
"""


@pytest.mark.cluster
def test_a_killed_driver_is_resumed(
    forked: Callable[..., Any], tmp_path: Path, until: Until
) -> None:
    """What was finished is not done again."""
    run, here = tmp_path / "run", tmp_path / "here"
    config = search(seeds=[1, 2, 3, 4], evaluations=400)
    process = forked(DRIVER, json.dumps(config), run)
    until(process, lambda: _finished(run) >= 2)
    process.kill()
    before = seconds(run)
    assert 2 <= len(before) < 8
    resume(run)
    after = seconds(run)
    assert {address: after[address] for address in before} == before
    begin(SearchStudy, config, here)
    assert stored(run) == stored(here)


def _finished(run: Path) -> int:
    try:
        return int(status(run)["finished"])
    except Exception:  # not there yet
        return -1
