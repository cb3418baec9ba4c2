"""What exported pictures are, in Markdown: the card that lies beside a data set."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from evofool.classifiers.base import short_name
from evofool.experiments.export.pictures import Pictures
from evofool.text import counted, inert, percent

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|&~$:@-])")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


def card(pictures: Pictures, files: str = "") -> str:
    """The card: what the pictures are, victim, digests, command, licence, figures of the run.

    Args:
        pictures: of the run.
        files: what lies beside the card, in Markdown; empty: nothing.
    """
    manifest, evolved = pictures.manifest, pictures.run.kind == "evolve"
    victim = manifest["classifier"]
    title = f"{'Evolved' if evolved else 'Attacked'} pictures for {short_name(victim['name'])}"
    front = {
        "pretty_name": inert(title),
        "tags": ["adversarial", "fooling-images" if evolved else "adversarial-examples", "evofool"],
        "task_categories": ["image-classification"],
        "size_categories": [_size(len(pictures.rows))],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---",
        f"# {escaped(title)}",
        _what(pictures),
        *([files] if files else []),
        "## Victim and run",
        table(("", ""), _origin(pictures)),
        "## Figures of the run",
        *(_of_evolution(pictures) if evolved else _of_attacks(pictures)),
        "## Made again",
        _command(manifest),
        "## Licence",
        _licence(evolved),
    ]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """`text` as Markdown that shows it as it is, on one line: no link, no markup, no HTML."""
    return _MARKUP.sub(r"\\\1", inert(text))


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _what(pictures: Pictures) -> str:
    shape = " x ".join(map(str, pictures.rows[0].pixels.shape))
    n = counted(len(pictures.rows), "picture")
    if pictures.run.kind == "evolve":
        return (
            f"{n} of {shape} (channels, height, width), 8 bits, evolved with evofool so that one"
            " image classifier, the victim, is confident that each shows a certain class. A"
            " person sees nothing of that class in them. `class_index` and `label` are the"
            " class that a picture was evolved for; `confidence` is the victim's confidence in"
            " that class."
        )
    return (
        f"{n} of {shape} (channels, height, width), 8 bits, changed with evofool so that one"
        " image classifier, the victim, errs. `source` and `source_label` are the class before"
        " the attack, `predicted` and `confidence` the victim's answer to the saved picture,"
        " and `success_png` says whether that picture fools. Pictures that do not fool are"
        " included."
    )


def _origin(pictures: Pictures) -> list[tuple[str, str]]:
    manifest = pictures.manifest
    victim = manifest["classifier"]
    rows = [
        ("victim", escaped(victim["name"])),
        ("its sha256", escaped(victim["digest"])),
        ("its classes", f"{len(pictures.classes):,}"),
    ]
    if pictures.run.kind == "evolve":
        rows.append(("encoding", escaped(manifest["encoding"]["name"])))
    rows += [("run", escaped(manifest["run_id"])), ("seed", str(manifest["seed"]))]
    digest = pictures.run.summary.get("archive_digest")
    if digest:
        rows.append(("archive digest", escaped(str(digest))))
    versions = manifest.get("versions")
    if isinstance(versions, Mapping):
        named = ", ".join(f"{name} {version}" for name, version in versions.items())
        rows.append(("versions", escaped(named)))
    return rows


def _of_evolution(pictures: Pictures) -> list[str]:
    facts = [picture.facts for picture in pictures.rows]
    confidences = [each["confidence"] for each in facts]
    won = sum(each["won"] for each in facts)
    rows = [
        ("classes with a picture", f"{len(facts):,} of {len(pictures.classes):,}"),
        ("of these the victim's first answer", f"{won:,}"),
        ("median confidence", percent(statistics.median(confidences))),
        ("smallest", percent(min(confidences))),
        ("largest", percent(max(confidences))),
        *(
            (f"at {level:g} or above", f"{sum(each >= level for each in confidences):,}")
            for level in (0.5, 0.9, 0.99)
        ),
        *_costs(pictures.run.summary, ("evaluations", "generations", "forward_images")),
    ]
    return [table(("figure", "value"), rows), *_unfinished(pictures)]


def _of_attacks(pictures: Pictures) -> list[str]:
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for picture in pictures.rows:
        groups.setdefault(picture.facts["attack_index"], []).append(picture.facts)
    rows = []
    for group in groups.values():
        fooled = sum(each["success_png"] for each in group)
        rows.append(
            (
                escaped(group[0]["attack"]),
                escaped(group[0]["parameters"]),
                f"{len(group):,}",
                f"{fooled:,}",
                f"{statistics.median(each['l2'] for each in group):.4g}",
                f"{statistics.median(each['linf'] for each in group):.4g}",
            )
        )
    heading = ("attack", "parameters of its first picture", "pictures", "fooling", "median l2",
               "median linf")  # fmt: skip
    summary = pictures.run.summary
    costs = _costs(summary, ("queries", "forward_images", "backward_images"))
    parts = [table(heading, rows)]
    if costs:
        parts.append(table(("cost", "value"), costs))
    return [*parts, *_unfinished(pictures)]


def _costs(summary: Mapping[str, Any], keys: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (key.replace("_", " "), f"{summary[key]:,}")
        for key in keys
        if isinstance(summary.get(key), int)
    ]


def _unfinished(pictures: Pictures) -> list[str]:
    if pictures.run.summary.get("status") == "finished":
        return []
    return ["The run has not ended: these are its pictures so far."]


def _command(manifest: Mapping[str, Any]) -> str:
    command = inert(str(manifest.get("command") or ""))
    if not command.startswith("evofool "):  # a run from Python, or a text that may be anything
        return (
            "The run was made from Python; its `config.yaml` makes it again:"
            " `evofool run config.yaml`."
        )
    return f"With the same config and the versions above:\n\n```\n{command}\n```"


def _licence(evolved: bool) -> str:
    if evolved:
        return (
            "Evolution starts from random genomes, and no photograph went into these pictures;"
            " only the victim's answers did. evofool's licence, MIT, covers its code and says"
            " nothing about the pictures. If you publish them, choose a licence, and check"
            " whether the victim's licence says anything about its outputs."
        )
    return (
        "Each picture is a changed copy of the picture that was attacked, so the licence of its"
        " data set applies too. (Natural pictures of ImageNet, for example, may not be passed"
        " on; random pictures belong to nobody.) `picture` says where each one comes from."
        " evofool's licence, MIT, covers its code and says nothing about the pictures."
    )


def _size(n: int) -> str:
    return next((name for limit, name in _SIZES if n < limit), "100K<n<1M")
