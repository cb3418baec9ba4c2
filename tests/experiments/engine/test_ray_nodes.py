"""A node of a cluster that goes while works of an experiment run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray_clusters import cluster
from ray_works import attacks, stored

from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import begin
from evofool.experiments.engine.progress import ExperimentProgress
from evofool.experiments.engine.ray.driver import RayWorks
from evofool.experiments.runs import status

pytestmark = pytest.mark.cluster


def test_works_of_a_node_that_is_removed_are_done_again(
    tmp_path: Path, watched: list[RayWorks], caplog: pytest.LogCaptureFixture
) -> None:
    pgd = {"name": "pgd", "eps": "8/255", "step_size": "1/255", "steps": 1500, "targets": "next"}
    config = attacks(None, attacks=[pgd, {**pgd, "steps": 1501}, "fgsm"], chunk=1)
    there, here = tmp_path / "there", tmp_path / "here"
    removed: list[Any] = []
    with cluster(0) as nodes:
        gone, _ = (nodes.add_node(num_cpus=1) for _ in range(2))

        def progress(now: ExperimentProgress) -> None:
            if len(watched[0].workers) == 2 and not removed:
                removed.append(gone)
                nodes.remove_node(gone, allow_graceful=False)

        begin(AttackStudy, config, there, ray=nodes.address, progress=progress)
    begin(AttackStudy, config, here)
    assert removed
    assert "its worker was lost" in caplog.text
    assert stored(there) == stored(here)
    assert status(there)["sent"]["queries"] == status(here)["sent"]["queries"]
