"""The data of a page: the pictures of each run and their facts, as compact JSON values.

Labels, commands and configs come from run folders and may be anyone's: they are cut to a length and
freed of control characters here, and stay text in the page (`evofool.gallery.page.html`).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evofool.gallery.drawing.graph import summary
from evofool.gallery.page import attack_document, families
from evofool.gallery.page.attack_document import cut as shortened
from evofool.gallery.page.naming import display_name
from evofool.gallery.reading.exhibits import Collection, Exhibit, Step
from evofool.gallery.reading.scores import VictimAnswers
from evofool.text import bare, counted, percent, printable

MAX_LABEL, MAX_TEXT, MAX_CONFIG = 300, 4000, 20_000
"""Longest label, command and config that a page shows, in characters."""
THRESHOLDS = (0.5, 0.9, 0.99, 0.999, 0.9999)
"""Where the share of cells is reported."""


@dataclass
class RunView:
    """What a page shows of one run: its pictures, and where their files lie.

    Attributes:
        collection: what is shown.
        shown: its exhibits, the surest first.
        paths: ``picture``, ``thumb``, ``graph``, ``stages``, ``strip``, ``film``, ``change``: files
            lie relative to the page, ``{}`` for the exhibit's stem; ``clean`` for the number of its
            image; without an entry there are none.
        answers: the victim's scores of these pictures, beyond those that the run stored.
        lines: steps that are shown of an exhibit's ancestry and the length of all of it, by key.
        graphs: keys of exhibits whose graph is drawn.
        stages: how an exhibit is put together, in words, by key.
        plots: name to (light, dark) file.
        files: name to file, for people who want to take something along.
    """

    collection: Collection
    shown: Sequence[Exhibit]
    paths: dict[str, str] = field(default_factory=dict)
    answers: VictimAnswers = field(default_factory=VictimAnswers)
    lines: dict[str, tuple[Sequence[Step], int]] = field(default_factory=dict)
    graphs: set[str] = field(default_factory=set)
    stages: dict[str, Sequence[str]] = field(default_factory=dict)
    plots: dict[str, tuple[str, str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    ancestry_note: str = ""
    chosen: bool = False
    """Whether only some classes were asked for, by name."""


@dataclass(frozen=True)
class Live:
    """What a page needs to know of the server that tells it news.

    Attributes:
        finished: address of the finished gallery, relative to the page; empty where there is none.
        place: file of the gallery on this machine; empty where others may look on.
    """

    finished: str = ""
    place: str = ""


def document(views: Sequence[RunView], *, live: Live | None = None) -> dict[str, Any]:
    """All that the page's script needs, as JSON values."""
    names: list[str] = []
    rows: list[list[Any]] = []
    runs = [_run(view) for view in views]
    for number, view in enumerate(views):
        of_class = families.families(view.collection.labels)
        for exhibit in view.shown:
            family = -1
            if of_class is not None and 0 <= exhibit.class_index < len(of_class):
                name = of_class[exhibit.class_index]
                if name not in names:
                    names.append(name)
                family = names.index(name)
            rows.append(_row(number, view, exhibit, family))
    order = {name: place for place, name in enumerate(families.NAMES)}
    ranked = sorted(range(len(names)), key=lambda k: order[names[k]])
    place = {old: new for new, old in enumerate(ranked)}
    for row in rows:
        row[6] = place.get(row[6], -1)
    return {
        "live": None if live is None else {"finished": live.finished, "place": cut(live.place)},
        "runs": runs,
        "families": [names[k] for k in ranked],
        "rows": rows,
    }


def _run(view: RunView) -> dict[str, Any]:
    c = view.collection
    attacks = (
        {} if c.attacks is None else {"attacks": attack_document.of_run(c.attacks, view.shown)}
    )
    return {
        "key": c.key,
        "name": cut(c.name),
        "kind": c.kind,
        "victim": cut(display_name(c.victim)),
        "encoding": cut(c.encoding),
        "algorithm": c.algorithm,
        "status": c.status,
        "seed": str(c.seed),
        "headline": headline(view),
        "size": list(c.size),
        "small": c.small,
        "classes": c.classes,
        "labels": {str(k): cut(c.labels[k]) for k in sorted(_mentioned(view))},
        "paths": view.paths,
        "note": view.answers.note,
        "ancestry": c.no_ancestry or view.ancestry_note,
        "facts": [[printable(k), cut(v)] for k, v in c.facts],
        "command": cut(c.command, MAX_TEXT),
        "config": _lines(c.config),
        "plots": {name: list(files) for name, files in view.plots.items()},
        "files": view.files,
        **attacks,
    }


