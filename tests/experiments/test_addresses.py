"""Published rows change only with a new version: one frozen example of every work.

``addresses.json`` holds, for every kind of work, its version, the definition and address of an
example, and the fields of its rows. Whoever changes what a work finds raises its ``version``, and
then writes the file anew: ``python tests/experiments/test_addresses.py``.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evofool.experiments
from evofool.attacks import (
    FGSM,
    JSMA,
    PGD,
    GradientAscent,
    SignEmbedding,
    Square,
    SubstituteSettings,
)
from evofool.config.transforms import TransformsConfig
from evofool.experiments.attack.held_back import AttackHeldBack
from evofool.experiments.attack.works import AttackOnImages, JudgedImages, SourceImages
from evofool.experiments.compare.elsewhere import Elsewhere
from evofool.experiments.compare.passes import TimedPasses
from evofool.experiments.compare.stored.search import Origin, VictimOf
from evofool.experiments.compare.stored.works import StoredSearch
from evofool.experiments.compare.works import Aimed, Evolved, NaturalPictures, RandomPictures
from evofool.experiments.engine import Scoring, Work
from evofool.experiments.explore.decision import DecisionMap
from evofool.experiments.explore.embedding import Embedding
from evofool.experiments.explore.repetition import Repetition
from evofool.experiments.explore.switching import GoalSwitching
from evofool.experiments.retrain.config import RetrainTraining
from evofool.experiments.retrain.fooling import Bred, Recognised
from evofool.experiments.retrain.retrained import Retrained
from evofool.experiments.retrain.shown import Ascent, Shown
from evofool.experiments.search.campaigns import VariantCampaign
from evofool.experiments.search.witnesses import SurestShown
from evofool.experiments.signs.driven import SignsDriven
from evofool.experiments.signs.works import PaintedSigns, SignsSeen
from evofool.experiments.sweep.works import SweptRun
from evofool.experiments.transfer.works import ChampionsShown, Ranked
from evofool.experiments.works.answers import Attacked, Clean, Transferred
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.defended import DefendedNet
from evofool.experiments.works.denoiser import TrainedDenoiser
from evofool.experiments.works.diagnosed import Diagnosed, Probe
from evofool.experiments.works.ensemble_trained import EnsembleTrained
from evofool.experiments.works.first_layer import FirstLayer
from evofool.experiments.works.grown_head import GrownHead, HeadRecipe
from evofool.experiments.works.nearest import Nearest
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.noise import NoiseAnswers
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.preset_campaign import PresetCampaign
from evofool.experiments.works.substitute import Substitute
from evofool.experiments.works.surface import LossSurfaces
from evofool.experiments.works.targeted import Targeted
from evofool.experiments.works.trained import Trained
from evofool.training import TrainConfig

YOUNGER = ("augment", "smoothing", "stored", "start", "validation")
"""Keys of a training that are in its address only where they are given."""
FROZEN = Path(__file__).parent / "addresses.json"


def examples() -> list[Work]:
    """One work of every kind, without a net, a data set or a device."""
    none: Any = None
    net = GivenNet("ab" * 32, none, {})
    scoring = Scoring(100, "cpu")
    pictures = Pictures.of(np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 1], np.int64))
    recipe = TrainConfig(name="net", dataset="mnist", epochs=3).model_dump(
        mode="json", exclude={"kind", "name", "device", *YOUNGER}
    )
    attacked = Attacked(net, pictures, FGSM(eps=0.1), scoring)
    campaign = Campaign(net, "direct", 200, 200, 50, 10, scoring, 1)
    bred = (Bred(campaign, 3, 3),)
    source = SourceImages("ef" * 32, 2, True)
    painted = PaintedSigns(
        net, pictures, (1, 0), SignEmbedding(), TransformsConfig(k=8, perspective=0.07), scoring
    )
    judged = JudgedImages(net, {"crops": 1}, "28 x 28", source, True, scoring)
    return [
        Trained(recipe, "cd" * 32, "cpu", ()),
        EnsembleTrained(
            recipe, "cd" * 32, "cpu", (), taught_by=(Trained(recipe, "cd" * 32, "cpu", ()),)
        ),
        campaign,
        Clean(net, pictures, scoring),
        attacked,
        Transferred(net, attacked, scoring),
        Ranked(net, attacked, (1, 0), (1, 4, 4), scoring),
        ChampionsShown(net, campaign, (1, 0), (1, 4, 4), scoring),
        NoiseAnswers(net, "floats", 1000, 1, scoring),
        Retrained(net, net, pictures, bred, RetrainTraining(), "cpu", 7, "lenet"),
        GrownHead(net, "efficientnet-lite0", pictures, bred, HeadRecipe(10), 1, scoring),
        Recognised(net, bred, 10, scoring),
        Shown(campaign, net, scoring),
        Substitute(
            net, pictures, pictures, SubstituteSettings(seed=1, rounds=6), FGSM(eps=0.1), scoring
        ),
        TrainedDenoiser(
            net, (net,), (FGSM(eps=0.1),), pictures, {"epochs": 20, "seed": 1}, "cpu", scoring
        ),
        FirstLayer(net),
        DefendedNet(net, {"name": "median", "size": 3}, None, None, scoring, net),
        Diagnosed(net, net, pictures, Probe(0.1, 0.01), scoring),
        LossSurfaces(net, (Clean(net, pictures, scoring),), pictures, 0.1, 3, 1, scoring),
        campaign.with_options({"inner": {"name": "direct"}, "mask": {"shape": "disc"}}),
        PresetCampaign(
            net, "cppn", 200, 200, 50, 10, scoring, 1, preset="released", fitness="probability"
        ),
        VariantCampaign(
            net, "layers", 200, 200, 50, 10, scoring, 1, options={"limit": 8}, evolution={"lag": 1}
        ),
        SurestShown(net, campaign, (1, 0), (1, 4, 4), scoring, 200),
        Targeted(net, pictures, JSMA(), 10, scoring),
        judged,
        on_images := AttackOnImages(
            judged, {"name": "fgsm", "eps": 0.1}, "", "none", None, 256, scoring
        ),
        AttackHeldBack(on_images, 10),
        Ascent(net, GradientAscent(steps=200, confidence=0.99), 50, 10, 1, scoring),
        Aimed(net, Square(eps=1.0, queries=997), "uniform", 10, 1000, 1, scoring),
        RandomPictures(net, "encoding", "cppn", 10, 10_000, 1, scoring),
        NaturalPictures(net, pictures, 10, 10_000, scoring),
        Evolved(campaign, 10_000),
        TimedPasses(net, scoring, "0" * 16),
        StoredSearch(
            "cd" * 32,
            Origin("run", "r1", "evolve"),
            VictimOf("net", "ab" * 32, ("a", "b")),
            "evolution direct",
            "scores",
            "evolution",
            "evolution",
            {"crops": 1},
            1,
            1,
            (0, 1),
        ),
        Nearest(net, Evolved(campaign, 10_000), pictures),
        Elsewhere(net, Evolved(campaign, 10_000), (1, 0), (1, 4, 4), scoring),
        Repetition(net, campaign, (2, 3), 1, (1, 4, 4), scoring),
        DecisionMap(net, campaign, pictures, 1, PGD(eps=0.3), 81, scoring),
        Embedding(net, (campaign,), pictures, scoring),
        GoalSwitching(campaign),
        SweptRun("attack", {"works": [judged.address], "budget": None}),
        painted,
        SignsSeen(painted, 10, (32, 16), (0.0, 30.0)),
        SignsDriven(painted, 40),
    ]


def described(work: Work) -> dict[str, Any]:
    """What is frozen of a work."""
    return {
        "version": work.version,
        "definition": json.loads(work.definition),
        "address": work.address,
        "rows": {
            row.type: {field.name: str(field.type) for field in dataclasses.fields(row)}
            for row in work.rows
        },
        "makes": list(work.makes),
    }


def all_works() -> Iterator[type[Work]]:
    """Every kind of work of the package."""
    package = evofool.experiments
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    todo = list(Work.__subclasses__())
    while todo:
        cls = todo.pop()
        todo += cls.__subclasses__()
        if cls.__module__.startswith("evofool.") and "kind" in vars(cls):
            yield cls


def test_every_work_has_an_example() -> None:
    assert {cls.kind for cls in all_works()} == {work.kind for work in examples()}


def test_no_two_works_have_one_kind() -> None:
    kinds = [cls.kind for cls in all_works()]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("work", examples(), ids=lambda work: work.kind)
def test_works_are_what_they_were(work: Work) -> None:
    frozen = json.loads(FROZEN.read_text(encoding="utf-8"))
    assert described(work) == frozen[work.kind], (
        f"{work.kind}: its address or its rows have changed: raise its version, and write"
        f" {FROZEN.name} anew"
    )


if __name__ == "__main__":
    text = json.dumps({work.kind: described(work) for work in examples()}, indent=1)
    FROZEN.write_text(text + "\n", encoding="utf-8")
