"""Works that cross as they do to a task of Ray, and are done by this process: no cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from halves import load_halves
from ray_works import stored
from toy_sweeps import sweep

from evofool.experiments.costs import study as costs
from evofool.experiments.engine import begin, life
from evofool.experiments.engine.ray import driver
from evofool.experiments.sweep.study import SweepStudy
from evofool.training import loop


class Here:
    """Stands in for `Tasks`: what is streamed is computed as it is asked for."""

    cores = most = 1

    def __init__(self, ray: Any) -> None:
        pass

    def put(self, value: object) -> object:
        return value

    def stream(
        self,
        function: Callable[..., Iterator[Any]],
        *arguments: Any,
        sent: Sequence[Any] = (),
        **_: Any,
    ) -> Iterator[Any]:
        yield from function(lambda: False, *arguments, list(sent))

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def session(*_: Any) -> Iterator[None]:
        yield

    monkeypatch.setattr(life, "session", session)
    monkeypatch.setattr(driver, "Tasks", Here)


COSTS = {
    "kind": "costs",
    "training": {"dataset": "mnist", "epochs": 1, "batch": 20},
    "nets": ["cross-entropy"],
    "seeds": [1],
    "images": 5,
    "rubbish": {"images": 5},
    "evolution": {"encodings": ["direct"], "initial": 8, "children": 8, "generations": 1},
}


@pytest.mark.parametrize(
    ("study", "config"),
    [(costs.CostsStudy, COSTS), (SweepStudy, sweep())],
    ids=["trained nets", "runs of a sweep"],
)
def test_results_are_those_of_works_that_stay(
    study: Any, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "load_dataset", load_halves)
    monkeypatch.setattr("evofool.data.load.load_dataset", load_halves)
    there, here = tmp_path / "there", tmp_path / "here"
    begin(study, config, there, ray=True)
    begin(study, config, here)
    assert stored(there) == stored(here)
    left = [
        path for path in there.rglob("*") if path.is_file() and b"/evofool-" in path.read_bytes()
    ]
    assert not left  # the folders of workers, which are gone
