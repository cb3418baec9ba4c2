"""Checks that the run folder of an experiment is complete and undamaged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evofool.errors import StoreError
from evofool.experiments.engine.context import Context
from evofool.experiments.engine.drawing import drawn_digests, is_picture
from evofool.experiments.engine.plan import Plan
from evofool.experiments.engine.progress import Meter
from evofool.experiments.engine.results import Results
from evofool.experiments.engine.spending import Spending
from evofool.files import read_file
from evofool.report.output import Drawn
from evofool.store import Check
from evofool.store.experiment import ExperimentFolder
from evofool.store.files import json_object
from evofool.text import counted

Report = Callable[[Results, Mapping[str, Any]], Drawn]
"""Draws a report of results, and of the manifest of their run."""


def verify_works(plan: Plan, results: Results, report: Report) -> Iterator[Check]:
    """Check the rows and artifacts of every work, and the files that were drawn from them.

    Args:
        plan: the works.
        results: of these.
        report: draws the files again.
    """
    run = results.folder
    spending = Spending.of_verifying(run)
    whole = True
    for planned in plan:
        work = planned.work
        if not results.is_finished(work):
            whole = False
            stored = results.stored(work)
            if stored is not None and stored.finished:
                yield Check(
                    planned.title, False, "something that it made or depends on has changed"
                )
            else:
                yield Check(planned.title, None, "not done yet (evofool resume)")
            continue
        n = 0
        try:
            for type in work.rows:
                n += len(results.with_pictures(work, type))
        except StoreError as error:
            yield Check(planned.title, False, str(error))
            whole = False
            continue
        yield Check(
            planned.title,
            True,
            f"{counted(n, 'row')} read, {counted(len(work.makes), 'artifact')} as made",
        )
        told = Meter(None, None, 0.0).begin(planned.title, 0)
        context = Context(results, planned, told, None, spending)
        yield from work.verify(context)
    if not whole or run.meta().get("status") != "finished":
        yield Check("report", None, "not drawn yet: the run has not ended (evofool resume)")
        return
    drawn = _Files()
    report(results, run.manifest).write(drawn)
    try:
        digests = drawn_digests(run.meta())
    except StoreError as error:
        yield Check("report", False, str(error))
        return
    for name, data in drawn.files.items():
        try:
            there = read_file(run.path / name)
        except OSError:
            there = None
        if there == data:
            yield Check(name, True, "holds the stored rows")
        elif not is_picture(name):
            yield Check(name, False, "differs or is missing")
        elif digests is not None:
            same = there is not None and hashlib.sha256(there).hexdigest() == digests.get(name)
            yield Check(name, same, "is as it was drawn" if same else "differs or is missing")
        # else nobody knows what an older run drew; what draws now may be another version


def check_works(run: ExperimentFolder) -> Check:
    """Whether every work that is stored, used or not, is what its address says."""
    try:
        works, artifacts = run.works(), run.artifacts()
    except StoreError as error:
        return Check("works", False, str(error))
    wrong = [
        f"{work.kind} {address[:12]} is not what its address says"
        for address, work in works.items()
        if hashlib.sha256(work.definition.encode()).hexdigest() != address
        or [json_object(work.definition, run.path).get(k) for k in ("kind", "version")]
        != [work.kind, work.version]
    ]
    wrong += [f"{a.path} belongs to no work" for a in artifacts if a.address not in works]
    return Check("works", not wrong, "; ".join(wrong[:3]) or f"{len(works)} are stored")


class _Files:
    """Takes what a report writes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def write_file(self, name: str, data: bytes, *, durable: bool = True) -> Path:
        self.files[name] = data
        return Path(name)
