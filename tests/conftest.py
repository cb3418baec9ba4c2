"""Tiny deterministic victims and campaigns that the tests of all folders share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evofool.classifiers import Classifier, load_classifier

TOYS = Path(__file__).parent / "toys" / "exact.py"


@pytest.fixture(scope="session")
def toy_victim() -> Classifier:
    """Seven classes on 1 x 6 x 6 pictures, exact: see tests/toys/exact.py."""
    return load_classifier(f"{TOYS}:victim")


@pytest.fixture(scope="session")
def toy_campaign() -> Callable[..., dict[str, Any]]:
    """A campaign against the toy; keywords replace whole sections."""

    def make(**sections: Any) -> dict[str, Any]:
        return {
            "classifier": {"name": f"{TOYS}:victim"},
            "encoding": {"name": f"{TOYS}:Bytes"},
            "evolution": {"initial": 20, "children": 20},
            "stop": {"generations": 12},
            "scoring": {"batch": 8, "workers": 2},
            "seed": 3,
            **sections,
        }

    return make


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("EVOFOOL_CACHE", str(folder))
