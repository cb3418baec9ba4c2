"""A whole cluster of Ray that is lost while a run is spread over it: saved, and told in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_clusters import cluster, kill_head
from ray_pools import linear_campaign
from ray_works import search, seconds, stored

from evofool.evolution.campaign import evolve
from evofool.experiments.engine import begin
from evofool.experiments.runs import resume, status
from evofool.experiments.search.study import SearchStudy

pytestmark = pytest.mark.cluster
Start = Callable[..., Any]
IMPATIENT = """
from evofool import ray_watch
from evofool.cli.app import main

ray_watch.HEAD_SECONDS = 2.0
main()
"""


@pytest.fixture
def head() -> Iterator[Any]:
    """A cluster of its own: it is lost with the test."""
    with cluster(2) as made:
        yield made


def reached(run: Path, key: str) -> int:
    """What `status` says, -1 where there is no run yet."""
    try:
        return int(status(run)[key])
    except Exception:
        return -1


def kill_gcs(made: Any) -> None:
    """The head alone; what runs of Ray on this machine, workers too, goes on for a minute."""
    for started in made.head_node.all_processes["gcs_server"]:
        started.process.kill()


@pytest.mark.parametrize(("kill", "why"), [
    (kill_head, "its process on this machine has ended"),
    (kill_gcs, "has not answered for 2 s"),
])  # fmt: skip
def test_a_campaign_ends_saved(
    head: Any,
    kill: Callable[[Any], None],
    why: str,
    forked: Start,
    until: Callable[..., None],
    tmp_path: Path,
) -> None:
    file, run = tmp_path / "campaign.json", tmp_path / "run"
    file.write_text(json.dumps(linear_campaign(stop={"generations": 100_000})))
    process = forked(IMPATIENT, "evolve", file, "--ray", head.address, "--out", run)
    until(process, lambda: reached(run, "generations") >= 3)
    kill(head)
    ended = process.end()
    assert ended.returncode == 1, ended.stderr
    (message,) = [line for line in ended.stderr.splitlines() if "was lost" in line]
    assert why in message
    assert f"evofool resume {run} scoring.ray=null" in message
    limit = reached(run, "generations") + 5
    assert f"generation {limit - 5} is saved" in message
    done = resume(run, overrides=[f"stop.generations={limit}", "scoring.ray=null"]).summary
    alone = evolve(linear_campaign(stop={"generations": limit}), tmp_path / "alone").summary
    assert done["archive_digest"] == alone["archive_digest"]
    assert done["sent"]["queries"] == alone["sent"]["queries"]


def test_an_experiment_keeps_the_works_that_are_finished(
    head: Any, start_evofool: Start, until: Callable[..., None], tmp_path: Path
) -> None:
    config = search(seeds=[1, 2, 3, 4], evaluations=400)
    file, run = tmp_path / "search.json", tmp_path / "run"
    file.write_text(json.dumps(config))
    process = start_evofool("run", file, "--ray", head.address, "--out", run)
    until(process, lambda: reached(run, "finished") >= 2)
    kill_head(head)
    ended = process.end()
    assert ended.returncode == 1, ended.stderr
    (message,) = [line for line in ended.stderr.splitlines() if "was lost" in line]
    assert f"what is done is saved; continue with: evofool resume {run}" in message
    before = seconds(run)
    assert 2 <= len(before) < 8
    resume(run)
    after = seconds(run)
    assert {address: after[address] for address in before} == before
    begin(SearchStudy, config, tmp_path / "here")
    assert stored(run) == stored(tmp_path / "here")
