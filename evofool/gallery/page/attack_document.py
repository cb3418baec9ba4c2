"""Attacked images on a page: their part of its data, and the table of the attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evofool.attacks.result import NONE
from evofool.gallery.reading.attacked import COLUMNS, target_of
from evofool.gallery.reading.exhibits import Attacks, Collection, Exhibit
from evofool.report.tables import Rate, Table
from evofool.text import counted, printable

MAX_NAME, MAX_PARAMETERS, MAX_ORIGIN = 200, 2000, 300


def of_run(attacks: Attacks, shown: Sequence[Exhibit]) -> dict[str, Any]:
    """What the page knows of the attacks of a run whose `shown` exhibits it has.

    ``images`` has, by index: digest, where it comes from, its class, the victim's answer and its
    confidence.
    """
    used = {exhibit.result.image for exhibit in shown if exhibit.result is not None}
    return {
        "ways": [cut(variant.name, MAX_NAME) for variant in attacks.variants],
        "parameters": [cut(variant.parameters, MAX_PARAMETERS) for variant in attacks.variants],
        "images": {
            str(index): [
                clean.digest, cut(clean.row.source, MAX_ORIGIN), clean.row.label,
                clean.row.predicted, clean.row.confidence,
            ]
            for index, clean in attacks.images.items()
            if index in used
        },
        "own_labels": attacks.own_labels,
    }  # fmt: skip


def of_exhibit(exhibit: Exhibit) -> list[Any]:
    """Attack, image, target, complete, success as floats, eps, effective eps, L0, L2, L∞, SSIM,
    images forward, backward and for judging."""
    row = exhibit.result
    assert row is not None
    return [
        exhibit.attack, row.image, target_of(row), int(row.complete), int(row.success_float),
        _short(row.eps), _short(row.effective_eps), row.l0, _short(row.l2), _short(row.linf),
        _short(row.ssim), row.forward_images, row.backward_images, row.verify_forward_images,
    ]  # fmt: skip


def mentioned(collection: Collection, shown: Sequence[Exhibit]) -> set[int]:
    """Classes of the clean pictures and of the targets."""
    classes: set[int] = set()
    if collection.attacks is None:
        return classes
    for exhibit in shown:
        if exhibit.result is not None:
            clean, target = (
                collection.attacks.images[exhibit.result.image].row,
                exhibit.result.target,
            )
            classes |= {clean.label, clean.predicted, target}
    return classes - {NONE}


def headline(collection: Collection, shown: Sequence[Exhibit]) -> str:
    """A run of attacks in one sentence."""
    attacks, every = collection.attacks, collection.exhibits
    assert attacks is not None
    if not shown:
        return "Nothing has been attacked yet."
    fooled = sum(exhibit.won for exhibit in every)
    used = len({exhibit.attack for exhibit in every if exhibit.result is not None})
    verb = "fools" if fooled == 1 else "fool"
    sentence = (
        f"{fooled:,} of {counted(len(every), 'picture')} {verb}; {counted(used, 'attack')} on"
        f" {counted(len(attacks.images), 'image')}."
    )
    if len(shown) == len(every):
        return sentence
    return f"{sentence} {len(shown):,} {'is' if len(shown) == 1 else 'are'} shown."


def table(attacks: Attacks) -> tuple[Table, list[str]]:
    """A row an attack, and notes on them, for the foot of a page."""
    rows = [[cut(variant.name, MAX_NAME), *variant.row] for variant in attacks.variants]
    notes = [
        cut(f"{variant.name}: {note}", 600)
        for variant in attacks.variants
        for note in variant.notes
    ]
    of = len(attacks.images)
    columns = [replace(one, of=of) if isinstance(one, Rate) else one for one in COLUMNS]
    return Table(columns, rows, "Results of the attacks"), notes


def cells(collection: Collection, exhibit: Exhibit) -> Mapping[str, object]:
    """Of an attacked image, for the gallery's table; texts are not inert yet."""
    row, attacks = exhibit.result, collection.attacks
    assert row is not None
    assert attacks is not None
    clean, target = attacks.images[row.image].row, target_of(row)
    return {
        "attack": attacks.variants[exhibit.attack].name,
        "parameters": attacks.variants[exhibit.attack].parameters,
        "image": row.image,
        "origin": clean.source,
        "source_class": clean.label,
        "source_label": collection.labels[clean.label],
        "target_class": "" if target is None else target,
        "target_label": "" if target is None else collection.labels[target],
        "success": int(exhibit.won),
        "success_float": int(row.success_float),
        "complete": int(row.complete),
        "eps": "" if row.eps is None else row.eps,
        "effective_eps": "" if row.effective_eps is None else row.effective_eps,
        "l0": row.l0,
        "l2": row.l2,
        "linf": row.linf,
        "ssim": row.ssim,
        "forward_images": row.forward_images,
        "backward_images": row.backward_images,
    }


def cut(text: str, most: int) -> str:
    """`text` on one line, of at most `most` characters."""
    line = printable(text[: 4 * most])
    return line if len(line) <= most else line[: most - 1] + "…"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
