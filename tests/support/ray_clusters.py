"""Clusters of Ray of several nodes on this machine, which tests take apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def cluster(cores: int) -> Iterator[Any]:
    """A head with so many cores for workers, as `ray.cluster_utils.Cluster`."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    head = {"num_cpus": cores, "include_dashboard": False}
    made = None
    while made is None:
        try:
            made = Cluster(initialize_head=True, head_node_args=head)
        except Exception as error:  # a busy machine: Ray waits half a minute, and no longer
            if "timed out during startup" not in str(error):
                raise
    try:
        yield made
    finally:
        made.shutdown()


def kill_head(made: Any) -> None:
    """All of it at once, as when its machine is switched off."""
    made.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
