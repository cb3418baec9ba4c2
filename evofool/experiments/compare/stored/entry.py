"""What a comparison's manifest says of its searches, for whoever compares it with other runs."""

from __future__ import annotations

from typing import Any

from evofool.experiments.compare.searches import Arm, Compared
from evofool.experiments.compare.stored.comparisons import ENTRY, Entry
from evofool.experiments.compare.stored.config import RunsConfig
from evofool.experiments.compare.works import Evolved, Search
from evofool.experiments.engine.results import everything_below
from evofool.experiments.works.nets import GivenNet


def described(compared: Compared) -> dict[str, Any]:
    """The manifest's entry; works that take a search over say it themselves."""
    config = compared.config
    if isinstance(config, RunsConfig):
        return {}
    settings = {method.title: method.model_dump(mode="json") for method in config.methods}
    methods = [
        {
            "net": arm.victim,
            "method": arm.title,
            "sees": arm.sees,
            "family": arm.family,
            "by": arm.by,
            "each": arm.classes,
            "settings": {"method": settings[arm.title], "budget": config.budget},
            "runs": {
                str(seed): [each.address for each in (work, *everything_below(work))]
                for seed, work in arm.searches.items()
            },
        }
        for arm in compared.arms
    ]
    nets = {
        net: {"digest": _digest(compared.of(net)[0]), "labels": list(labels)}
        for net, labels in compared.labels.items()
        if compared.of(net)
    }
    passes = {net: work.address for net, work in compared.passes.items()}
    entry = Entry.model_validate({"nets": nets, "methods": methods, "passes": passes})
    return {ENTRY: entry.model_dump(mode="json")}


def _digest(arm: Arm) -> str:
    net = _net(next(iter(arm.searches.values())))
    assert isinstance(net, GivenNet)
    return net.digest


def _net(work: Search) -> object:
    return work.campaign.net if isinstance(work, Evolved) else work.net
