"""Run folders of several kinds as one comparison: what in them is of one net, and of one method."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from evofool.errors import DamagedError, FolderError, UsageError
from evofool.experiments.compare.passes import COUNTED
from evofool.experiments.compare.searches import Arm
from evofool.experiments.compare.stored.attacks import attacks
from evofool.experiments.compare.stored.campaigns import campaign
from evofool.experiments.compare.stored.comparisons import comparison, timed
from evofool.experiments.compare.stored.search import FoundSearch, NotCompared, VictimOf
from evofool.experiments.compare.stored.works import Source, StoredSearch
from evofool.experiments.engine.work import canonical
from evofool.experiments.runs import kind_of
from evofool.kinds import Kind
from evofool.store import Folder

Read = Callable[[Path], Sequence[FoundSearch | NotCompared]]
READERS: Mapping[str, Read] = {"evolve": campaign, "attack": attacks, "compare": comparison}
"""By the kinds of run whose searches can be compared."""
FEW = 3
"""Classes that a message names."""


@dataclass(frozen=True)
class Gathered:
    """What is compared of run folders.

    Attributes:
        arms: a method on a net each; their works are `StoredSearch`.
        labels: of each net, of all classes that a method on it is after.
        left_out: what cannot be compared.
        notes: sentences on what differs between the runs.
    """

    arms: tuple[Arm, ...]
    labels: Mapping[str, tuple[str, ...]]
    left_out: tuple[NotCompared, ...]
    notes: tuple[str, ...]


def gathered(paths: Sequence[Path]) -> Gathered:
    """The searches of run folders, by net and method.

    Raises:
        UsageError: a folder given twice, a kind of run that cannot be compared, nothing that could
            be compared in any of them, or no class that two methods have in common.
        StoreError: a folder is no run, damaged or of another schema version.
    """
    searches: list[FoundSearch] = []
    left_out: list[NotCompared] = []
    for path in paths:
        for each in READERS[_kind(path).name](path):
            if isinstance(each, NotCompared):
                left_out.append(each)
            else:
                searches.append(each)
    if not searches:
        reasons = "; ".join(f"{one.run}, {one.method}: {one.reason}" for one in left_out[:FEW])
        raise UsageError(f"nothing can be compared ({reasons})")
    names = _names([search.victim for search in searches])
    searches = [replace(s, victim=replace(s.victim, name=names[s.victim.digest])) for s in searches]
    labels = _labels(searches)
    methods, again = _methods(searches)
    arms = [_arm(title, each, labels[each[0].victim.name]) for title, each in _titled(methods)]
    order = {net: k for k, net in enumerate(labels)}
    arms.sort(key=lambda arm: order[arm.victim])
    _check_overlap(arms, labels)
    notes = (*_on_nets(labels, arms), *_on_states(searches), *_on_passes(paths))
    return Gathered(tuple(arms), labels, (*left_out, *again), notes)


def check_given_once(paths: Sequence[Path]) -> None:
    """Refuse a run that is given twice, be it as a copy of its folder.

    Raises:
        UsageError: it is.
        StoreError: a folder is no run, or damaged.
    """
    known: dict[str, Path] = {}
    for path in paths:
        with Folder.open(path) as run:
            id = run.manifest["run_id"]
        if id in known:
            also = "" if known[id] == path else f" (as {known[id]} and as {path})"
            raise UsageError(f"{path}: the run is given twice{also}; name it once")
        known[id] = path


def _kind(path: Path) -> Kind:
    kind = kind_of(path)
    if kind.name in READERS:
        return kind
    mend = f"; runs of kind {', '.join(READERS)} can"
    if (path / "evolution").is_dir():
        mend += f", such as the campaigns in {path / 'evolution'}"
    raise UsageError(
        f"{path}: {kind.about} cannot be compared: its results are not pictures of classes, each"
        f" with a confidence and a cost{mend}"
    )


def _names(victims: Sequence[VictimOf]) -> dict[str, str]:
    """By digest, what a net is called: two nets of one name are told apart."""
    by_digest: dict[str, str] = {}
    for victim in victims:
        by_digest.setdefault(victim.digest, victim.name)
    often = Counter(by_digest.values())
    return {
        digest: name if often[name] == 1 else f"{name} ({digest[:8]})"
        for digest, name in by_digest.items()
    }


def _labels(searches: Sequence[FoundSearch]) -> dict[str, tuple[str, ...]]:
    """The classes of each net, the same name always the same class."""
    labels: dict[str, list[str]] = {}
    for search in searches:
        own = labels.setdefault(search.victim.name, [])
        known = set(_numbered(own))
        numbered = _numbered(search.victim.labels)
        own += [name for name, _ in (key for key in numbered if key not in known)]
    return {net: tuple(each) for net, each in labels.items()}


def _numbered(labels: Sequence[str]) -> list[tuple[str, int]]:
    """Labels that stand there several times (ImageNet has two cranes), told apart by number."""
    seen: Counter[str] = Counter()
    numbered = []
    for label in labels:
        numbered.append((label, seen[label]))
        seen[label] += 1
    return numbered


def _methods(
    searches: Sequence[FoundSearch],
) -> tuple[list[list[FoundSearch]], list[NotCompared]]:
    """Searches of one method on one net with different seeds; those that are there twice."""
    groups: dict[str, dict[int, FoundSearch]] = {}
    again: list[NotCompared] = []
    for search in searches:
        key = canonical(
            [
                search.victim.digest, search.title, search.settings, search.origin.state,
                search.each, search.sought, search.rows[0].costs if search.rows else [],
                search.origin.kind,
            ]
        )  # fmt: skip
        known = groups.setdefault(key, {})
        if search.seed in known:
            other = known[search.seed].origin.name
            reason = f"seed {search.seed} of the same config is in {other} as well; it counts once"
            again.append(NotCompared(search.origin.name, search.victim.name, search.title, reason))
            continue
        known[search.seed] = search
    return [[each[seed] for seed in sorted(each)] for each in groups.values()], again


def _titled(methods: Sequence[list[FoundSearch]]) -> list[tuple[str, list[FoundSearch]]]:
    """What each method is called, unlike all others of its net."""
    titles = [_marked(each[0].title, each[0].origin.state) for each in methods]
    for add in (_parameters, _runs, _number):
        alike: dict[tuple[str, str], list[int]] = {}
        for k, each in enumerate(methods):
            alike.setdefault((each[0].victim.name, titles[k]), []).append(k)
        for same in alike.values():
            if len(same) > 1:
                for k, title in zip(same, add([methods[k] for k in same]), strict=True):
                    titles[k] = f"{titles[k]}{title}"
    return list(zip(titles, methods, strict=True))


def _marked(title: str, state: str) -> str:
    return title if state == "finished" else f"{title} ({state})"


def _parameters(alike: Sequence[Sequence[FoundSearch]]) -> list[str]:
    """Parameters of attacks of one name in which they differ."""
    settings = [each[0].settings.get("parameters") for each in alike]
    known = [each for each in settings if isinstance(each, Mapping)]
    names = [k for k in (known[0] if known else ()) if any(v.get(k) != known[0][k] for v in known)]
    return [
        "".join(f", {key} {_short(each.get(key))}" for key in names[:FEW])
        if isinstance(each, Mapping)
        else ""
        for each in settings
    ]


def _runs(alike: Sequence[Sequence[FoundSearch]]) -> list[str]:
    """The folders of the runs."""
    names = [list(dict.fromkeys(search.origin.name for search in each)) for each in alike]
    more = [f" and {len(own) - 1} more" if len(own) > 1 else "" for own in names]
    return [f", {own[0]}{rest}" for own, rest in zip(names, more, strict=True)]


def _number(alike: Sequence[Sequence[FoundSearch]]) -> list[str]:
    return [f", {k + 1}" for k in range(len(alike))]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)[:20]


def _arm(title: str, searches: Sequence[FoundSearch], labels: Sequence[str]) -> Arm:
    first = searches[0]
    place = {key: index for index, key in enumerate(_numbered(labels))}
    shares = [search.share for search in searches]
    # of runs that were broken off the curve ends where the first of them does
    share = max(shares) if first.origin.state == "finished" else min(shares)
    runs = {search.seed: _work(title, search, share, place, labels) for search in searches}
    sought = next(iter(runs.values())).sought
    return Arm(
        first.victim.name, title, first.sees, first.family, runs, first.each,  # type: ignore[arg-type]
        first.by, None if len(sought) == len(labels) else sought,
    )  # fmt: skip


def _work(
    title: str,
    search: FoundSearch,
    share: int,
    place: Mapping[tuple[str, int], int],
    labels: Sequence[str],
) -> StoredSearch:
    of_run = _numbered(search.victim.labels)
    if any(not 0 <= c < len(of_run) for c in search.sought):
        raise DamagedError(
            f"{search.origin.name}: damaged: it has a class that its net does not have"
        )
    here = {c: place[of_run[c]] for c in search.sought}
    rows = tuple(
        sorted(
            (replace(row, item=here[row.item]) for row in search.rows_up_to(share)),
            key=lambda row: row.item,
        )
    )
    spent = search.spent
    content = hashlib.sha256(
        canonical(
            [
                [row.content() for row in rows], spent.forward_images, spent.backward_images,
                spent.seconds,
            ]
        ).encode()
    ).hexdigest()  # fmt: skip
    return StoredSearch(
        content, search.origin, replace(search.victim, labels=tuple(labels)), title, search.sees,
        search.family, search.by, search.settings, search.seed, search.each,
        tuple(sorted(here.values())),
        Source(search, rows, {there: c for c, there in here.items()}),
    )  # fmt: skip


def _check_overlap(arms: Sequence[Arm], labels: Mapping[str, Sequence[str]]) -> None:
    """Refuse methods of which no two are after a class of the same name."""
    named = [(arm, names_of(arm, labels[arm.victim])) for arm in arms]
    if len(named) < 2 or any(a & b for (_, a), (_, b) in combinations(named, 2)):
        return
    told = "; ".join(
        f"{arm.title} on {arm.victim} is after {', '.join(name for name, _ in sorted(names)[:FEW])}"
        + (", ..." if len(names) > FEW else "")
        for arm, names in named[:FEW]
    )
    raise UsageError(f"no two of the runs search for a class of the same name: {told}")


def names_of(arm: Arm, labels: Sequence[str]) -> set[tuple[str, int]]:
    """The classes that a method is after, by name."""
    numbered = _numbered(labels)
    return set(numbered if arm.sought is None else (numbered[c] for c in arm.sought))


def _on_nets(labels: Mapping[str, Sequence[str]], arms: Sequence[Arm]) -> list[str]:
    notes = []
    if len(labels) > 1:
        notes.append(
            f"The runs are on {len(labels)} nets, {', '.join(labels)}: methods are compared on"
            " one net only; two nets are compared by classes of the same name."
        )
    for net, own in labels.items():
        counts = {
            len(own) if arm.sought is None else len(arm.sought) for arm in arms if arm.victim == net
        }
        different = {arm.sought for arm in arms if arm.victim == net}
        if len(different) > 1:
            *some, most = sorted(counts)
            listed = " and ".join(filter(None, (", ".join(map(str, some)), str(most))))
            notes.append(
                f"On {net} the methods do not search for the same classes ({listed} of"
                f" {len(own)}): each method's medians and shares cover its own classes, and a"
                " test covers those that both methods share."
            )
    return notes


def _on_states(searches: Sequence[FoundSearch]) -> list[str]:
    broken = dict.fromkeys(
        f"{search.origin.name} ({search.origin.state})"
        for search in searches
        if search.origin.state != "finished"
    )
    if not broken:
        return []
    return [
        f"Not finished: {', '.join(broken)}. Their curves, results and costs are those up to the"
        " interruption."
    ]


def _on_passes(paths: Sequence[Path]) -> list[str]:
    """What comparisons measured of the currency; other runs measure no such thing."""
    told = [
        f"{row.ratio:.1f} on {net} in {path.name}"
        for path in paths
        if _kind(path).name == "compare"
        for net, row in timed(path).items()
    ]
    if not told:
        return []
    return [
        f"A backward pass took as long as so many forward passes: {'; '.join(told)}; the tables"
        f" count {COUNTED}."
    ]


def gone(paths: Sequence[Path]) -> list[Path]:
    """Those of the run folders that are not there any more."""
    missing = []
    for path in paths:
        try:
            with Folder.open(path):
                pass
        except FolderError:
            missing.append(path)
    return missing
