"""``evofool drive``: signs from pictures and runs, driven by, and what that leaves in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evofool.classifiers import Classifier, load_classifier
from evofool.config import find_class, typed_classes
from evofool.encodings import AnySizeEncoding
from evofool.errors import DamagedError, FolderError, StoreError, UsageError
from evofool.evolution.reading import (
    claim_beside,
    class_claimed,
    keeping_answers,
    victim_claimed,
)
from evofool.evolution.restoring import open_elites
from evofool.experiments.results import AttackRun, EvolveRun, open_run
from evofool.files import PathError, expanded, is_folder, reason
from evofool.scoring import Scorer
from evofool.signs import shown
from evofool.signs.drive import Aim, Drive, drive
from evofool.signs.footage import Approach, Footage
from evofool.signs.plates import Sign, make_sign, read_sign
from evofool.store import CampaignFolder, Folder, write_atomically
from evofool.store.files import json_bytes

PRINTED = 512
"""Pixels of a sign that is drawn anew from its genome, where its encoding draws at any size."""


@dataclass(frozen=True)
class Driven:
    """Where a drive lies, and what it came to.

    Attributes:
        folder: with ``results.csv``, ``summary.json``, ``strip.png`` and the film, if asked for.
        summary: the content of ``summary.json``.
        drives: one a sign.
        film: where the film is, None without.
        note: which kind of film was written in place of a WebM, and why; "" where none was.
    """

    folder: Path
    summary: Mapping[str, Any]
    drives: tuple[Drive, ...] = field(repr=False)
    film: Path | None = None
    note: str = ""


@dataclass(frozen=True)
class Claimed:
    """A sign and what it claims to be.

    Attributes:
        sign: to be driven by.
        claim: ``class_index`` and ``label`` of what it is to be taken for, and
            ``classifier`` and ``classifier_digest`` of the victim; None without any.
        true: the same of what it shows, None where nobody knows.
    """

    sign: Sign
    claim: Mapping[str, Any] | None
    true: Mapping[str, Any] | None = None


def drive_by(
    paths: Sequence[Path | str | os.PathLike[str]],
    out: Path | str | os.PathLike[str],
    *,
    classifier: str | Mapping[str, Any] | Classifier | None = None,
    target: str | None = None,
    true: str | None = None,
    approach: Approach | None = None,
    shape: str = "auto",
    film: bool = False,
    stills: int = 6,
    say: Callable[[str], None] | None = None,
) -> Driven:
    """Put signs into drawn streets, drive by, and ask a victim in every frame.

    >>> driven = drive_by(["runs/signs"], "drive", approach=Approach(frames=100))
    >>> driven.summary["rate"]

    Args:
        paths: pictures; or one run folder of evolve or attack, whose pictures are the signs.
        out: a new or empty folder.
        classifier: the victim; None: the one that ships with evofool and that the signs claim.
        target: the class that the signs are to be taken for; of a run, only those signs that were
            made for it (a range or a pattern may name several). By default what each sign claims.
        true: what the signs really show: without a target, whatever else is read fools.
        approach: how they are driven by.
        shape: that they are cut to, one of `evofool.signs.plates.SHAPES`; ``auto``: what the
            transparency of a picture says, else a square.
        film: whether an annotated film of the sign that fools most is made.
        stills: columns of the strip.
        say: called with one line a sign.

    Raises:
        UsageError: no sign, no victim, no such class, or a sign that cannot be seen whole.
        ImageError: a file is not a picture.
        FolderError, StoreError: `out` holds something, or cannot be written; a run is damaged.
        ScoringError: the victim failed.
    """
    place = free_place(out)
    claimed = list(_signs([Path(path) for path in paths], shape, target))
    victim = victim_of(classifier, [each.claim or each.true for each in claimed])
    chosen = None if is_folder(Path(paths[0])) else target  # of a run it has chosen among claims
    aims = [_aim(each, victim, chosen, true) for each in claimed]
    how = approach or Approach()
    footages = [Footage(each.sign, how, number) for number, each in enumerate(claimed)]
    for footage in footages:
        footage.check()
    drives = []
    with Scorer(victim) as scorer, keeping_answers(scorer):
        for footage, aim in zip(footages, aims, strict=True):
            drives.append(drive(scorer, footage, aim))
            if say is not None:
                say(line_of(drives[-1], victim))
        summary = shown.summary(drives, scorer)
    files = {"strip.png": shown.strip(most_fooling(drives)[:4], victim, stills)}
    note, name = "", None
    if film:
        made = shown.video(most_fooling(drives)[0], victim)
        note, name = made.note, f"drive.{made.form}"
        files[name] = made.data
    files["results.csv"] = shown.table(drives, victim)
    files["summary.json"] = json_bytes(summary)  # last: a folder that has it is whole
    write_all(place, files)
    return Driven(place, summary, tuple(drives), place / name if name else None, note)


def line_of(one: Drive, victim: Classifier) -> str:
    """What a sign came to, for people."""
    wanted = one.aim.target if one.aim.target is not None else one.aim.true
    assert wanted is not None
    what = "as" if one.aim.target is not None else "not as"
    return (
        f"{one.footage.sign.name}: read {what} {victim.labels[wanted]} in {one.fooled} of"
        f" {len(one.sights)} frames"
    )


def most_fooling(drives: Sequence[Drive]) -> list[Drive]:
    """Those that fool in most frames first; of equals the first."""
    return sorted(drives, key=lambda one: -one.fooled)


def _signs(paths: Sequence[Path], shape: str, target: str | None) -> Iterator[Claimed]:
    folders = [path for path in paths if is_folder(path)]
    if folders and len(paths) > 1:
        raise UsageError(
            f"{folders[0]}: give one run folder or pictures, not both and not several folders"
        )
    if not paths:
        raise UsageError("there is no sign: name pictures, or a run folder")
    if not folders:
        for path in paths:
            claim, _ = claim_beside(path)
            yield Claimed(read_sign(path, shape), claim)
        return
    run = open_run(folders[0])
    cut = "square" if shape == "auto" else shape
    found = 0
    if isinstance(run, EvolveRun):
        signs = _evolved(run, cut, target)
    elif isinstance(run, AttackRun):
        signs = _attacked(run, cut, target)
    else:
        raise UsageError(
            f"{run.path}: a run of kind {run.kind} has no pictures of its own; runs of evolve and"
            " attack have"
        )
    for found, each in enumerate(signs, 1):  # noqa: B007
        yield each
    if not found:
        which = "" if target is None else f" for {target}"
        raise UsageError(f"{run.path}: has no picture that fools its victim{which}")


def _evolved(run: EvolveRun, shape: str, target: str | None) -> Iterator[Claimed]:
    """The elites, drawn anew as they would be printed where their encoding can."""
    with CampaignFolder.open(run.path) as folder, folder.snapshot():
        stored, victim = open_elites(folder), folder.manifest["classifier"]
        wanted = _typed(target, stored.labels)
        encoding = stored.encoding
        grows = isinstance(encoding, AnySizeEncoding) and encoding.any_size
        height, width = victim["input_shape"][1:]
        longest = max(height, width, PRINTED)
        size = (round(height * longest / max(height, width)),
                round(width * longest / max(height, width)))  # fmt: skip
        for k in np.flatnonzero(stored.archive.filled).tolist():
            c, holder = int(stored.archive.cells[k]), stored.archive.holders[k]
            if holder is None or (wanted is not None and c not in wanted):
                continue
            if grows:
                picture = encoding.render([holder.genome], size)[0]
            else:
                picture = stored.render([holder])[0]
            yield Claimed(make_sign(picture, shape, f"{c:04d}"), _claim(c, stored.labels, victim))


def _attacked(run: AttackRun, shape: str, target: str | None) -> Iterator[Claimed]:
    """The pictures that fool as they are saved."""
    with Folder.open(run.path) as folder:
        victim = folder.manifest["classifier"]
    labels = tuple(victim["labels"])
    wanted = _typed(target, labels)
    for record in run.results():
        if not record.success_png or (wanted is not None and record.target not in wanted):
            continue
        for c in (record.source, record.target):
            if c is not None and not 0 <= c < len(labels):
                raise DamagedError(f"{run.path}: damaged: class {c}")
        sign = make_sign(run.picture(record), shape, Path(record.png).stem)
        claim = None if record.target is None else _claim(record.target, labels, victim)
        yield Claimed(sign, claim, _claim(record.source, labels, victim))


def _claim(index: int, labels: Sequence[str], victim: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "class_index": index,
        "label": labels[index],
        "classifier": victim["name"],
        "classifier_digest": victim["digest"],
    }


def _typed(target: str | None, labels: Sequence[str]) -> list[int] | None:
    if target is None:
        return None
    try:
        return typed_classes(target, labels)
    except LookupError as error:
        raise UsageError(f"--target {target}: {error}") from None


def victim_of(
    classifier: str | Mapping[str, Any] | Classifier | None,
    claims: Sequence[Mapping[str, Any] | None],
) -> Classifier:
    """The victim that was named, else the shipped one that all claims are about.

    Raises:
        UsageError: neither is there.
        ClassifierError: it cannot be had.
    """
    if isinstance(classifier, Classifier):
        return classifier
    return load_classifier(victim_claimed(claims) if classifier is None else classifier)


def _aim(each: Claimed, victim: Classifier, target: str | None, true: str | None) -> Aim:
    """What a sign is to be taken for: as asked for, else as it claims."""
    shows = aim_of(true, victim, "--true")
    if shows is None and each.true is not None:
        shows = known_class(each.true, victim)
    aimed = None
    if target is not None:
        aimed = aim_of(target, victim, "--target")
    elif each.claim is not None and true is None:
        aimed = known_class(each.claim, victim)
        if aimed is None:
            raise UsageError(
                f"{each.sign.name}: {victim.name} has no class"
                f" {str(each.claim['label'])[:80]!r}; name one with --target"
            )
    if aimed is None and shows is None:
        raise UsageError(
            f"{each.sign.name}: what should it be read as? Name the class (--target), or what it"
            " really shows (--true): then any other answer counts"
        )
    return Aim(aimed, shows)


def known_class(claim: Mapping[str, Any], victim: Classifier) -> int | None:
    """The class of a victim that a claim is about; None: it has no such class."""
    return class_claimed(claim, victim, victim.is_known_as(str(claim.get("classifier_digest"))))


def aim_of(text: str | None, victim: Classifier, option: str) -> int | None:
    """The class that is named on the command line, None where none is.

    Raises:
        UsageError: there is no such class.
    """
    if text is None:
        return None
    plain = text.isascii() and text.isdigit() and text not in victim.labels
    try:
        return find_class(int(text[:9]) if plain else text, victim.labels)
    except LookupError as error:
        raise UsageError(f"{option} {text[:80]}: {error}") from None


def free_place(out: Path | str | os.PathLike[str]) -> Path:
    """A folder that is not there yet, or is empty.

    Raises:
        UsageError, FolderError: it can be none, or holds something.
    """
    try:
        place = expanded(Path(out))
    except PathError as error:
        raise UsageError(f"--out {out}: {error}") from error
    try:
        taken = any(place.iterdir()) if place.is_dir() else os.path.lexists(place)
    except OSError as error:
        raise FolderError(f"{place}: cannot be used ({reason(error)})") from error
    if taken:
        raise FolderError(f"{place}: is not empty; give another --out, or remove it")
    return place


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, in their order; raises `StoreError` where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({reason(error)})") from error
    for name, data in files.items():
        write_atomically(folder / name, data)
