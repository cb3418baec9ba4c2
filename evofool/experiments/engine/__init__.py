"""The engine of all experiments: it runs works, stores their results, and runs none twice.

A `Study` is an experiment: from its config follows a `Plan` of works, such as "train this net" or
"attack it"; from the rows that the works yield follows its report.
"""

from evofool.experiments.engine.context import Context, Scoring
from evofool.experiments.engine.life import (
    Options,
    begin,
    redraw,
    resume,
    status,
    verify,
)
from evofool.experiments.engine.plan import Plan, Planned
from evofool.experiments.engine.progress import ExperimentProgress, Meter, OnProgress
from evofool.experiments.engine.results import Results
from evofool.experiments.engine.run import WorksFailedError, run_plan
from evofool.experiments.engine.study import Study
from evofool.experiments.engine.work import Artifact, Chunk, Output, Row, Work, outside, work

__all__ = [
    "Artifact",
    "Chunk",
    "Context",
    "ExperimentProgress",
    "Meter",
    "OnProgress",
    "Options",
    "Output",
    "Plan",
    "Planned",
    "Results",
    "Row",
    "Scoring",
    "Study",
    "Work",
    "WorksFailedError",
    "begin",
    "outside",
    "redraw",
    "resume",
    "run_plan",
    "status",
    "verify",
    "work",
]
