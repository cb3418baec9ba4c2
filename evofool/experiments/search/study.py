"""A comparison of ways to search as a study: its plan of works, and its dry run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evofool import encodings
from evofool.classifiers import Classifier
from evofool.classifiers.identity.code import code_digest
from evofool.config import Loaded, yaml_lines
from evofool.config.evolution import MapElitesConfig
from evofool.errors import EncodingError
from evofool.experiments.checked import loaded_net, told_apart
from evofool.experiments.engine import Plan, Planned, Results, Scoring
from evofool.experiments.engine.study import Study
from evofool.experiments.search.campaigns import VariantCampaign
from evofool.experiments.search.config import RESERVED, SearchConfig, resolve
from evofool.experiments.search.searched import Searched
from evofool.experiments.search.witnesses import natural, others, shown
from evofool.experiments.works.nearest import Nearest
from evofool.experiments.works.nets import GivenNet, quickest
from evofool.plugins import in_file
from evofool.report.output import PAGE, Report
from evofool.store import Result
from evofool.validation import problem_of


class SearchStudy(Study[SearchConfig]):
    """Several ways to search, on several nets."""

    kind = "search"
    config = SearchConfig
    resolve = staticmethod(resolve)

    def __init__(self, loaded: Loaded[SearchConfig], searched: Sequence[Searched]) -> None:
        self.searched = searched
        planned = [
            Planned(
                f"{one.variant.name} on {one.net}, seed {seed}",
                one.campaigns[seed],
                _file(one.net, one.variant.name, seed),
            )
            for seed in loaded.config.seeds  # all variants of a seed before the next seed
            for one in searched
        ]
        for one in searched:
            what, file = f"{one.variant.name} on {one.net}", (one.net, one.variant.name)
            planned += [
                Planned(f"{what}, seed {seed}, shown to {name}", work, _file(*file, seed, name))
                for name, works in one.shown.items()
                for seed, work in works.items()
            ]
            planned += [
                Planned(f"{what}, seed {seed}, distances", work, _file(*file, seed, "near"))
                for seed, work in one.near.items()
            ]
        super().__init__(loaded, Plan(planned))

    @classmethod
    def make(cls, loaded: Loaded[SearchConfig]) -> SearchStudy:
        config = loaded.config
        nets = [loaded_net(loaded, ("victims", k), spec) for k, spec in enumerate(config.victims)]
        called = told_apart(nets)
        scoring = config.scoring.resolved()
        searched = []
        witnesses = list(others(loaded, scoring))
        for k, (net, name) in enumerate(zip(nets, called, strict=True)):
            given = GivenNet.of(net, config.victims[k].model_dump(mode="json", exclude_none=True))
            pictures = natural(loaded, net)
            for index in range(len(config.variants)):
                campaigns = _campaigns(loaded, index, net, given, scoring)
                near = (
                    {}
                    if pictures is None
                    else {
                        seed: Nearest(given, campaign, pictures)
                        for seed, campaign in campaigns.items()
                    }
                )
                elsewhere = shown(net, campaigns, witnesses, config.surest)
                searched.append(
                    Searched(name, net, config.variants[index], campaigns, elsewhere, near)
                )
        for number, (other, _) in enumerate(witnesses):
            if not any(other.name in one.shown for one in searched):
                raise loaded.error_at(
                    ("shown_to", number),
                    f"{other.name} would be shown nothing: its classes differ from those of the"
                    " searched nets, or it is the only one of them; name another net, or leave"
                    " it out",
                )
        return cls(loaded, searched)

    @classmethod
    def plan_lines(cls, study: SearchStudy) -> list[str]:
        """The resolved config, and how much there is to do."""
        campaigns = [work for one in study.searched for work in one.campaigns.values()]
        images = sum(campaign.images for campaign in campaigns)
        return [
            *yaml_lines(study.loaded.config),
            f"# campaigns: {len(campaigns)}; images to be evolved: {images:,}; ready",
        ]

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.search.report import report  # which imports matplotlib

        return report(self.loaded.config, self.searched, results, manifest)

    @classmethod
    def result_lines(cls, result: Result, pages: Sequence[Path]) -> list[str]:
        from evofool.experiments.search.tables import ends, fewer

        lines = ends(result.summary).plain()
        if (ratios := fewer(result.summary)).rows:
            baseline = result.summary["baseline"]
            lines = [*lines, f"how many times as many {baseline} takes:", *ratios.plain()]
        return [
            *lines,
            f"look at {result.path / PAGE}",
            f"        {result.path / 'search.csv'}",
        ]


def _campaigns(
    loaded: Loaded[SearchConfig], index: int, net: Classifier, given: GivenNet, scoring: Scoring
) -> dict[int, VariantCampaign]:
    """Of one variant on one net, by seed.

    Raises:
        ConfigError: the variant does not fit the net, or a key of it is wrong.
    """
    config, variant = loaded.config, loaded.config.variants[index]
    name = variant.encoding.name
    try:
        options = encodings.load(name, net.input_shape, variant.encoding.options).options
    except EncodingError as error:
        raise loaded.option_error_at(("variants", index, "encoding"), error) from error
    try:
        section = MapElitesConfig.model_validate(variant.evolution)
    except ValidationError as error:
        found = problem_of(error, variant.evolution, MapElitesConfig)
        where = ("variants", index, "evolution", *found.path)
        raise loaded.error_at(where, found.message) from error
    changed = section.model_dump(mode="json", exclude_defaults=True, exclude=set(RESERVED))
    identity = {
        key: f"{value.rpartition(':')[2]} {code_digest(value)}"
        if isinstance(value, str) and in_file(value)
        else value
        for key, value in changed.items()
    }
    goals = net.n_classes if net.reject is None else net.reject
    classes = min(config.classes or goals, goals)
    code = code_digest(name)
    encoding = name if code is None else f"{name.rpartition(':')[2]} {code}"
    return {
        seed: VariantCampaign(
            given, encoding, config.initial, config.children, config.generations(variant),
            classes, quickest(given, scoring), seed, name, dict(options), identity, changed,
        )
        for seed in config.seeds
    }  # fmt: skip


def _file(*parts: object) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(map(str, parts))).strip("-.")
