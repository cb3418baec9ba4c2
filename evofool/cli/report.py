"""What commands print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.cli.terminal import answer
from evofool.errors import UsageError
from evofool.text import bare, percent, rate, sent_line

if TYPE_CHECKING:
    from evofool.evolution.reading import Reading
    from evofool.experiments.bench import Report
    from evofool.store import Check


def spec(text: str) -> str | dict[str, Any]:
    """A victim given on the command line: a name, or a mapping ``{name: ..., crops: 10}``."""
    if not text.lstrip().startswith("{"):
        return text
    from evofool.config import load_value

    value = load_value(text, "--classifier")
    if not isinstance(value, dict):
        raise UsageError("--classifier: is neither a name nor a mapping")
    return value


def transforms(text: str) -> dict[str, Any]:
    """Transforms given on the command line: a mapping in braces, or a config whose classifier has
    them.

    Raises:
        UsageError: neither.
        ConfigError: a file that cannot be read.
    """
    from evofool.config import load_value, load_yaml
    from evofool.config.loading import absolute_transforms

    if text.lstrip().startswith("{"):
        value = load_value(text, "--transforms")
    else:
        document = load_yaml(Path(text))
        for section in (("transforms",), ("classifier", "transforms")):
            document = absolute_transforms(document, section)
        data = document.data
        classifier = data.get("classifier", data)
        value = classifier.get("transforms") if isinstance(classifier, dict) else None
    if not isinstance(value, dict):
        raise UsageError(
            "--transforms: is neither a mapping such as '{rotation: 10}' nor a config whose"
            " classifier has transforms"
        )
    return value


def print_status(content: Mapping[str, Any]) -> None:
    """One fact a line."""
    for key, value in content.items():
        if key == "sent":
            shown = sent_line(value)
        elif isinstance(value, dict):
            shown = ", ".join(f"{k} {percent(v)}" for k, v in value.items())
        else:
            shown = "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
        if key == "seed":
            shown = str(value)
        answer(f"{key.replace('_', ' '):<16} {bare(shown)}")
    if content["status"] == "interrupted":
        answer(f"continue with: evofool resume {content['path']}")


def print_check(check: Check) -> None:
    """``ok``, ``FAILED`` or ``-``, and what was found."""
    mark = {True: "ok", False: "FAILED", None: "-"}[check.ok]
    answer(f"{mark:<7} {check.name}: {bare(check.detail)}")


def print_readings(readings: Sequence[Reading]) -> None:
    """Each picture with its claim, what the victim says of that now, and its top classes."""
    for reading in readings:
        answer(str(reading.path))
        claim = reading.claim
        if claim is not None:
            answer(
                f"  claims  {claim['confidence']:.6f}  {bare(claim['label'][:300])}"
                f" (class {claim['class_index']}, {bare(str(claim.get('classifier'))[:300])})"
            )
            if reading.sidecar:
                answer("          (as claimed in the provenance.json beside it)")
            provenance = [
                f"{name} {bare(str(claim[key])[:64])}"
                for key, name in (("run_id", "run"), ("seed", "seed"), ("generation", "generation"))
                if key in claim
            ]
            if provenance:
                answer(f"  from    {', '.join(provenance)}")
            elsewhere = (
                "" if reading.same_victim else ("  (not the classifier that it was made for)")
            )
            if reading.now is None:
                answer(f"  now     -         this classifier has no class of that name{elsewhere}")
            else:
                moved = reading.class_index != claim["class_index"]
                where = f"  (its class {reading.class_index})" if moved else ""
                answer(f"  now     {reading.now:.6f}{where}{elsewhere}")
        if (other := reading.held_back) is not None:
            n = other["transforms"]
            answer(
                f"  under {n} held-back transforms class {other['class_index']}"
                f" is the answer {rate(other['rate'], n)} of the time (95 % interval"
                f" {rate(other['low'], n)} to {rate(other['high'], n)})"
            )
        for index, label, confidence in reading.top:
            answer(f"  {confidence:.6f}  {bare(label)} (class {index})")


def _aside(text: str) -> str:
    return f"  ({text})" if text else ""


def print_bench(report: Report) -> None:
    """Rates, efficiency and the cost of a paper-size campaign."""
    machine = report.machine
    answer(f"{machine['processor']}, {machine['usable_cores']} usable cores")
    if machine["device"] != "cpu":
        answer(str(machine["device"]))
    for drawn in report.rendering:
        size = f"{drawn.side}x{drawn.side}x{drawn.channels}"
        answer(
            f"rendering {size:<12} {drawn.genomes_per_second:>10,.0f} genomes/s a thread"
            f" ({drawn.renderer}, {drawn.device})"
        )
    for row in report.scoring:
        answer(
            f"scoring   {row.classifier:<28} {row.engine:<12} {row.device:<7} batch {row.batch:<4}"
            f" {row.images_per_second:>9,.0f} images/s{_aside(row.way)}"
        )
    for run in report.campaign:
        low, high = run.spread
        answer(
            f"campaign  {run.classifier}, {run.engine}, batch {run.batch} (suggested), drawn by"
            f" {run.renderer}, on {run.device}"
        )
        answer(
            f"          {run.images_per_second:,.0f} images/s; bare scoring"
            f" {run.scoring_per_second:,.0f}/s"
        )
        answer(
            f"          efficiency {run.efficiency:.3f} ({low:.3f} to {high:.3f},"
            f" {run.alternations} alternations), ceiling without overlap {run.ceiling:.3f}"
        )
        answer(f"          slowest generation: {run.slowest:.2f} times the median")
        answer(
            f"          a campaign of the published size ({run.paper_images:,} images) would take"
            f" {run.paper_hours:,.1f} h"
        )
    for name, count in report.sent.items():
        answer(f"sent      {name}: {count:,} pictures")
