"""The engine of all experiments: what is to be found out, found out once, and kept."""

from evofool.experiments.engine.context import Context
from evofool.experiments.engine.plan import Plan, Planned
from evofool.experiments.engine.progress import ExperimentProgress, OnProgress
from evofool.experiments.engine.results import Results
from evofool.experiments.engine.run import run_plan
from evofool.experiments.engine.work import Artifact, Chunk, Found, Row, Work, outside

__all__ = [
    "Artifact",
    "Chunk",
    "Context",
    "ExperimentProgress",
    "Found",
    "OnProgress",
    "Plan",
    "Planned",
    "Results",
    "Row",
    "Work",
    "outside",
    "run_plan",
]
