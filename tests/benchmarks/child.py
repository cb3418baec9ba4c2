"""One campaign in a process of its own, which then says what it took.

python child.py CONFIG OUT [KEY=VALUE ...]
"""

from __future__ import annotations

import json
import re
import resource
import sqlite3
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

import evofool
from evofool.evolution.campaign import Progress


def peak_bytes() -> int:
    """Largest resident set of this process.

    Where the kernel tells it for this program alone, that is taken: ``ru_maxrss`` on Linux counts
    what the process held before ``exec``, which is the size of the parent.
    """
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run(config: str, out: Path, overrides: list[str]) -> dict[str, float]:
    """Run it; seconds are those of a generation from the second bred one on."""
    ends: list[float] = []

    def note(_: Progress) -> None:
        ends.append(time.perf_counter())

    summary = evofool.evolve(config, out, overrides=overrides, progress=note).summary
    peak = peak_bytes()
    generations = np.diff(ends)[1:].tolist() or [float("nan")]
    with sqlite3.connect(out / "run.sqlite") as database:
        (held,) = database.execute(
            "SELECT COUNT(*) FROM individuals WHERE genome IS NOT NULL"
        ).fetchone()
    return {
        "peak_bytes": peak,
        "evaluations": summary["evaluations"],
        "generations": summary["generations"],
        "cells": summary["cells"],
        "distinct_elites": held,
        "median_generation": median(generations),
        "p99_generation": float(np.percentile(generations, 99)),
        "slowest_generation": max(generations),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])) + "\n")
