"""A data set that is learnt in a second: bright left halves against bright right halves."""

from __future__ import annotations

import pytest
from halves import load_halves

from evofool.training import loop


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the data set, in place of `load_dataset`."""
    monkeypatch.setattr(loop, "load_dataset", load_halves)
    return "halves"
