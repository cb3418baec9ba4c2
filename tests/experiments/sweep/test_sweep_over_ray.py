"""``evofool sweep --ray``: each run a task, and the tables of a sweep without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray_works import stored, table
from toy_sweeps import sweep

from evofool.experiments.engine import begin
from evofool.experiments.runs import verify
from evofool.experiments.sweep.study import SweepStudy

SHORT = {
    "kind": "sweep",
    "base": "mnist-cppn",
    "set": {"stop": {"evaluations": 60}, "evolution.initial": 20},
    "grid": {"encoding": ["direct", "cppn"], "evolution.children": [10, 20]},
    "seeds": [1],
}
"""That of ``sweep/mnist``, cut short."""


@pytest.mark.cluster
@pytest.mark.parametrize("config", [SHORT, sweep(grid={"evolution.children": [8, 12]})])
def test_the_tables_are_those_without_ray(
    cluster: Any, config: dict[str, Any], tmp_path: Path
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    begin(SweepStudy, config, there, ray=True)
    begin(SweepStudy, config, here)
    for name in ("sweep.csv", "grid.csv"):
        assert table(there / name) == table(here / name)
    assert [row[:3] for row in stored(there)] == [row[:3] for row in stored(here)]
    assert sorted(path.name for path in (there / "runs").iterdir()) == sorted(
        path.name for path in (here / "runs").iterdir()
    )
    assert all(check.ok for check in verify(there))
