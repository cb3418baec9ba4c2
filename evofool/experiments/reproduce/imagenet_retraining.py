"""Claims of Nguyen et al., CVPR 2015: ImageNet's class 1001, and pictures that people recognise."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from evofool.errors import DataError
from evofool.experiments.engine import Planned, Results
from evofool.experiments.reproduce.claims import Claim, Measured, Published, larger, share_above
from evofool.experiments.reproduce.folders import (
    bare_pictures,
    imagenet_folder,
    labelled_pictures,
)
from evofool.experiments.reproduce.nguyen2015 import SOURCE
from evofool.experiments.reproduce.setting import Setting
from evofool.experiments.retrain.fooling import Bred
from evofool.experiments.works.answers import AnswerRow, Clean
from evofool.experiments.works.campaign import Campaign, ChampionRow
from evofool.experiments.works.grown_head import GrownHead, HeadRecipe
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.text import probability, rate

CLEAN = 1000
"""Labelled pictures that the last layer is trained on, at most."""


def _pictures(setting: Setting) -> Pictures:
    folder = imagenet_folder(setting.imagenet_folder)
    return setting.once(
        "pictures to retrain on",
        lambda: labelled_pictures(folder, setting.one_crop.classifier, CLEAN),
    )


def _before(setting: Setting) -> list[Campaign]:
    return [*setting.campaigns_against(setting.one_crop, "cppn")]


def _grown(setting: Setting) -> GrownHead:
    """The net with a class of the pictures that evolved against it, half of them early ones."""
    campaign = _before(setting)[0]
    wanted = min(setting.scale.fooling, campaign.images)
    bred = Bred(campaign, wanted // 2, wanted - wanted // 2)
    return GrownHead(
        setting.one_crop, "efficientnet-lite0", _pictures(setting), (bred,),
        HeadRecipe(setting.scale.head_epochs), setting.seed, setting.scoring,
    )  # fmt: skip


def _after(setting: Setting) -> list[Campaign]:
    return [*setting.campaigns_against(_grown(setting), "cppn")]


def _clean(setting: Setting, net: Net) -> Clean:
    return Clean(net, _pictures(setting), setting.scoring)


def _grown_works(setting: Setting) -> list[Planned]:
    before = [
        Planned(f"evolution, cppn, imagenet, seed {c.seed}", c, f"imagenet-cppn-{c.seed}")
        for c in _before(setting)
    ]
    return [*before, Planned("training of a last layer of 1001 classes", _grown(setting), "grown")]


def _works(setting: Setting) -> list[Planned]:
    after = [
        Planned(f"evolution, cppn, against 1001 classes, seed {c.seed}", c, f"grown-cppn-{c.seed}")
        for c in _after(setting)
    ]
    return [
        *_grown_works(setting),
        *after,
        Planned("clean pictures, 1000 classes", _clean(setting, setting.one_crop)),
        Planned("clean pictures, 1001 classes", _clean(setting, _grown(setting))),
    ]


def _measure(setting: Setting, results: Results) -> Measured:
    def sure(campaigns: list[Campaign]) -> list[float]:
        return [r.confidence for c in campaigns for r in results.rows(c, ChampionRow)]

    before, after = sure(_before(setting)), sure(_after(setting))
    table = [("", "median confidence of champions", "errors on clean pictures")]
    for name, values, net in (
        ("1000 classes", before, setting.one_crop),
        ("1001 classes", after, _grown(setting)),
    ):
        rows = results.rows(_clean(setting, net), AnswerRow)
        errors = sum(row.is_error for row in rows) / len(rows)
        table.append((name, probability(median(values)), rate(errors, len(rows))))
    measured = larger(before, after, ("before", "after"), len(setting.scale.seeds))
    return replace(measured, table=tuple(table))


def _recognisable(setting: Setting) -> Clean:
    if setting.picbreeder is None:
        raise DataError(
            "CPPN pictures in which people recognise something (the paper's are Picbreeder's)"
            " are not part of this installation: name a folder of them with --picbreeder DIR"
            " (picbreeder: in a config)"
        )
    folder, net = setting.picbreeder, setting.one_crop.classifier
    pictures = setting.once(
        "recognisable pictures", lambda: bare_pictures(folder, net, net.n_classes)
    )
    return Clean(_grown(setting), pictures, setting.scoring)


def _recognisable_works(setting: Setting) -> list[Planned]:
    shown = Planned("recognisable pictures of CPPNs, 1001 classes", _recognisable(setting))
    return [*_grown_works(setting), shown]


def _recognised(setting: Setting, results: Results) -> Measured:
    rows = results.rows(_recognisable(setting), AnswerRow)
    hits = sum(not row.is_error for row in rows)
    return share_above(hits, len(rows), 0.5, "pictures are called fooling", 1)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "P10", SOURCE, "ImageNet, retraining with a class 1001, CPPN encoding",
        Published("median 88.1 % before and 11.7 % after", "m"),
        "A class of fooling images makes CPPN evolution less sure of its pictures on ImageNet.",
        "Mann and Whitney's test over the cells before and after, one-sided at .05 (fails: the"
        " other way round).",
        "a new last layer on frozen features of EfficientNet-Lite0, trained on a thousand clean"
        " pictures at most, instead of AlexNet trained anew on ImageNet; as little evolution as in"
        " P3-P4",
        _works, _measure, 10, ("P3-P4",),
    ),
    Claim(
        "P11", SOURCE, "recognisable pictures of CPPNs, shown to the retrained net",
        Published("45 of 70 are called fooling", "m"),
        "The retrained net takes most pictures of CPPNs in which people recognise something for"
        " fooling images.",
        "Wilson's 95 % interval of the share that is called fooling lies above one half (fails:"
        " below).",
        "the net of P10; pictures of the user's",
        _recognisable_works, _recognised, 1, ("P10",),
    ),
)  # fmt: skip
