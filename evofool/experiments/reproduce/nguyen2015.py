"""Claims of Nguyen, Yosinski and Clune, CVPR 2015 (arXiv 1412.1897)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from evofool.attacks import GradientAscent
from evofool.attacks.gradient.ascent import SETTINGS
from evofool.experiments.engine import Planned, Results
from evofool.experiments.reproduce.claims import (
    Claim,
    Measured,
    Published,
    larger,
    share_above,
    share_below,
)
from evofool.experiments.reproduce.setting import Setting, within
from evofool.experiments.retrain.loop import NetKey
from evofool.experiments.retrain.shown import Ascent, AscentRow, Shown, ShownRow
from evofool.experiments.works.campaign import ChampionRow
from evofool.experiments.works.preset_campaign import PresetCampaign

SOURCE = "Nguyen et al., CVPR 2015"
NEARLY_SURE = 0.9999
DOGS_AND_CATS = range(151, 286)
"""Classes of ImageNet that are breeds of dogs, wolves, foxes and cats: 151 to 285."""
Victim = Literal["digits", "imagenet"]
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


def _shown(setting: Setting) -> list[Shown]:
    campaigns: list[PresetCampaign] = [
        c for encoding in ("direct", "cppn") for c in setting.campaigns("digits", encoding)
    ]
    return [Shown(campaign, setting.sister, setting.scoring) for campaign in campaigns]


def _transfer_works(setting: Setting) -> list[Planned]:
    own = setting.planned("digits", "direct") + setting.planned("digits", "cppn")
    sister = Planned("training, LeNet from another seed", setting.sister, "sister")
    shown = [
        Planned(f"champions, {s.campaign.encoding}, seed {s.campaign.seed}, on the sister", s)
        for s in _shown(setting)
    ]
    return [*own, sister, *shown]


def _transfer(setting: Setting, results: Results) -> Measured:
    aimed = [row.aimed for shown in _shown(setting) for row in results.rows(shown, ShownRow)]
    hits = sum(confidence >= NEARLY_SURE for confidence in aimed)
    what = "champions keep their class at .9999"
    return share_above(hits, len(aimed), 0.1, what, len(setting.scale.seeds))


def _last_round(setting: Setting, encoding: str) -> list[NetKey]:
    loop = setting.retraining.loop
    return [
        key for key in loop.nets if key.round == loop.config.rounds and key.trained_on == encoding
    ]


def _retrained(encoding: str) -> Claim:
    cppn = encoding == "cppn"

    def measure(setting: Setting, results: Results) -> Measured:
        loop = setting.retraining.loop
        sure = [
            row.confidence
            for key in _last_round(setting, encoding)
            for row in results.rows(loop.nets[key].campaigns[encoding], ChampionRow)
        ]
        hits = sum(confidence >= 0.99 for confidence in sure)
        judge = share_above if cppn else share_below
        seeds = len(setting.scale.retrain_seeds)
        return judge(hits, len(sure), 0.5, "cells at .99 after the last round", seeds)

    return Claim(
        "P8" if cppn else "P8-direct",
        SOURCE,
        f"MNIST, retraining with an 11th class, {'CPPN' if cppn else 'direct'} encoding",
        Published("still 99.99 % against every retrained net", "m") if cppn else Published("", "m"),
        "Retraining on fooling images does not stop CPPN evolution."
        if cppn
        else "Retraining on fooling images stops direct evolution within 80 generations (a claim of"
        " this project's own measurements, not of the paper).",
        "Wilson's 95 % interval of the share of cells at .99 lies"
        f" {'above' if cppn else 'below'} one half (fails: {'below' if cppn else 'above'}).",
        "one round at the small scale, 15 in the paper; one epoch a retraining",
        lambda setting: within("retraining", setting.retraining.plan),
        measure,
    )


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
        _encodings_works, _encodings,
    ),
    Claim(
        "P5", SOURCE, "ImageNet, CPPN encoding, dogs and cats",
        Published("dogs and cats stay low", "m"),
        "CPPN evolution does worse on dogs and cats (classes 151 to 285) than on other classes.",
        "Mann and Whitney's test over the classes, each with its median over the seeds, one-sided"
        " at .05 (fails: the other way round).",
        _OTHER_NET,
        lambda setting: setting.planned("imagenet", "cppn"), _groups,
    ),
    Claim(
        "P7", SOURCE, "MNIST, fooling images on a net of another seed",
        Published("many are at 99.99 % on both nets", "m"),
        "Many images that fool one net fool a net of the same shape trained from another seed.",
        "Wilson's 95 % interval of the share of champions whose own class reaches .9999 there lies"
        " above one tenth (fails: below).",
        "both encodings together; the target class must stay, which is stricter than any class",
        _transfer_works, _transfer,
    ),
    _retrained("cppn"),
    _retrained("direct"),
    Claim(
        "P12", SOURCE, "gradient ascent, four published settings",
        Published("99.99 %", "m"),
        "Gradient ascent finds images of noise that a net is sure of.",
        "Wilson's 95 % interval of the share of climbs from uniform noise that reach .99 on the"
        " saved picture lies above one half (fails: below).",
        "on our LeNet instead of AlexNet",
        _climb_works, _climbing,
    ),
)  # fmt: skip
