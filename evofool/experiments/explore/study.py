"""A closer look as a study: its plan of works, and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evofool.attacks import Attack
from evofool.attacks.registry import describe, grid
from evofool.config import Loaded
from evofool.config.attack import AttackEntry
from evofool.errors import AttackError, ClassifierError
from evofool.experiments.checked import check_encodings, loaded_net
from evofool.experiments.engine import Plan, Results
from evofool.experiments.engine.study import Study
from evofool.experiments.explore.config import ExploreConfig, resolve
from evofool.experiments.explore.decision import DecisionMap
from evofool.experiments.explore.embedding import Embedding
from evofool.experiments.explore.looks import Looks
from evofool.experiments.explore.repetition import Repetition
from evofool.experiments.explore.switching import GoalSwitching
from evofool.experiments.transfer.matrix import read_pictures
from evofool.experiments.transfer.nets import MatrixNet
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.targeted import Targeted
from evofool.report.output import PAGE, Report
from evofool.store import Result
from evofool.text import bare
from evofool.validation import KeyPath

CORRECT_AMONG = 20
"""Natural pictures of a class among which the first that the net gets right is taken."""


class ExploreStudy(Study[ExploreConfig]):
    """A closer look at what was evolved against one net."""

    kind = "explore"
    config = ExploreConfig
    moved = "a closer look names its net in its config; put the file where config.yaml says"
    resolve = staticmethod(resolve)

    def __init__(self, loaded: Loaded[ExploreConfig], looks: Looks, net: MatrixNet) -> None:
        self.looks = looks
        super().__init__(loaded, Plan(list(looks.planned())), net.classifier)

    @classmethod
    def make(cls, loaded: Loaded[ExploreConfig]) -> ExploreStudy:
        config = loaded.config
        check_encodings(loaded)
        classifier = loaded_net(loaded, ("classifier",), config.classifier)
        spec = config.classifier.model_dump(mode="json", exclude_none=True)
        net = MatrixNet(
            classifier.headline, GivenNet.of(classifier, spec), classifier, classifier.white_box,
            ("classifier",),
        )  # fmt: skip
        return cls(loaded, _looks(loaded, net), net)

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.explore.report import report  # which imports matplotlib

        return report(self.looks, results, manifest)

    @classmethod
    def result_lines(cls, result: Result, pages: Sequence[Path]) -> list[str]:
        from evofool.experiments.explore.summary import sentences

        return [*map(bare, sentences(result.summary)), f"look at {result.path / PAGE}"]


def _looks(loaded: Loaded[ExploreConfig], net: MatrixNet) -> Looks:
    config = loaded.config
    scoring = net.scored(config.scoring.resolved())
    shape = net.classifier.input_shape
    labels = net.labels[: config.classes]
    campaigns = {
        (name, seed): Campaign.of(net.net, encoding, config.evolution, len(labels), scoring, seed)
        for name, encoding in config.evolution.named.items()
        for seed in config.evolution.seeds
    }
    looks = Looks(config, labels, net.classifier.labels, campaigns)
    first = {name: campaigns[name, config.evolution.seeds[0]] for name in config.evolution.named}
    natural: Pictures | None = None
    if config.images is not None:
        natural, looks.notes = read_pictures(loaded, net.classifier)
    if (windows := config.repetition) is not None:
        shorter = min(shape[1:])
        sides = tuple(dict.fromkeys(max(1, round(w * shorter)) for w in windows.windows))
        stride = windows.stride or max(1, shorter // 28)
        for key, campaign in campaigns.items():
            looks.repetition[key] = Repetition(net.net, campaign, sides, stride, shape, scoring)
    if (plane := config.decision_map) is not None and natural is not None:
        attack = _attack(loaded, net, "decision_map", plane.attack, "untargeted")
        for c in plane.classes:
            where: KeyPath = ("decision_map", "classes")
            if c >= len(labels):
                raise loaded.error_at(
                    where, f"class {c}: evolution searches for 0 to {len(labels) - 1}"
                )
            own = _of_class(natural, c, CORRECT_AMONG)
            if not len(own):
                raise loaded.error_at(where, f"class {c}: images has no picture of it")
            for name, campaign in first.items():
                looks.decision_maps[name, c] = DecisionMap(
                    net.net, campaign, own, c, attack, plane.side, scoring
                )
    if config.embedding is not None and natural is not None:
        _check_features(loaded, net)
        looks.embedding = Embedding(
            net.net, tuple(first.values()), natural.first(config.embedding.natural), scoring
        )
    if (pairs := config.source_target) is not None and natural is not None:
        attack = _attack(loaded, net, "source_target", pairs.attack, "targeted")
        classes = min(pairs.classes, len(net.labels))
        sources = [_of_class(natural, c, 1) for c in range(classes)]
        missing = [c for c, source in enumerate(sources) if not len(source)]
        if missing:
            raise loaded.error_at(
                "source_target", f"images has no picture of class {missing[0]}; name others, or"
                " fewer classes"
            )  # fmt: skip
        looks.source_target = Targeted(
            net.net,
            Pictures.of(np.concatenate([s.images for s in sources]), np.arange(classes)),
            attack,
            classes,
            scoring,
        )
    if config.goal_switching is not None:
        looks.goal_switching = {key: GoalSwitching(c) for key, c in campaigns.items()}
    return looks


def _of_class(pictures: Pictures, c: int, most: int) -> Pictures:
    """The first of one class."""
    chosen = np.flatnonzero(pictures.labels == c)[:most]
    return Pictures.of(pictures.images[chosen], pictures.labels[chosen])


def _attack(
    loaded: Loaded[ExploreConfig],
    net: MatrixNet,
    section: str,
    entry: AttackEntry,
    aim: Literal["targeted", "untargeted"],
) -> Attack:
    """The one attack that a section names.

    Raises:
        ConfigError: it is unknown, several, aims otherwise, or needs what the net does not give.
    """
    where: KeyPath = (section, "attack")
    if entry.targets is not None:
        raise loaded.error_at(where, f"{entry.name}: targets are not chosen here; remove targets")
    try:
        if describe(entry.name).aim not in (aim, "both"):
            raise AttackError(f"{entry.name} is not {aim}")
        attacks = list(grid(entry.name, {"seed": loaded.config.seed, **entry.options}))
    except AttackError as error:
        raise loaded.option_error_at(where, error, entry.options) from error
    if len(attacks) != 1:
        raise loaded.error_at(where, f"{entry.name}: a grid of {len(attacks)}; give one value each")
    if attacks[0].needs == "gradients":
        _check_white(loaded, net, section)
    return attacks[0]


def _check_white(loaded: Loaded[ExploreConfig], net: MatrixNet, section: str) -> None:
    if not net.white:
        raise loaded.error_at(
            section,
            f"needs the weights of the net, but {net.name} is a black box; name a net with"
            f" weights, or leave {section} out",
        )


def _check_features(loaded: Loaded[ExploreConfig], net: MatrixNet) -> None:
    from evofool.classifiers.nets.penultimate import penultimate  # which imports torch

    try:
        penultimate(net.classifier)
    except ClassifierError as error:
        raise loaded.error_at("embedding", f"{error}; leave embedding out") from error
