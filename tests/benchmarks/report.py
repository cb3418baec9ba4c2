"""A pytest-benchmark JSON file as Markdown: ratios, with machine, versions and command.

uv run --group bench python tests/benchmarks/report.py bench.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One benchmark: `seconds` for one `unit`, median over the rounds, and half their
    interquartile range over that as `spread`."""

    label: str
    role: str
    variant: str
    unit: str
    seconds: float
    spread: float
    rounds: int
    note: str
    figures: dict[str, str]


def read(data: dict[str, Any]) -> dict[str, list[Row]]:
    """Rows by group, in the order of the file; what these benchmarks did not make is left out."""
    groups: dict[str, list[Row]] = {}
    for entry in data["benchmarks"]:
        info, stats = entry["extra_info"], entry["stats"]
        if "role" not in info:
            continue
        seconds = info.get("seconds_per_unit", stats["median"] / info["units"])
        row = Row(
            info["label"],
            info["role"],
            info["variant"],
            info["unit"],
            seconds,
            stats["iqr"] / 2 / stats["median"] if stats["median"] else 0.0,
            stats["rounds"],
            info["note"],
            info.get("figures", {}),
        )
        groups.setdefault(info["group"], []).append(row)
    return groups


def report(data: dict[str, Any]) -> Iterator[str]:
    """The lines of the report."""
    yield from _machine(data)
    for name, rows in read(data).items():
        yield ""
        yield f"### {name}"
        yield ""
        if all(row.role == "figures" for row in rows):
            yield from _figures(rows)
        elif any(row.role == "reference" for row in rows):
            yield from _shares(rows)
        else:
            yield from _ratios(rows)


def _machine(data: dict[str, Any]) -> Iterator[str]:
    info = data.get("machine_info", {})
    cpu = info.get("cpu", {}).get("brand_raw", "unknown processor")
    cores = info.get("usable_cores", "?")
    yield f"Machine: {cpu}, {cores} usable cores, {info.get('system', '?')}."
    versions = ", ".join(f"{name} {v}" for name, v in info.get("versions", {}).items())
    yield f"Versions: Python {info.get('python_version', '?')}, {versions}."
    yield f"Command: `uv run --group bench {info.get('command', 'pytest tests/benchmarks -n 0')}`"
    commit = data.get("commit_info", {})
    when = str(data.get("datetime", ""))[:10]
    dirty = " with changes" if commit.get("dirty") else ""
    load = info.get("load_at_end") or [float("nan")]
    yield f"Taken on {when} of commit {str(commit.get('id', '?'))[:12]}{dirty}, load {load[0]:.1f}."
    if info.get("scale", "1") not in ("1", "1.0"):
        yield ""
        yield f"**A trial run at scale {info['scale']}: the figures mean nothing.**"


def _ratios(rows: Sequence[Row]) -> Iterator[str]:
    """Each row as a multiple of ours: of the same variant, or else the fastest."""
    ours = [row for row in rows if row.role == "ours"]
    yield from _head("", f"per {rows[0].unit}", "times evofool", "spread", "remarks")
    best = min(ours, key=lambda row: row.seconds, default=None)
    for row in rows:
        same = [other for other in ours if row.variant and other.variant == row.variant]
        base = same[0] if same else best
        ratio = (
            "" if base is None or row.role == "ours" else f"**{row.seconds / base.seconds:.3g}**"
        )
        yield _line(row.label, _time(row.seconds), ratio, f"{row.spread:.0%}", _remarks(row))
    rivals = [row for row in rows if row.role == "rival"]
    if best is not None and best.variant and rivals:
        rival = min(rivals, key=lambda row: row.seconds)
        ratio = f"{rival.seconds / best.seconds:.3g}"
        yield ""
        yield f"Best against best: {rival.label} takes {ratio} times as long as {best.label}."


def _shares(rows: Sequence[Row]) -> Iterator[str]:
    """Each row as a share of the reference."""
    reference = next(row for row in rows if row.role == "reference")
    yield from _head("", f"per {reference.unit}", f"of {reference.label}", "spread", "remarks")
    for row in rows:
        share = f"{row.seconds / reference.seconds:.2%}"
        yield _line(row.label, _time(row.seconds), share, f"{row.spread:.0%}", _remarks(row))


def _figures(rows: Sequence[Row]) -> Iterator[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    yield from _head("", *names)
    for row in rows:
        yield _line(row.label, *(row.figures.get(name, "") for name in names))
    for row in rows:
        yield ""
        yield f"{row.label}: {row.note}."


def _remarks(row: Row) -> str:
    figures = [f"{name}: {value}" for name, value in row.figures.items()]
    return "; ".join(part for part in (row.note, *figures) if part)


def _head(*names: str) -> Iterator[str]:
    yield _line(*names)
    yield "|" + "---|" * len(names)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _time(seconds: float) -> str:
    for factor, name in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {name}"
    return f"{seconds * 1e9:.3g} ns"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Ratios of a pytest-benchmark JSON as Markdown.")
    parser.add_argument("file", type=Path, help="written by --benchmark-json")
    data = json.loads(parser.parse_args().file.read_text(encoding="utf-8"))
    sys.stdout.write("\n".join(report(data)) + "\n")


if __name__ == "__main__":
    main()
