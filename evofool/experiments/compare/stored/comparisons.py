"""The searches of a comparison: rows that are such already."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from evofool.errors import DamagedError, FolderError, StoreError
from evofool.experiments.compare.passes import PassesRow
from evofool.experiments.compare.searched import SpentRow
from evofool.experiments.compare.stored.search import (
    FoundSearch,
    NotCompared,
    Origin,
    Spent,
    VictimOf,
)
from evofool.experiments.compare.stored.works import StoredSearch
from evofool.experiments.compare.works import SearchRow
from evofool.experiments.engine.changes import planned
from evofool.store import state_of
from evofool.store.experiment import ExperimentFolder
from evofool.store.records.works import Cost, WorkRow
from evofool.validation import dotted, problem_of

ENTRY = "compared"
"""Of the manifest: which works are the searches of which methods."""


class Net(BaseModel):
    """A net of a comparison."""

    model_config = ConfigDict(strict=True, extra="forbid")

    digest: str
    labels: list[str]


class MethodOn(BaseModel):
    """A method on a net; `runs` are the addresses of each seed's works, the search first."""

    model_config = ConfigDict(strict=True, extra="forbid")

    net: str
    method: str
    sees: Literal["weights", "scores", "labels"]
    family: Literal["evolution", "gradients", "queries", "chance", "natural"]
    by: str
    each: Annotated[int, Field(ge=1)]
    settings: dict[str, Any]
    runs: dict[str, list[str]]


