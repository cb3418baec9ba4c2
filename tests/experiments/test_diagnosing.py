"""The controls: a quantised input comes out red, an undefended net green."""

from __future__ import annotations

import pytest

from evofool.classifiers import load_classifier
from evofool.data import load_dataset
from evofool.defenses.victims import BitDepthConfig, defend
from evofool.experiments.defend.masking import Colour, judge
from evofool.experiments.works.diagnosed import Probe, black_minus_white, diagnose
from evofool.scoring import Scorer

PROBE = Probe(eps=0.25, step_size=0.025, steps=20, random_points=20)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, object]:
    """Of both controls, on 30 digits."""
    sample = load_dataset("mnist-sample")
    images, labels = sample.images[::4][:30], sample.labels[::4][:30]
    base = load_classifier("mnist-lenet")
    found: dict[str, object] = {}
    for name, victim in (
        ("undefended", base),
        ("quantised", defend(base, BitDepthConfig(name="bit-depth", bits=2))),
    ):
        with Scorer(victim) as own, Scorer(base) as other:
            white, black = {"fgsm": 0.5, "pgd": 1.0}, {"square": 0.9, "taught": 0.2}
            apart = black_minus_white(white, black, len(images))
            assert apart[1] == "square: 90 % errors, pgd: 100 %"
            measured = diagnose(own, other, images, labels, PROBE)
            found[name] = judge({**measured, "black_minus_white": apart})
    return found


def test_the_undefended_net_is_green(verdicts: dict[str, object]) -> None:
    verdict = verdicts["undefended"]
    assert verdict.colour == Colour.GREEN, verdict.reason  # type: ignore[attr-defined]
    values = {f.rule.key: f.value for f in verdict.findings}  # type: ignore[attr-defined]
    assert values["gradient_norm_ratio"] == pytest.approx(1)
    assert values["cosine_ratio"] == pytest.approx(1)
    assert values["loss_ratio"] == pytest.approx(1)
    assert values["black_minus_white"] == pytest.approx(-0.1)
    assert values["loss_not_rising"] == 0


def test_the_quantised_net_is_red(verdicts: dict[str, object]) -> None:
    verdict = verdicts["quantised"]
    assert verdict.colour == Colour.RED  # type: ignore[attr-defined]
    values = {f.rule.key: f.value for f in verdict.findings}  # type: ignore[attr-defined]
    assert values["dead_gradients"] == 1
    assert values["loss_not_rising"] == 1  # no step leads anywhere
    assert values["cosine_ratio"] is None
    assert "gradients are zero" in verdict.reason  # type: ignore[attr-defined]
