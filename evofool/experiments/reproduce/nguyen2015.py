"""Claims of Nguyen, Yosinski and Clune, CVPR 2015 (arXiv 1412.1897)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np

from evofool.attacks import GradientAscent
from evofool.attacks.gradient.ascent import SETTINGS
from evofool.experiments.engine import Planned, Results
from evofool.experiments.reproduce.claims import (
    Claim,
    Measure,
    Measured,
    Published,
    Works,
    larger,
    share_above,
)
from evofool.experiments.reproduce.setting import Setting
from evofool.experiments.retrain.shown import Ascent, AscentRow, Shown, ShownRow
from evofool.experiments.works.campaign import ChampionRow
from evofool.experiments.works.preset_campaign import PresetCampaign
from evofool.experiments.works.trained import Trained

SOURCE = "Nguyen et al., CVPR 2015"
NEARLY_SURE = 0.9999
DOGS_AND_CATS = range(151, 286)
"""Classes of ImageNet that are breeds of dogs, wolves, foxes and cats: 151 to 285."""
Victim = Literal["digits", "imagenet"]
_TENTH = (
    "Wilson's 95 % interval of the share of champions whose own class reaches .9999 there lies"
    " above one tenth (fails: below)."
)
_OTHER_NET = "another net than the paper's, at a smaller number of images at the small scale"


def _champions(setting: Setting, results: Results, on: Victim, encoding: str) -> Iterator[float]:
    for campaign in setting.campaigns(on, encoding):
        yield from (row.confidence for row in results.rows(campaign, ChampionRow))


def _nearly_sure(encoding: str) -> Claim:
    direct = encoding == "direct"

    def measure(setting: Setting, results: Results) -> Measured:
        sure = list(_champions(setting, results, "digits", encoding))
        hits = sum(confidence >= NEARLY_SURE for confidence in sure)
        return share_above(hits, len(sure), 0.5, "cells at .9999", len(setting.scale.seeds))

    return Claim(
        "P1" if direct else "P2",
        SOURCE,
        f"MNIST, {'direct' if direct else 'CPPN'} encoding",
        Published(
            "median 99.99 % by 200 generations"
            if direct
            else "at least 99.99 % after few generations",
            "m",
        ),
        f"{'Direct' if direct else 'CPPN'} evolution makes LeNet nearly sure (.9999) of a picture"
        " of no digit, for most digits.",
        "Wilson's 95 % interval of the share of cells at .9999 lies above one half (fails: below).",
        "our LeNet instead of Caffe's, no mean subtracted; settings of the published code",
        lambda setting: setting.planned("digits", encoding),
        measure,
        2,
    )


def _encodings_works(setting: Setting) -> list[Planned]:
    return setting.planned("imagenet", "direct") + setting.planned("imagenet", "cppn")


def _encodings(setting: Setting, results: Results) -> Measured:
    cppn = list(_champions(setting, results, "imagenet", "cppn"))
    direct = list(_champions(setting, results, "imagenet", "direct"))
    return larger(cppn, direct, ("CPPN", "direct"), len(setting.scale.seeds))


def _groups(setting: Setting, results: Results) -> Measured:
    per_class = np.median(
        [
            [row.confidence for row in results.rows(campaign, ChampionRow)]
            for campaign in setting.campaigns("imagenet", "cppn")
        ],
        axis=0,
    )
    pets = np.isin(np.arange(len(per_class)), DOGS_AND_CATS)
    names = ("all other classes", "dogs and cats")
    return larger(
        per_class[~pets].tolist(), per_class[pets].tolist(), names, len(setting.scale.seeds)
    )


def _shown(setting: Setting, nets: Sequence[Trained]) -> list[Shown]:
    campaigns: list[PresetCampaign] = [
        c for encoding in ("direct", "cppn") for c in setting.campaigns("digits", encoding)
    ]
    return [Shown(campaign, net, setting.scoring) for net in nets for campaign in campaigns]


def _transferred(others: Callable[[Setting], Sequence[Trained]]) -> tuple[Works, Measure]:
    """What it takes to show the champions of digits to other nets, and the share that they fool.

    Two nets are asked, since the champions of one seed are too few for the test to decide.
    """

    def works(setting: Setting) -> list[Planned]:
        nets = others(setting)
        own = setting.planned("digits", "direct") + setting.planned("digits", "cppn")
        shown = [
            Planned(
                f"champions, {s.campaign.encoding}, seed {s.campaign.seed}, on"
                f" {getattr(s.net, 'name', 'another net')}",
                s,
            )
            for s in _shown(setting, nets)
        ]
        return [*own, *(Planned(f"training, {n.name}", n, n.name) for n in nets), *shown]

    def measure(setting: Setting, results: Results) -> Measured:
        aimed = [
            row.aimed
            for shown in _shown(setting, others(setting))
            for row in results.rows(shown, ShownRow)
        ]
        hits = sum(confidence >= NEARLY_SURE for confidence in aimed)
        what = "champions, each on two nets, keep their class at .9999"
        return share_above(hits, len(aimed), 0.1, what, len(setting.scale.seeds))

    return works, measure


def _climbs(setting: Setting) -> dict[str, Ascent]:
    return {
        name: Ascent(
            setting.lenet, GradientAscent(setting=name), 20, 10, setting.seed, setting.scoring
        )
        for name in SETTINGS
    }


def _climb_works(setting: Setting) -> list[Planned]:
    return [Planned(f"gradient ascent, {name}", work) for name, work in _climbs(setting).items()]


def _climbing(setting: Setting, results: Results) -> Measured:
    rows = [row for work in _climbs(setting).values() for row in results.rows(work, AscentRow)]
    hits = sum(row.success for row in rows)
    return share_above(hits, len(rows), 0.5, "climbs of four settings reach .99", 1)


CLAIMS: tuple[Claim, ...] = (
    _nearly_sure("direct"),
    _nearly_sure("cppn"),
    Claim(
        "P3-P4", SOURCE, "ImageNet, CPPN against direct encoding",
        Published("median 88.11 % (CPPN) and 21.59 % (direct)", "m"),
        "On ImageNet, CPPN evolution makes a net surer of its pictures than direct evolution.",
        "Mann and Whitney's test over the cells of all seeds, one-sided at .05 (fails: the other"
        " way round).",
        _OTHER_NET,
        _encodings_works, _encodings, 12,
    ),
    Claim(
        "P5", SOURCE, "ImageNet, CPPN encoding, dogs and cats",
        Published("dogs and cats stay low", "m"),
        "CPPN evolution does worse on dogs and cats (classes 151 to 285) than on other classes.",
        "Mann and Whitney's test over the classes, each with its median over the seeds, one-sided"
        " at .05 (fails: the other way round).",
        _OTHER_NET,
        lambda setting: setting.planned("imagenet", "cppn"), _groups, 0, ("P3-P4",),
    ),
    Claim(
        "P7", SOURCE, "MNIST, fooling images on a net of another seed",
        Published("many are at 99.99 % on both nets", "m"),
        "Many images that fool one net fool a net of the same shape trained from another seed.",
        _TENTH,
        "both encodings together, on two such nets; the target class must stay, which is stricter"
        " than any class",
        *_transferred(lambda setting: setting.sisters), 1, ("P1", "P2"),
    ),
    Claim(
        "P7-other", SOURCE, "MNIST, fooling images on nets of another shape",
        Published("many are at 99.99 % on both nets", "m"),
        "Many images that fool one net fool a net of another shape.",
        _TENTH,
        "both encodings together, on nets B and C of Tramèr et al.; the target class must stay",
        *_transferred(lambda setting: (setting.adversarial.plain, setting.adversarial.other)),
        3, ("P1", "P2"),
    ),
    Claim(
        "P12", SOURCE, "gradient ascent, four published settings",
        Published("99.99 %", "m"),
        "Gradient ascent finds images of noise that a net is sure of.",
        "Wilson's 95 % interval of the share of climbs from uniform noise that reach .99 on the"
        " saved picture lies above one half (fails: below).",
        "on our LeNet instead of AlexNet",
        _climb_works, _climbing, 1,
    ),
)  # fmt: skip
