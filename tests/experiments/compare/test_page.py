"""The sentences at the top of the page of a comparison."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from evofool.experiments.compare import page


def test_classes_of_one_kind_of_method_are_called_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a class that is named "8" reads like a count."""
    top = SimpleNamespace(arm=SimpleNamespace(title="pgd"), half_way=lambda bar: np.array([3.0]))
    monkeypatch.setattr(page, "best", lambda outcomes, wanted: top)
    apart = {"evolution": [0, 2], "gradients": [8], "both": [1]}
    monkeypatch.setattr(page, "only_one_family", lambda outcomes: apart)
    said = page._in_common([], [str(index) for index in range(10)])
    assert "Only evolution: classes 0, 2. Only gradients: class 8." in said
