"""Keys as messages and overrides write them, read back as they were."""

from __future__ import annotations

import pytest

from evofool.validation import KeyPath, dotted, key_path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("seed",), "seed"),
        (("attacks", 0, "eps"), "attacks[0].eps"),
        (("polygon", 2, 1), "polygon[2][1]"),
        ((3,), "[3]"),
    ],
)
def test_a_path_is_read_back(path: KeyPath, text: str) -> None:
    assert dotted(path) == text
    assert key_path(text) == path
    assert key_path(path) == path


@pytest.mark.parametrize("text", ["a[x]", "a[-1]", "a[", "a]0[", "a[1"])
def test_what_is_no_number_of_an_item_is_part_of_a_name(text: str) -> None:
    assert key_path(text) == (text,)
