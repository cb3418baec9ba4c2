"""Evolution as an attacker inside a larger run: MAP-Elites campaigns in folders of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evofool.evolution.campaign import evolve
from evofool.evolution.campaign import resume as resume_evolution
from evofool.experiments.engine.progress import Meter
from evofool.experiments.sections import EvolutionBudget, ExperimentScoring
from evofool.files import is_file
from evofool.store import RunFolder, state_of


def evaluations_of(budget: EvolutionBudget | None) -> int:
    """Images that one campaign scores."""
    return 0 if budget is None else budget.initial + budget.generations * budget.children


def campaign(
    classifier: dict[str, Any],
    encoding: str,
    budget: EvolutionBudget,
    classes: int,
    scoring: ExperimentScoring,
    seed: int,
) -> dict[str, Any]:
    """The config of a campaign against a white box.

    Args:
        classifier: how it is named in a config.
        encoding: by name.
        budget: how much is evolved.
        classes: the first so many are sought; of a net that may reject, that class is no goal.
        scoring: how images are scored.
        seed: of the campaign.
    """
    return {
        "classifier": classifier,
        "encoding": {"name": encoding},
        "evolution": {
            "algorithm": "map_elites",
            "initial": budget.initial,
            "children": budget.children,
            "classes": list(range(classes)),
        },
        "stop": {"generations": budget.generations},
        "scoring": {
            "engine": "torch",
            "device": scoring.device,
            "batch": scoring.batch,
            "workers": scoring.workers,
        },
        "seed": seed,
    }


def carry_out(
    config: dict[str, Any],
    path: Path,
    meter: Meter,
    command: str | None,
    moved: str | None = None,
) -> None:
    """One campaign, begun or gone on with, unless it is done.

    Args:
        config: of the campaign.
        path: its run folder.
        meter: told of every generation.
        command: the command line, for the manifest.
        moved: where the net lies now, should the run folder around it have been moved.
    """

    def report(progress: Any) -> None:
        meter.reached(progress.evaluations)

    if not is_file(path / "manifest.json"):
        evolve(config, path, command=command, progress=report, should_stop=meter.should_stop)
    elif not finished(path):
        resume_evolution(
            path, classifier=moved, progress=report, should_stop=meter.should_stop
        )  # fmt: skip


def finished(path: Path) -> bool:
    """Whether the run in a folder has come to its end."""
    with RunFolder.open(path) as run:
        return state_of(run)[0] == "finished"
