"""What several parts of a plan name is read from the disk once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evofool.data import idx
from evofool.experiments.defend.study import DefendStudy
from evofool.experiments.reproduce.study import ReproduceStudy
from evofool.experiments.transfer.study import TransferStudy, plan

Opened = Counter[str]
DIGITS = [
    f"{split}-{kind}-ubyte.gz"
    for split in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """How often each file of the MNIST family is opened."""
    count, open_file = Counter[str](), idx.open_file

    def counting(path: Path) -> Any:
        count[path.name] += 1
        return open_file(path)

    monkeypatch.setattr(idx, "open_file", counting)
    return count


def transfer() -> None:
    assert plan(TransferStudy.load("transfer/mnist")).works is not None


def defend() -> None:
    DefendStudy.make(DefendStudy.load("defend/mnist-fgsm"))


def reproduce() -> None:
    ReproduceStudy.make(ReproduceStudy.load("papers/reproduce"))


@pytest.mark.data
@pytest.mark.parametrize(
    "planned", [transfer, defend, pytest.param(reproduce, marks=pytest.mark.slow)]
)
def test_data_sets_are_read_once_a_plan(planned: Callable[[], None], opened: Opened) -> None:
    planned()
    assert opened == dict.fromkeys(DIGITS, 1)
