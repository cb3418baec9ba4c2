"""The page of a run: one HTML file without scripts that works from a disk.

Labels, facts and commands come from a run folder and may be hostile: jinja2 escapes all of them, a
Content-Security-Policy allows this page's own style sheet (by hash) and local pictures only, and
bidirectional marks are isolated.
"""

from __future__ import annotations

import base64
import hashlib
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from evofool.text import bare, percent, printable

THRESHOLDS = (0.5, 0.9, 0.99, 0.999, 0.9999)
"""Where the share of cells is reported."""
GROUPS = ((0.99, "sure"), (0.9, "confident"), (0.5, "likely"), (0.0, "doubtful"))
"""Lowest confidence and name of the sections of the grid."""
STEPS = 5
"""Colours of the confidence scale; lightness alone tells them apart."""

_TEMPLATES = Path(__file__).parent / "templates"
_PNG = re.compile(r"(\.\./)*[\w-][\w.-]*(/[\w-][\w.-]*)*\.png")


@dataclass(frozen=True)
class Elite:
    """The best image of one class.

    Attributes:
        class_index: of the class.
        label: of the class, from the victim.
        confidence: for the class, on [0, 1].
        generation: in which it was made.
        png: the picture's path relative to the page, with slashes.
        won: whether its class is also the victim's first answer.
    """

    class_index: int
    label: str
    confidence: float
    generation: int
    png: str
    won: bool

    def __post_init__(self) -> None:
        if not 0.0 <= self.confidence <= 1.0:  # a NaN fails both
            raise ValueError(f"a confidence lies on [0, 1], not {self.confidence}")
        if not _PNG.fullmatch(self.png):  # no scheme, no host, nothing absolute
            raise ValueError(f"a picture is a relative path to a .png, not {self.png!r}")


@dataclass(frozen=True)
class GalleryRun:
    """What a page shows of a run.

    Attributes:
        title: of the page.
        facts: name to text, in order (victim, encoding, algorithm, evaluations, seed...).
        elites: in any order.
        command: what reproduces the run.
        size: height and width of the pictures.
    """

    title: str
    elites: Sequence[Elite]
    facts: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    size: tuple[int, int] = (224, 224)


@dataclass(frozen=True)
class _Group:
    low: float
    name: str
    elites: tuple[Elite, ...]


def page(run: GalleryRun) -> str:
    """The page as HTML text, complete in itself but for the pictures it points to."""
    css = (_TEMPLATES / "gallery.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self' file:;"
        " base-uri 'none'; form-action 'none'"
    )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, printable=printable, bare=bare, step=_step)
    ranked = sorted(run.elites, key=lambda elite: (-elite.confidence, elite.class_index))
    confidences = [elite.confidence for elite in ranked]
    return environment.get_template("gallery.html").render(
        run=run,
        css=css,
        policy=policy,
        groups=_groups(ranked),
        count=len(ranked),
        won=sum(elite.won for elite in ranked),
        median=statistics.median(confidences) if confidences else None,
        shares=[
            (level, sum(value >= level for value in confidences) / len(ranked))
            for level in THRESHOLDS
            if ranked
        ],
        curve=_curve(confidences),
        small=max(run.size) < 96,
    )


def _groups(ranked: Sequence[Elite]) -> list[_Group]:
    groups = []
    high = float("inf")
    for low, name in GROUPS:
        inside = tuple(elite for elite in ranked if low <= elite.confidence < high)
        if inside:
            groups.append(_Group(low, name, inside))
        high = low
    return groups


def _step(confidence: float) -> int:
    return min(STEPS - 1, int(confidence * STEPS))


def _curve(confidences: Sequence[float], width: int = 1000, height: int = 100) -> str:
    """The ranked confidences as an SVG path, a stair of one step a class."""
    if not confidences:
        return ""
    wide = width / len(confidences)
    steps = [
        f"V{height * (1 - value):.2f}H{wide * (index + 1):.2f}"
        for index, value in enumerate(confidences)
    ]
    return f"M0 {height}{''.join(steps)}V{height}Z"