def _mentioned(view: RunView) -> set[int]:
    """Every class whose label the page has to know."""
    classes = {exhibit.class_index for exhibit in view.shown}
    for rows in view.answers.top.values():
        classes |= {c for c, _ in rows}
    for steps, _ in view.lines.values():
        classes |= {step.class_index for step in steps}
    classes |= attack_document.mentioned(view.collection, view.shown)
    return {c for c in classes if 0 <= c < len(view.collection.labels)}


def _row(number: int, view: RunView, exhibit: Exhibit, family: int) -> list[Any]:
    """Run, key, class, confidence, won, generation, family, genome size, individual, detail."""
    detail: dict[str, Any] = {}
    described = view.collection.source.describe(exhibit)
    if described:
        detail["genome"] = summary(described)
    if exhibit.result is not None:
        detail["hit"] = attack_document.of_exhibit(exhibit)
    if exhibit.key in view.graphs:
        detail["graph"] = 1
    if exhibit.key in view.stages:
        detail["stages"] = [bare(words[:200]) for words in view.stages[exhibit.key]]
    top = view.answers.top.get(exhibit.individual)
    if top:
        detail["top"] = [[c, short(p)] for c, p in top]
    if exhibit.key in view.lines:
        steps, length = view.lines[exhibit.key]
        detail["line"] = [
            [
                step.id.generation,
                step.class_index,
                None if step.confidence is None else short(step.confidence),
                _then(view.answers, step, exhibit),
            ]
            for step in steps
        ]
        detail["steps"] = length - 1
    return [
        number,
        exhibit.key,
        exhibit.class_index,
        exhibit.confidence,
        int(exhibit.won),
        exhibit.generation,
        family,
        exhibit.size,
        exhibit.individual,
        detail,
    ]


def _then(answers: VictimAnswers, step: Step, exhibit: Exhibit) -> float | None:
    p = answers.then.get(f"{step.id}/{exhibit.class_index}")
    return None if p is None else short(p)


def headline(view: RunView) -> str:
    """The run in one sentence."""
    if view.collection.attacks is not None:
        return attack_document.headline(view.collection, view.shown)
    c, confidences = view.collection, [exhibit.confidence or 0.0 for exhibit in view.shown]
    if not confidences:
        return "No picture yet."
    won = sum(exhibit.won for exhibit in view.shown)
    cells = counted(c.classes, "class", "classes")
    if len(confidences) < c.classes:
        surest = "surest" if len(confidences) == 1 else f"{len(confidences):,} surest"
        which = f"{len(confidences):,} chosen" if view.chosen else f"The {surest}"
        return (
            f"{which} of {cells}, {won:,} fooled; best {percent(max(confidences))}, least"
            f" {percent(min(confidences))}."
        )
    return (
        f"{won:,} of {cells} fooled; median confidence"
        f" {percent(statistics.median(confidences))}, best {percent(max(confidences))}."
    )


def short(p: float) -> float:
    """A confidence in few digits, never rounded up to a threshold that it does not reach."""
    return p if p > 0.5 else float(f"{p:.4g}")


def cut(text: str, most: int = MAX_LABEL) -> str:
    """`text` on one line, of at most `most` characters."""
    return shortened(text, most)


def _lines(text: str) -> str:
    kept = "\n".join(printable_line(line) for line in text[:MAX_CONFIG].splitlines())
    return kept + ("\n…" if len(text) > MAX_CONFIG else "")


def printable_line(line: str) -> str:
    """A line without control characters, its indentation kept."""
    body = line.lstrip(" ")
    return " " * (len(line) - len(body)) + printable(body)


def table(views: Sequence[RunView]) -> list[Mapping[str, object]]:
    """The rows of the gallery's ``elites.csv``.

    Those of campaigns and of attacks have columns of their own.
    """
    rows: list[Mapping[str, object]] = []
    for view in views:
        c = view.collection
        for exhibit in view.shown:
            row: dict[str, object] = {
                "run": c.key,
                "class_index": exhibit.class_index,
                "label": exhibit.label,
                "confidence": "" if exhibit.confidence is None else repr(exhibit.confidence),
            }
            if exhibit.result is None:
                row |= {
                    "top_1": int(exhibit.won),
                    "generation": "" if exhibit.generation is None else exhibit.generation,
                    "individual": exhibit.individual,
                    "encoding": c.encoding,
                    "genome_size": exhibit.size,
                    "genome_unit": exhibit.unit,
                }
            else:
                row |= attack_document.cells(c, exhibit)
            row |= {
                "classifier": c.victim,
                "classifier_digest": c.digest,
                "run_id": c.run_id,
                "seed": c.seed,
                "picture": view.paths.get("picture", "").format(exhibit.stem),
            }
            rows.append(row)
    return rows
