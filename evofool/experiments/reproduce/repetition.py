"""The claim of Nguyen et al. 2015 that evolved pictures repeat what a net looks for (P6)."""

from __future__ import annotations

from evofool.experiments.engine import Planned, Results
from evofool.experiments.explore.repetition import Repetition, WindowRow
from evofool.experiments.explore.summary import KEEPS, keeps
from evofool.experiments.reproduce.claims import Claim, Measured, Published, share_above
from evofool.experiments.reproduce.setting import Setting
from evofool.text import rate

STRIDE = 2


def _windows(setting: Setting) -> list[Repetition]:
    """For each campaign of CPPNs on digits the best windows of half the side."""
    shape = setting.lenet.classifier.input_shape
    return [
        Repetition(setting.lenet, campaign, (shape[1] // 2,), STRIDE, shape, setting.scoring)
        for campaign in setting.campaigns("digits", "cppn")
    ]


def _works(setting: Setting) -> list[Planned]:
    windows = [
        Planned(f"windows of champions, seed {work.campaign.seed}", work)
        for work in _windows(setting)
    ]
    return [*setting.planned("digits", "cppn"), *windows]


def _measure(setting: Setting, results: Results) -> Measured:
    rows = [row for work in _windows(setting) for row in results.rows(work, WindowRow)]
    what = f"champions keep {rate(KEEPS, 100)} of their confidence with a quarter of their area"
    hits = sum(keeps(row) for row in rows)
    return share_above(hits, len(rows), 0.5, what, len(setting.scale.seeds))


CLAIMS = (
    Claim(
        "P6",
        "Nguyen et al., CVPR 2015",
        "MNIST, CPPN encoding, all but one window deleted",
        Published("deleting repeated copies of a motif costs little confidence", "m"),
        "A net stays nearly as sure of most CPPN pictures when most of their area is deleted.",
        "Of each champion the best window of half the side is kept, the rest is its mean colour."
        f" Wilson's 95 % interval of the share of champions that keep {rate(KEEPS, 100)} of their"
        " confidence or more lies above one half (fails: below).",
        "digits instead of ImageNet classes, one window instead of copies chosen by hand; that the"
        " deleted area repeats the motif is not tested",
        _works,
        _measure,
        1,
        ("P2",),
    ),
)
