"""Claims of the papers on attacks: Goodfellow et al. 2015, Papernot et al. 2016 and 2017."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from evofool.attacks import FGSM, JSMA, SubstituteAttack
from evofool.experiments.costs.nets import FGSM_ROW, FLOATS, JudgedNet
from evofool.experiments.engine import Planned, Results
from evofool.experiments.reproduce.claims import (
    Claim,
    Measured,
    Published,
    larger,
    more_often,
    share_above,
    share_below,
)
from evofool.experiments.reproduce.setting import Setting, within
from evofool.experiments.works.answers import AnswerRow, Attacked, Clean
from evofool.experiments.works.campaign import Campaign, ChampionRow
from evofool.experiments.works.noise import ClaimRow
from evofool.experiments.works.targeted import Targeted, TargetedRow
from evofool.text import probability, rate

GOODFELLOW = "Goodfellow et al., ICLR 2015"
_OTHER_NET = "LeNet instead of a maxout net"


def _costs(setting: Setting) -> list[Planned]:
    """What the claims on noise and FGSM need of the comparison: all but its evolution."""
    plan = setting.costs.plan
    return within("costs", [p for p in plan if not isinstance(p.work, Campaign)])


def _nets(setting: Setting, loss: str) -> list[JudgedNet]:
    return [net for net in setting.costs.compared.nets if net.loss == loss]


def _claimed(setting: Setting, results: Results, loss: str) -> tuple[int, int]:
    """Draws of noise that nets of one loss call something with more than .5, and all draws."""
    rows = [
        row for net in _nets(setting, loss) for row in results.rows(net.measures[FLOATS], ClaimRow)
    ]
    return sum(row.confidence > 0.5 for row in rows), len(rows)


def _fgsm(setting: Setting, results: Results) -> Measured:
    rows = [
        row
        for net in _nets(setting, "cross-entropy")
        for row in results.rows(net.measures[FGSM_ROW], AnswerRow)
    ]
    hits = sum(row.is_error for row in rows)
    return share_above(hits, len(rows), 0.5, "digits are wrong", len(setting.scale.cost_seeds))


def _rubbish(setting: Setting, results: Results) -> Measured:
    hits, n = _claimed(setting, results, "cross-entropy")
    return share_above(hits, n, 0.5, "draws are called a digit", len(setting.scale.cost_seeds))


def _sigmoids(setting: Setting, results: Results) -> Measured:
    softmax, sigmoids = (_claimed(setting, results, loss) for loss in ("cross-entropy", "sigmoid"))
    return more_often(softmax, sigmoids, ("softmax", "sigmoids"), len(setting.scale.cost_seeds))


def _rbf(setting: Setting, results: Results) -> Measured:
    hits, n = _claimed(setting, results, "rbf")
    return share_below(hits, n, 0.05, "draws are called a digit", len(setting.scale.cost_seeds))


def _evolved(setting: Setting, results: Results, loss: str) -> list[float]:
    """Confidences of nets of one loss in the pictures that evolution ends with."""
    return [
        row.confidence
        for net in _nets(setting, loss)
        for campaign in net.campaigns.values()
        for row in results.rows(campaign, ChampionRow)
    ]


def _costs_evolved(setting: Setting, results: Results) -> Measured:
    by_loss = {
        net.loss: _evolved(setting, results, net.loss) for net in setting.costs.compared.nets
    }
    names, seeds = ("softmax", "radial basis functions"), len(setting.scale.cost_seeds)
    measured = larger(by_loss["cross-entropy"], by_loss["rbf"], names, seeds)
    medians = [(loss, probability(median(values))) for loss, values in by_loss.items()]
    return replace(measured, table=(("cost function", "median confidence"), *medians))


def _saliency(setting: Setting) -> Targeted:
    pictures = setting.first_of_each_digit(setting.scale.pairs)
    return Targeted(setting.lenet, pictures, JSMA(seed=setting.seed), 10, setting.scoring)


def _jsma(setting: Setting, results: Results) -> Measured:
    rows = results.rows(_saliency(setting), TargetedRow)
    hits = [row.changed for row in rows if row.success]
    measured = share_above(len(hits), len(rows), 0.5, "pairs of a digit and a class", 1)
    changed = f"; {rate(sum(hits) / max(1, len(hits)))} of the pixels of those" if hits else ""
    return replace(measured, figure=measured.figure + changed)


def _substitute(setting: Setting) -> tuple[Clean, Attacked]:
    attack = SubstituteAttack(inner=FGSM(eps=0.3), initial=100, seed=setting.seed)
    return (
        Clean(setting.lenet, setting.digits, setting.scoring),
        Attacked(setting.lenet, setting.digits, attack, setting.scoring),
    )


def _substitute_works(setting: Setting) -> list[Planned]:
    clean, attacked = _substitute(setting)
    return [Planned("digits as they are", clean), Planned("substitute, FGSM .3", attacked)]


def _black_box(setting: Setting, results: Results) -> Measured:
    clean, attacked = (
        (sum(row.is_error for row in rows), len(rows))
        for rows in (results.rows(work, AnswerRow) for work in _substitute(setting))
    )
    return more_often(attacked, clean, ("attacked", "clean"), 1)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "fgsm", GOODFELLOW, "MNIST, FGSM, eps .25", Published("89.4 % errors", "t"),
        "One step along the sign of the gradient makes most digits wrong.",
        "Wilson's 95 % interval of the errors lies above one half (fails: below).",
        _OTHER_NET, _costs, _fgsm, 4,
    ),
    Claim(
        "rubbish", GOODFELLOW, "MNIST, noise N(0, I), softmax",
        Published("98.35 % of the draws", "t"),
        "A net with a softmax calls most draws of noise a digit, with more than .5.",
        "Wilson's 95 % interval of the draws lies above one half (fails: below).",
        _OTHER_NET, _costs, _rubbish, 0, ("fgsm",),
    ),
    Claim(
        "rubbish-sigmoids", GOODFELLOW, "MNIST, noise N(0, I), independent sigmoids",
        Published("68 % of the draws, softmax 98.35 %", "t"),
        "Independent sigmoids claim noise less often than a softmax does.",
        "Fisher's exact test, one-sided at .05 (fails: the other way round).",
        _OTHER_NET, _costs, _sigmoids, 0, ("fgsm",),
    ),
    Claim(
        "rubbish-rbf", GOODFELLOW, "MNIST, noise N(0, I), radial basis functions",
        Published("0 % of the draws", "t"),
        "A net that ends in radial basis functions claims no noise.",
        "Wilson's 95 % interval of the draws lies below one twentieth (fails: above).",
        "RBF units on LeNet's hidden layer instead of the pixels", _costs, _rbf, 0, ("fgsm",),
    ),
    Claim(
        "costs", GOODFELLOW, "MNIST, evolution against nets of three cost functions",
        Published("", "t"),
        "A net that ends in radial basis functions is less sure of evolved pictures than one with a"
        " softmax (the paper says it of noise and adversarial pictures, not of evolved ones).",
        "Mann and Whitney's test over the cells of both encodings, one-sided at .05 (fails: the"
        " other way round).",
        "RBF units on LeNet's hidden layer instead of the pixels",
        lambda setting: within("costs", setting.costs.plan), _costs_evolved, 4, ("fgsm",),
    ),
    Claim(
        "jsma", "Papernot et al., EuroS&P 2016", "MNIST, JSMA, every other class",
        Published("97.1 % of the pairs, changing 4.02 % of the pixels", "t"),
        "Changing at most 14.5 % of the pixels turns most digits into most other digits.",
        "Wilson's 95 % interval of the pairs lies above one half (fails: below).",
        "our LeNet; the hundred test digits that ship, or the first of them",
        lambda setting: [Planned("JSMA, every other class", _saliency(setting))], _jsma, 1,
    ),
    Claim(
        "substitute", "Papernot et al., AsiaCCS 2017", "MNIST, substitute from labels, FGSM .3",
        Published("84.24 % errors (MetaMind)", "t"),
        "A substitute taught by labels alone makes pictures that the victim gets wrong.",
        "Fisher's exact test of errors on attacked against clean digits, one-sided at .05 (fails:"
        " the other way round).",
        "our LeNet as a black box instead of a service; digits of its own test split",
        _substitute_works, _black_box, 1,
    ),
)  # fmt: skip
