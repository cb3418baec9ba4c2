"""Classes of a data set as a victim's classes, whatever it calls them."""

from __future__ import annotations

import pytest

from evofool.classifiers.matching import match_classes

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Ankle boot")


def test_the_same_names() -> None:
    assert match_classes(FASHION, FASHION) == ([0, 1, 2, 3], "")


def test_names_in_another_order_and_case() -> None:
    labels = ("trouser", "ankle boot, boot", "other", "PULLOVER", "t-shirt/top")
    assert match_classes(FASHION, labels) == ([4, 0, 3, 1], "")


@pytest.mark.parametrize(
    "labels",
    [
        ("T-shirt", "Trouser", "Pullover", "Ankle boot"),
        ("Tee", "Trouser", "Pullover", "Ankle boot"),  # the only one that is left
        ("T-shirt", "Trouser", "Pullover", "Boot"),
    ],
)
def test_most_names_agree(labels: tuple[str, ...]) -> None:
    found, note = match_classes(FASHION, labels)
    assert found == [0, 1, 2, 3]
    assert f"0 is {labels[0]!r} for 'T-shirt/top'" in note


@pytest.mark.parametrize(
    "labels",
    [
        ("Tee", "Trouser", "Pullover", "Sneaker"),  # two differ, and share no word
        ("T-shirt", "Pullover", "Trouser", "Ankle boot"),  # names that agree are elsewhere
        ("T-shirt", "Trousers", "Pullovers", "Ankle boot"),  # too few agree
        ("T-shirt", "Trouser", "Pullover"),
        ("T-shirt", "Trouser", "Pullover", "Ankle boot", "Bag"),
        ("Trouser", "Trouser", "Pullover", "Ankle boot"),
    ],
)
def test_names_that_could_mean_anything(labels: tuple[str, ...]) -> None:
    with pytest.raises(LookupError):
        match_classes(FASHION, labels)
    if len(labels) == 4:
        assert match_classes(FASHION, labels, by_index=True)[0] == [0, 1, 2, 3]


def test_classes_without_names_go_by_their_index() -> None:
    found, note = match_classes(FASHION, ("0", "1", "2", "3"))
    assert found == [0, 1, 2, 3]
    assert "have no names" in note
    with pytest.raises(LookupError):
        match_classes(FASHION, ("0", "1", "2", "3", "4"))


def test_accents_composed_or_not() -> None:
    assert match_classes(("caf\u00e9", "b"), ("b", "cafe\u0301"))[0] == [1, 0]
