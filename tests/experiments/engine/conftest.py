"""An empty run folder of an experiment, and what carries a plan out in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from plain_colours import COLOURS
from toy_works import RAN

from evofool import kinds
from evofool.experiments.engine import Meter, Plan, Results, run_plan
from evofool.experiments.engine.ray import driver
from evofool.kinds import Kind
from evofool.store.experiment import ExperimentFolder
from evofool.store.manifest import new_manifest


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    RAN.clear()


TOY = Kind(name="toy", about="numbers and notes", study="plain_colours:Colours")  # never asked for


@pytest.fixture(autouse=True)
def kinds_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a package had declared them."""
    points = [EntryPoint(kind.name, f"package:{kind.name}", kinds.GROUP) for kind in (TOY, COLOURS)]
    by_name = {kind.name: kind for kind in (TOY, COLOURS)}
    monkeypatch.setattr(EntryPoint, "load", lambda point: by_name[point.name])
    monkeypatch.setattr(kinds, "entry_points", lambda group: points)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[ExperimentFolder]:
    manifest = new_manifest("toy", None, 1, None)
    with ExperimentFolder.create(tmp_path / "run", manifest, "kind: toy\n") as run:
        yield run


@pytest.fixture
def carry_out(folder: ExperimentFolder) -> Callable[..., Results]:
    def carry_out(plan: Plan, **options: Any) -> Results:
        return run_plan(plan, folder, Meter(None, None, 0.0), **options)

    return carry_out


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[driver.RayWorks]:
    """What experiments of this process send their works to."""
    made: list[driver.RayWorks] = []

    class Watched(driver.RayWorks):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(driver, "RayWorks", Watched)
    return made
