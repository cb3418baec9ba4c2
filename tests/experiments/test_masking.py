"""The verdict: rules, their colours, and what decides."""

from __future__ import annotations

import numpy as np
import pytest

from evofool.experiments.defend.masking import RULES, Colour, judge
from evofool.experiments.works.diagnosed import cosines

GOOD = {
    "black_minus_white": (-0.3, "30 % against 60 %"),
    "one_minus_many": (-0.2, ""),
    "unbounded": (1.0, ""),
    "loss_not_rising": (0.0, ""),
    "random_minus_gradient": (0.0, ""),
    "dead_gradients": (0.0, ""),
    "gradient_norm_ratio": (0.8, ""),
    "cosine_ratio": (1.1, ""),
    "loss_ratio": (0.9, ""),
}


def test_a_net_without_any_sign_is_green() -> None:
    verdict = judge(GOOD)
    assert verdict.colour == Colour.GREEN
    assert {f.colour for f in verdict.findings} == {Colour.GREEN}
    assert verdict.reason == "no diagnostic objects"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.key)
def test_each_rule_turns_amber_and_red_on_its_side(rule: object) -> None:
    from evofool.experiments.defend.masking import Rule

    assert isinstance(rule, Rule)
    between = (rule.amber + rule.red) / 2
    worse = rule.red + (1 if rule.side == "above" else -1) * 0.0005
    assert judge({**GOOD, rule.key: (between, "x")}).colour == Colour.AMBER
    verdict = judge({**GOOD, rule.key: (worse, "bad number")})
    assert verdict.colour == (Colour.RED if rule.decisive else Colour.AMBER)
    assert "bad number" in verdict.reason
    assert rule.question in verdict.reason


def test_what_was_not_measured_has_no_colour() -> None:
    verdict = judge({"unbounded": (1.0, ""), "cosine_ratio": (None, "no gradient at all")})
    assert verdict.colour == Colour.GREEN
    assert [f.colour for f in verdict.findings].count(None) == len(RULES) - 1
    assert judge({"unbounded": (float("nan"), "")}).findings[2].colour is None
    with pytest.raises(ValueError, match="typo"):
        judge({"typo": (1.0, "")})


def test_cosines() -> None:
    a = np.zeros((3, 1, 1, 2))
    b = np.zeros((3, 1, 1, 2))
    a[:, 0, 0] = [[1, 0], [1, 1], [0, 0]]
    b[:, 0, 0] = [[0, 2], [3, 3], [1, 0]]
    assert cosines(a, b) == pytest.approx([0, 1, np.nan], nan_ok=True)
