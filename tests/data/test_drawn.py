"""Logos and boards that are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from evofool.data import load_dataset


@pytest.mark.parametrize("name", ["drawn-logos", "drawn-boards"])
def test_a_dozen_different_discs_on_grey(name: str) -> None:
    data = load_dataset(name)
    assert data.images.shape == (12, 3, 32, 32)
    assert len(set(data.label_names)) == 12
    assert data.labels.tolist() == list(range(12))
    flat = data.images.reshape(12, -1).astype(float)
    for a in range(12):
        for b in range(a):
            assert np.abs(flat[a] - flat[b]).mean() > 5
    corners = data.images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == corners[:1]).all()
    again = load_dataset(name)
    np.testing.assert_array_equal(again.images, data.images)
