"""``evofool list``: what can be named in a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evofool.cli.terminal import answer
from evofool.errors import EvofoolError, UsageError
from evofool.kinds import every

Row = Mapping[str, Any]


def classifiers() -> list[Row]:
    """Bundled victims and architectures, then the forms in which others are named."""
    from evofool.classifiers import forms, inspect_classifier, names

    rows: list[Row] = []
    for name in names():
        try:
            inspection = inspect_classifier(name)
        except EvofoolError as error:  # an architecture, which wants weights
            rows.append(
                {"name": name, "input": None, "classes": None, "ready": False, "note": str(error)}
            )
            continue
        rows.append(
            {
                "name": name,
                "input": None if inspection.input_shape is None else list(inspection.input_shape),
                "classes": inspection.n_classes,
                "ready": inspection.ready,
                "note": inspection.missing or inspection.about,
            }
        )
    for form, about in forms():
        rows.append({"name": form, "input": None, "classes": None, "ready": None, "note": about})
    return rows


def classes(victim: str | Mapping[str, Any], chosen: Sequence[str]) -> list[Row]:
    """The classes of a victim, all or some, by index.

    Raises:
        UsageError: the victim cannot be had, or has no such classes.
    """
    from evofool.classifiers import load_classifier
    from evofool.config import typed_classes

    labels = load_classifier(victim).labels
    try:
        indices = {index for text in chosen for index in typed_classes(text, labels)}
    except LookupError as error:
        raise UsageError(str(error)) from None
    shown = sorted(indices) if chosen else range(len(labels))
    return [{"class_index": index, "label": labels[index]} for index in shown]


def encodings() -> list[Row]:
    """Encodings shipped and from entry points, with the first line of what they say."""
    from evofool.encodings import find, names

    rows: list[Row] = []
    for name in names():
        try:
            about = (find(name).factory.__doc__ or "").strip().split("\n", 1)[0]
        except EvofoolError as error:  # of an installed package that is broken
            about = str(error)
        rows.append({"name": name, "note": about})
    return rows


def attacks() -> list[Row]:
    """Our attacks, those of installed packages, then those of an installed foolbox."""
    from evofool.attacks.registry import describe, names

    rows: list[Row] = []
    for name in names():
        try:
            rows.append(describe(name).to_json())
        except EvofoolError as error:  # of an installed package that is broken
            empty: Row = {"needs": "not usable", "aim": "", "paper": "", "parameters": {}}
            rows.append({"name": name, **empty, "about": str(error)})
    return rows


def defenses() -> list[Row]:
    """What ``evofool defend`` can judge, defenses of installed packages last."""
    from evofool.defenses.registry import describe, names

    rows: list[Row] = []
    for name in names():
        try:
            rows.append(describe(name).to_json())
        except EvofoolError as error:  # of an installed package that is broken
            empty: Row = {"kind": "not usable", "paper": "", "parameters": {}}
            rows.append({"name": name, **empty, "about": str(error)})
    return rows


def configs() -> list[Row]:
    """Shipped configs with their first comment."""
    from evofool.config import shipped

    return [{"name": c.name, "kind": c.kind, "note": c.description} for c in shipped()]


def kinds_of_run() -> list[Row]:
    """The kinds of config and run, with the command of each."""
    return [
        {"name": k.name, "command": f"evofool {k.made_by or k.command}", "note": k.about}
        for k in every()
    ]


def datasets() -> list[Row]:
    """Data sets, and whether they are on this machine."""
    from evofool.data import inspect_dataset, names

    rows: list[Row] = []
    for name in names():
        inspection = inspect_dataset(name)
        rows.append({"name": name, "ready": inspection.present, "note": inspection.missing})
    return rows


def claims() -> list[Row]:
    """Claims of the literature that ``evofool reproduce`` puts to the test."""
    from evofool.experiments.reproduce.registry import BY_NAME

    return [
        {
            "name": c.name,
            "source": c.source,
            "published": c.published.text,
            "minutes": f"{c.minutes:g}",
            "note": c.statement,
        }
        for c in BY_NAME.values()
    ]


LISTS: Mapping[str, Callable[[], list[Row]]] = {
    "classifiers": classifiers,
    "encodings": encodings,
    "attacks": attacks,
    "defenses": defenses,
    "configs": configs,
    "datasets": datasets,
    "kinds": kinds_of_run,
    "claims": claims,
}


def print_list(what: str, rows: Sequence[Row]) -> None:
    """A table; attacks and defenses, which have much to say, in a paragraph each."""
    if what not in ("attacks", "defenses"):
        print_rows(rows)
        return
    for row in rows:
        about = f"{row['needs']}, {row['aim']}" if what == "attacks" else row["kind"]
        paper = f", {row['paper']}" if row["paper"] else ""
        answer(f"{row['name']}  ({about}{paper})")
        for line in (row["about"], _text(row["parameters"])):
            answer(f"    {line}" if line else "")


def print_rows(rows: Sequence[Row]) -> None:
    """Columns as wide as they need to be; empty ones left out."""
    keys = [key for key in rows[0] if any(row[key] not in (None, "") for row in rows)]
    cells = [[_text(row[key]) for key in keys] for row in rows]
    widths = [max(len(line[i]) for line in [keys, *cells]) for i in range(len(keys))]
    for line in [keys, *cells]:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        answer(text.rstrip())


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return " ".join(f"{key}={_text(inner) or 'none'}" for key, inner in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "x".join(str(part) for part in value)
    return str(value)
