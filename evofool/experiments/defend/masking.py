"""Does a net hide its gradients? Nine diagnostics, each a number beside a threshold.

Gradient masking makes gradient attacks fail on a net that is as easy to fool as before. Its signs
are those of Tramèr et al. (ICLR 2018, section 4), Athalye, Carlini and Wagner (ICML 2018, section
3.1: "identify obfuscated gradients") and Papernot et al. (SoK, 2018).

The thresholds below were fixed before any defense was judged with them. Where the literature
gives a number it is taken; where it only says that something must not happen, red is a rate that
sampling cannot explain (.10 of the images), amber one fifth of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

import numpy as np


class Colour(StrEnum):
    """Of a diagnostic or a verdict."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


Side: TypeAlias = Literal["above", "below"]


@dataclass(frozen=True)
class Rule:
    """When a number is a sign of masking.

    Attributes:
        key: of the diagnostic.
        question: what is asked, in words.
        side: whether numbers above or below the thresholds are bad.
        amber: from here on it is a warning.
        red: from here on it is a sign.
        decisive: whether red here makes the whole verdict red; an indirect sign alone makes it
            amber at most.
        source: where the threshold comes from.
    """

    key: str
    question: str
    side: Side
    amber: float
    red: float
    decisive: bool
    source: str

    def colour(self, value: float | None) -> Colour | None:
        """None where there is no number."""
        if value is None or np.isnan(value):
            return None
        if self._beyond(value, self.red):
            return Colour.RED
        return Colour.AMBER if self._beyond(value, self.amber) else Colour.GREEN

    def _beyond(self, value: float, bar: float) -> bool:
        return value >= bar if self.side == "above" else value <= bar


RULES: tuple[Rule, ...] = (
    Rule(
        "black_minus_white",
        "Do attacks without gradients find more errors than those with them?",
        "above",
        0.02,
        0.10,
        True,
        "Athalye et al. 2018: black-box attacks must not be better than white-box attacks",
    ),
    Rule(
        "one_minus_many",
        "Does one step find more errors than many?",
        "above",
        0.02,
        0.10,
        True,
        "Athalye et al. 2018: one-step attacks must not perform better than iterative ones",
    ),
    Rule(
        "unbounded",
        "Does an attack without a bound reach everything?",
        "below",
        0.99,
        0.90,
        True,
        "Athalye et al. 2018: unbounded attacks must reach 100 %",
    ),
    Rule(
        "loss_not_rising",
        "On which share of the images does the loss not rise with eps?",
        "above",
        0.02,
        0.10,
        True,
        "Athalye et al. 2018: a larger distortion bound must make attacks more successful",
    ),
    Rule(
        "random_minus_gradient",
        "Does random search find errors where gradients found none?",
        "above",
        0.02,
        0.10,
        True,
        "Athalye et al. 2018: random sampling must not find what gradients do not",
    ),
    Rule(
        "dead_gradients",
        "On which share of the images is the gradient exactly zero?",
        "above",
        0.02,
        0.10,
        True,
        "convention: nothing can be climbed there",
    ),
    Rule(
        "gradient_norm_ratio",
        "How long is the gradient, as a share of the undefended net's?",
        "below",
        0.05,
        0.001,
        False,
        "Papernot et al. 2018: smoothing hides gradients by making them small; our bars",
    ),
    Rule(
        "cosine_ratio",
        "Does one step point where many steps go, as a share of the undefended net's cosine?",
        "below",
        0.5,
        0.02 / 0.13,
        False,
        "Tramèr et al. 2018: .13 fell to .02 by adversarial training that masked",
    ),
    Rule(
        "loss_ratio",
        "Does one step raise the loss as many do, as a share of the undefended net's ratio?",
        "below",
        0.7,
        0.07 / 0.19,
        False,
        "Tramèr et al. 2018: 19 % fell to 7 % by adversarial training that masked",
    ),
)


@dataclass(frozen=True)
class Finding:
    """One diagnostic of one net.

    Attributes:
        rule: what was asked.
        value: the number, None where it could not be had.
        colour: None without a number.
        detail: the numbers it is made of.
    """

    rule: Rule
    value: float | None
    colour: Colour | None
    detail: str


@dataclass(frozen=True)
class Verdict:
    """Whether a net hides its gradients.

    Attributes:
        colour: red if a decisive diagnostic is red; else amber if any is not green; else green.
        reason: the diagnostics that decided, in words.
        findings: all of them.
    """

    colour: Colour
    reason: str
    findings: tuple[Finding, ...]


def judge(values: dict[str, tuple[float | None, str]]) -> Verdict:
    """The verdict of measured diagnostics, key to (number, detail).

    Raises:
        ValueError: a key that is no diagnostic.
    """
    unknown = values.keys() - {rule.key for rule in RULES}
    if unknown:
        raise ValueError(f"no such diagnostic: {', '.join(sorted(unknown))}")
    findings = []
    for rule in RULES:
        value, detail = values.get(rule.key, (None, "not measured"))
        findings.append(Finding(rule, value, rule.colour(value), detail))
    red = [f for f in findings if f.colour == Colour.RED]
    amber = [f for f in findings if f.colour == Colour.AMBER]
    if any(f.rule.decisive for f in red):
        colour, why = Colour.RED, [f for f in red if f.rule.decisive]
    elif red or amber:
        colour, why = Colour.AMBER, [*red, *amber]
    else:
        colour, why = Colour.GREEN, []
    reason = "; ".join(f"{f.rule.question} {f.detail}" for f in why)
    return Verdict(colour, reason or "no diagnostic objects", tuple(findings))
