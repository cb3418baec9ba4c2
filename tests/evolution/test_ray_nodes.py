"""A cluster of several nodes, of which one goes and another comes while a campaign runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ray_clusters import cluster
from ray_pools import linear_campaign, over_ray, watched_pools

from evofool.evolution.campaign import Progress, evolve

pytestmark = pytest.mark.cluster
PATIENCE = 300.0


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


def _lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_node_that_is_removed_and_one_that_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = watched_pools(monkeypatch)
    with cluster(0) as made:
        gone, _ = (made.add_node(num_cpus=1) for _ in range(2))
        nodes: list[set[str]] = []

        def change(now: Progress) -> None:
            if now.generation == 2:
                reports = pools[0].reports
                nodes.append({report.node for report in reports})
                made.remove_node(gone, allow_graceful=False)
                # a worker outlives its node by seconds, and would go on answering
                until(lambda: not all(_lives(report.pid) for report in reports))
            if now.generation == 6:
                nodes.append({report.node for report in pools[0].reports})
                made.add_node(num_cpus=1)
                until(lambda: len(pools[0].reports) == 2)
                nodes.append({report.node for report in pools[0].reports})

        done = evolve(
            over_ray(linear_campaign(), address=made.address), tmp_path / "run", progress=change
        ).summary
    alone = evolve(linear_campaign(), tmp_path / "alone").summary
    assert done["archive_digest"] == alone["archive_digest"]
    assert done["sent"]["queries"] == alone["sent"]["queries"]
    assert done["sent"]["retries"] > 0
    first, less, more = nodes
    assert len(first) == 2
    assert less < first
    assert less < more
    assert more != first