class Entry(BaseModel):
    """All of the manifest's entry `ENTRY`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    nets: dict[str, Net]
    methods: list[MethodOn]
    passes: dict[str, str] = {}


def comparison(path: Path) -> list[FoundSearch | NotCompared]:
    """The searches of a comparison that are done, of which each is whole.

    Raises:
        FolderError: it was made before comparisons said which works are their searches.
        StoreError: the folder is damaged.
    """
    with ExperimentFolder.open(path) as run:
        works = run.works()
        state = state_of(run)[0]
        if ENTRY in run.manifest:
            return _of_methods(run, entry_of(run), works, state)
        found: list[FoundSearch | NotCompared] = []
        for address, title in planned(run).items():
            stored = works.get(address)
            if stored is not None and stored.kind == StoredSearch.kind:
                found += _taken_over(run, stored, title)
        if not found:
            raise FolderError(
                f"{path}: was made by an evofool whose comparisons did not record which works"
                " are their searches; make it again in another folder: evofool compare"
                f" {path / 'config.yaml'} --reuse {path} repeats no work"
            )
        return found


def entry_of(run: ExperimentFolder) -> Entry:
    """The manifest's entry.

    Raises:
        StoreError: it is damaged.
    """
    try:
        return Entry.model_validate(run.manifest[ENTRY])
    except ValidationError as error:
        found = problem_of(error, run.manifest[ENTRY], Entry)
        where = f"{dotted((ENTRY, *found.path))}: {found.message}"
        raise DamagedError(f"{run.path}: its manifest is damaged: {where}") from error


def timed(path: Path) -> dict[str, PassesRow]:
    """What a backward pass took where a comparison was run, by net.

    Raises:
        StoreError: the folder is damaged.
    """
    with ExperimentFolder.open(path) as run:
        if ENTRY not in run.manifest:
            return {}
        return {
            net: PassesRow.parse(item, content, None, f"{run.path}: passes of {net}")
            for net, address in entry_of(run).passes.items()
            for item, content in run.contents(address, PassesRow.type)
        }


def _of_methods(
    run: ExperimentFolder, entry: Entry, works: Mapping[str, WorkRow], state: str
) -> list[FoundSearch | NotCompared]:
    found: list[FoundSearch | NotCompared] = []
    for method in entry.methods:
        net = entry.nets.get(method.net)
        if net is None:
            raise DamagedError(f"{run.path}: its manifest is damaged: {ENTRY}: {method.net}")
        victim = VictimOf(method.net, net.digest, tuple(net.labels))
        for written, addresses in method.runs.items():
            if not written.isdecimal() or len(written) > 10 or not addresses:
                raise DamagedError(f"{run.path}: its manifest is damaged: {ENTRY}: seed {written}")
            own = [works[each] for each in addresses if each in works]
            if not (len(own) == len(addresses) and own[0].finished):
                reason = f"seed {written} is not done ({state}); evofool resume continues it"
                found.append(NotCompared(run.path.name, victim.name, method.method, reason))
                continue
            cost = sum((work.cost for work in own), Cost())
            origin = Origin(run.path.name, run.manifest["run_id"], "compare")
            found.append(
                _search(
                    run, own[0], origin, victim, method, int(written),
                    tuple(range(len(victim.labels))),
                    Spent(cost.forward_images, cost.backward_images, cost.seconds),
                )
            )  # fmt: skip
    return found


def _taken_over(run: ExperimentFolder, stored: WorkRow, title: str) -> list[FoundSearch]:
    """A search that a comparison of run folders had taken over in its turn."""
    work = restored(run, stored)
    if not stored.finished:
        return []
    rows = run.contents(stored.address, SpentRow.type)
    if len(rows) != 1:
        raise StoreError(f"{run.path}: {title}: what it spent is missing")
    spent = SpentRow.parse(*rows[0], None, f"{run.path}: {title}")
    method = _method(work)
    cost = Spent(spent.forward_images, spent.backward_images, spent.seconds)
    return [_search(run, stored, work.origin, work.victim, method, work.seed, work.sought, cost)]


def _search(
    run: ExperimentFolder,
    work: WorkRow,
    origin: Origin,
    victim: VictimOf,
    method: MethodOn,
    seed: int,
    sought: tuple[int, ...],
    spent: Spent,
) -> FoundSearch:
    where, path = f"{run.path}: {method.method}, seed {seed}", run.path
    rows = tuple(
        SearchRow.parse(item, content, None, where)
        for item, content in run.contents(work.address, SearchRow.type)
    )
    classes = set(sought)
    for row in rows:
        if row.item not in classes or len(row.costs) != len(row.log_odds) or not row.costs:
            raise DamagedError(f"{where}: damaged: class {row.item}")
    if len({row.costs for row in rows}) > 1:
        raise DamagedError(f"{where}: damaged: its classes have different costs")

    def pictures(wanted: Sequence[int]) -> dict[int, bytes]:
        asked = set(wanted)
        with ExperimentFolder.open(path) as again:
            stored = again.rows(work.address, SearchRow.type)
        return {row.item: row.png for row in stored if row.item in asked and row.png is not None}

    return FoundSearch(
        origin, victim, method.method, method.sees, method.family, method.by, method.settings, seed,
        method.each, sought, rows[0].costs[-1] if rows else 1, {}, spent, pictures, rows,
    )  # fmt: skip


def restored(run: ExperimentFolder, stored: WorkRow) -> StoredSearch:
    """The work that a comparison of run folders has stored, from its definition.

    Raises:
        StoreError: it is damaged.
    """
    try:
        fields = dict(json.loads(stored.definition)["fields"])
        fields["origin"] = TypeAdapter(Origin).validate_python(_own(fields["origin"]))
        fields["victim"] = TypeAdapter(VictimOf).validate_python(_own(fields["victim"]))
        fields["sought"] = TypeAdapter(tuple[int, ...]).validate_python(fields["sought"])
        work = StoredSearch(**fields)
        _method(work)
        sane = (
            work.address == stored.address
            and type(work.seed) is int
            and all(0 <= c < len(work.victim.labels) for c in work.sought)
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{run.path}: work {stored.address[:16]} is damaged") from error
    if not sane:
        raise DamagedError(f"{run.path}: work {stored.address[:16]} is damaged")
    return work


def _method(work: StoredSearch) -> MethodOn:
    """What a work tells of its method, checked."""
    told = {name: getattr(work, name) for name in ("sees", "family", "by", "each")}
    return MethodOn(
        net=work.victim.name, method=work.title, settings=dict(work.settings), runs={}, **told
    )


def _own(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != "is"}
