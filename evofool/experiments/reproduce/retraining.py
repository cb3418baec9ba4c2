"""Claims of Nguyen et al., CVPR 2015, section 3.5: digits retrained with a class of fooling images.

Whatever one number says, the whole curve of every round stands beside it, in both encodings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain

from evofool.experiments.curves import Curve, curve_of
from evofool.experiments.engine import Results, Work
from evofool.experiments.reproduce.claims import (
    Claim,
    Measured,
    Published,
    share_above,
    share_below,
)
from evofool.experiments.reproduce.nguyen2015 import SOURCE
from evofool.experiments.reproduce.setting import Setting, within
from evofool.experiments.retrain.config import ALL
from evofool.experiments.retrain.loop import BASE, Loop, NetKey
from evofool.experiments.works.campaign import ChampionRow
from evofool.report.theme import Colours
from evofool.text import probability

SURE = 0.99
ENCODINGS = ("direct", "cppn")
_POINTS = (0.0, 0.125, 0.5, 1.0)
"""Where the table reads a curve: at the first generation, and at these shares of the last."""


def _chain(encoding: str, loop: Loop) -> str:
    """The nets that an encoding is tried on: trained on all pictures, or at least on its own."""
    return ALL if ALL in loop.config.chains else encoding


def _cells(setting: Setting, results: Results, encoding: str, first: int) -> list[float]:
    """Confidences in the champions against the nets of the rounds from `first` on."""
    loop = setting.retraining.loop
    return [
        row.confidence
        for key, net in loop.nets.items()
        if key.round >= first and key.trained_on == _chain(encoding, loop)
        for row in results.rows(net.campaigns[encoding], ChampionRow)
    ]


def _never_stopped(setting: Setting, results: Results) -> Measured:
    cells = _cells(setting, results, "cppn", first=1)
    measured = share_above(
        sum(confidence >= SURE for confidence in cells), len(cells), 0.5,
        "cells at .99, those of all retrained nets", len(setting.scale.retrain_seeds),
    )  # fmt: skip
    return replace(measured, table=_table(setting, results))


def _stopped(setting: Setting, results: Results) -> Measured:
    cells = _cells(setting, results, "direct", first=setting.scale.rounds)
    measured = share_below(
        sum(confidence >= SURE for confidence in cells), len(cells), 0.5,
        "cells at .99 after the last round", len(setting.scale.retrain_seeds),
    )  # fmt: skip
    return replace(measured, table=_table(setting, results))


def _curves(setting: Setting, results: Results, encoding: str) -> Iterator[tuple[int, Curve]]:
    """The curves of every round, the base's first."""
    loop, seeds = setting.retraining.loop, setting.scale.retrain_seeds
    for round in range(loop.config.rounds + 1):
        trained_on = _chain(encoding, loop) if round else BASE
        nets = [loop.nets[NetKey(round, trained_on, seed)] for seed in seeds]
        campaigns = [net.campaigns[encoding] for net in nets]
        yield round, curve_of(results, f"round {round}", encoding, seeds, campaigns)


def _table(setting: Setting, results: Results) -> tuple[tuple[str, ...], ...]:
    """Median confidence along each curve, a line a round."""
    lines: list[tuple[str, ...]] = []
    both = chain(*(_curves(setting, results, encoding) for encoding in ENCODINGS))
    for round, curve in both:
        last = len(curve.evaluations) - 1
        points = [_point(last, share) for share in _POINTS]
        if not round:
            counts = (f"{curve.evaluations[point]:,}" for point in points)
            lines.append((f"{curve.encoding}, median after", *counts))
        net = f"round {round}" if round else "the base"
        lines.append((net, *(probability(float(curve.median[point])) for point in points)))
    return tuple(lines)


def _point(last: int, share: float) -> int:
    """The point of a curve that is nearest to a share of its last."""
    return int(last * share + 0.5)


def _draw(encoding: str, setting: Setting, results: Results, colours: Colours) -> bytes:
    from evofool.experiments.retrain.plots import rounds_plot  # which imports matplotlib

    curves = list(_curves(setting, results, encoding))
    return rounds_plot(curves, [f"attacked by {encoding}"], colours)


def _last(encoding: str, setting: Setting) -> Work:
    """The evolution of an encoding against the last net."""
    loop, seed = setting.retraining.loop, setting.scale.retrain_seeds[0]
    key = NetKey(loop.config.rounds, _chain(encoding, loop), seed)
    return loop.nets[key].campaigns[encoding]


_PLOTS = {
    f"median confidence over evaluations, {encoding} encoding, a line a round": partial(
        _draw, encoding
    )
    for encoding in ENCODINGS
}  # both in every row: whatever one of them says, the other may not


_HERE = (
    "five rounds at the small and the medium scale, 15 in the paper; one epoch a retraining, going"
    " on from the last net; at the small scale one chain of nets, trained on both encodings"
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "P8", SOURCE, "MNIST, retraining with an 11th class, CPPN encoding",
        Published("still 99.99 % against every retrained net", "m"),
        "Retraining on fooling images never stops CPPN evolution.",
        "Wilson's 95 % interval of the share of cells at .99, over the nets of all rounds, lies"
        " above one half (fails: below).",
        _HERE, lambda setting: within("retraining", setting.retraining.plan), _never_stopped, 8,
        draw=_PLOTS, pictured=partial(_last, "cppn"),
    ),
    Claim(
        "P8-direct", SOURCE, "MNIST, retraining with an 11th class, direct encoding",
        Published("", "m"),
        "Retraining on fooling images stops direct evolution within 80 generations (a claim of"
        " this project's own measurements, not of the paper).",
        "Wilson's 95 % interval of the share of cells at .99 against the nets of the last round"
        " lies below one half (fails: above).",
        _HERE, lambda setting: within("retraining", setting.retraining.plan), _stopped, 0,
        ("P8",), _PLOTS, partial(_last, "direct"),
    ),
)  # fmt: skip
