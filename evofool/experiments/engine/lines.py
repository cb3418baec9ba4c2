"""An experiment in lines of text: before it runs, while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.config import yaml_lines
from evofool.report.output import PAGE
from evofool.text import counted, duration

if TYPE_CHECKING:
    from evofool.experiments.engine.plan import Plan
    from evofool.experiments.engine.progress import ExperimentProgress
    from evofool.experiments.engine.study import AnyStudy
    from evofool.store import Result


def progress() -> Callable[[ExperimentProgress], tuple[str, float | None]]:
    """Gives how many works are done, the time left and the work in a line."""
    return lambda p: (_progress_line(p), p.share_done)


def _progress_line(p: ExperimentProgress) -> str:
    parts = [f"{p.done}/{p.steps}"] if p.steps else []
    if p.seconds_left is not None:  # early: a narrow terminal cuts the end
        parts.append(f"{duration(p.seconds_left)} left")
    return "  ".join([*parts, p.step])


def plan_lines(made: AnyStudy) -> list[str]:
    """The resolved config, then the works that there are to be done."""
    return [*yaml_lines(made.loaded.config), *(f"# {line}" for line in work_lines(made.plan))]


def work_lines(plan: Plan) -> list[str]:
    """How many works of each kind, and about how many images."""
    kinds: dict[str, int] = {}
    for planned in plan:
        kinds[planned.work.kind] = kinds.get(planned.work.kind, 0) + 1
    images = sum(planned.work.images for planned in plan)
    listed = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    return [f"{counted(len(plan), 'work')}: {listed}", f"about {counted(images, 'image')}"]


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """Where to look."""
    return [f"look at {result.path / PAGE}"]
