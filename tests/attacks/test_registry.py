"""Attacks by name, and how a config's values become their parameters."""

from __future__ import annotations

from typing import Any

import pytest

from evofool.attacks.foreign import peers
from evofool.attacks.registry import describe, grid, names, parameters_of
from evofool.errors import AttackError


def test_every_attack_says_what_it_is() -> None:
    assert {"fgsm", "pgd", "step-ll"} <= set(names())
    for name in names():
        found = describe(name)
        assert found.name == name
        assert found.about
        assert found.paper
        assert "seed" in found.to_json()["parameters"]


def test_defaults_are_those_of_the_class() -> None:
    (attack,) = grid("pgd", {})
    shown = describe("pgd").to_json()["parameters"]
    assert {**parameters_of(attack), "seed": 0, "mask": None} == shown


def test_fractions() -> None:
    (attack,) = grid("fgsm", {"eps": " 8 / 255 "})
    assert parameters_of(attack)["eps"] == 8 / 255


def test_lists_are_a_grid_in_order() -> None:
    found = list(grid("pgd", {"eps": ["1/255", 0.1], "steps": [3, 5], "norm": "l2"}))
    assert [(a.eps, a.steps) for a in found] == [(1 / 255, 3), (1 / 255, 5), (0.1, 3), (0.1, 5)]  # type: ignore[attr-defined]


def test_the_seed_is_a_parameter_and_no_part_of_a_grid_line() -> None:
    (attack,) = grid("pgd", {"seed": 7})
    assert attack.seed == 7
    assert "seed" not in parameters_of(attack)


def test_an_attack_in_an_attack_has_its_seed_or_its_own() -> None:
    inner = ["pgd", {"name": "pgd", "seed": 9}]
    found = list(grid("substitute", {"inner": inner, "seed": [1, 2]}))
    assert [(a.inner.seed, a.seed) for a in found] == [(1, 1), (2, 2), (9, 1), (9, 2)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "options", "option", "words"),
    [
        ("fgms", {}, None, "did you mean 'fgsm'"),
        ("fgsm", {"epss": 1}, "epss", "did you mean 'eps'"),
        ("fgsm", {"warp": 1}, "warp", "known here: seed, mask, eps, loss"),
        ("fgsm", {"eps": "wide"}, "eps", "number"),
        ("fgsm", {"eps": "8/0"}, "eps", "number"),
        ("fgsm", {"eps": True}, "eps", "number"),
        ("fgsm", {"eps": []}, "eps", "empty list"),
        ("fgsm", {"eps": [0.1, "x"]}, "eps[1]", "number"),
        ("fgsm", {"eps": {"a": 1}}, "eps", "mapping"),
        ("fgsm", {"eps": 0}, "eps", "above 0"),
        ("fgsm", {"eps": float("nan")}, "eps", "above 0"),
        ("pgd", {"steps": 2.5}, "steps", "whole number"),
        ("pgd", {"norm": "l7"}, "norm", "one of linf, l2"),
        ("pgd", {"eps": [0.1] * 200, "steps": [1] * 200}, None, "grid of 40000"),
    ],
)
def test_bad_values(name: str, options: dict[str, Any], option: str | None, words: str) -> None:
    with pytest.raises(AttackError, match=words) as caught:
        list(grid(name, options))
    assert caught.value.option == option


def test_a_missing_foolbox_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    assert not [name for name in names() if name.startswith("foolbox:")]
    with pytest.raises(AttackError, match=r"evofool\[compare\]"):
        list(grid("foolbox:LinfPGD", {"eps": 0.1}))
