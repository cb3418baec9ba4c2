"""``--ray ADDRESS`` on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("command", "config"), [("evolve", "quickstart"), ("sweep", "sweep/mnist")]
)
def test_the_client_protocol_is_refused_with_what_to_do_instead(
    fails: Callable[..., str], command: str, config: str, tmp_path: Path
) -> None:
    """Not taken for an override of the config, which may follow ``--ray`` too."""
    pytest.importorskip("ray")
    message = fails(2, command, config, "--ray", "ray://127.0.0.1:10001", "--out", tmp_path / "run")
    assert "run evofool on a node of the cluster" in message
    assert "HOST:PORT of its head" in message
    assert not (tmp_path / "run").exists()
