"""A long campaign on MNIST: whether memory and the time of a generation stay as they are.

    uv run python tests/benchmarks/soak.py --evaluations 1000000

For each encoding, in a process of its own: slopes of memory (resident set) and of the CPU time of a
generation over the evaluations, fitted by least squares to what is measured in a hundred stretches,
the first tenth left out, with intervals of 95 %; and what the run folder then holds an elite.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

STRETCHES = 100
WARM = 0.1
"""Share that is left out: caches fill, kernels are compiled."""
A_SLOPE = 100_000
"""Evaluations that a slope is told for."""
CHILDREN = 200


def _resident() -> float:
    """MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _soak(encoding: str, evaluations: int, folder: str, sender: Any) -> None:
    from evofool.evolution.campaign import Progress, evolve

    every = max(1, evaluations // CHILDREN // STRETCHES)
    points: list[tuple[float, float, float]] = []
    last = [0, time.process_time()]

    def look(progress: Progress) -> None:
        if progress.generation % every or progress.generation == last[0]:
            return
        now = time.process_time()
        a_generation = (now - last[1]) / (progress.generation - last[0])
        points.append((progress.evaluations, _resident(), 1000 * a_generation))
        last[:] = [progress.generation, now]

    config = {
        "classifier": "mnist-lenet",
        "encoding": encoding,
        "evolution": {"initial": CHILDREN, "children": CHILDREN},
        "stop": {"evaluations": evaluations},
        "scoring": {"workers": 1},
        "seed": 1,
    }
    began = time.perf_counter()
    evolve(config, folder, progress=look)
    sender.send((points, time.perf_counter() - began, _stored(Path(folder))))


def _stored(folder: Path) -> dict[str, float]:
    with closing(sqlite3.connect(folder / "run.sqlite")) as db:
        (elites,) = db.execute("SELECT count(*) FROM elites").fetchone()
        genomes, size = db.execute(
            "SELECT count(genome), sum(length(genome)) FROM individuals"
        ).fetchone()
        (lineage,) = db.execute("SELECT count(*) FROM individuals").fetchone()
        (wins,) = db.execute("SELECT count(*) FROM wins").fetchone()
    whole = (folder / "run.sqlite").stat().st_size
    return {
        "elites": elites, "genomes": genomes, "genome": size / genomes, "lineage": lineage,
        "wins": wins, "whole": whole,
    }  # fmt: skip


def _slope(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> str:
    fit = stats.linregress(x / A_SLOPE, y)
    half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    return f"{fit.slope:+.4f} [{fit.slope - half:+.4f}, {fit.slope + half:+.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=1_000_000)
    parser.add_argument("--encodings", nargs="+", default=["cppn", "direct"])
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for encoding in given.encodings:
        with tempfile.TemporaryDirectory() as folder:
            receiver, sender = context.Pipe(duplex=False)
            arguments = (encoding, given.evaluations, str(Path(folder) / "run"), sender)
            process = context.Process(target=_soak, args=arguments)
            process.start()
            points, seconds, stored = receiver.recv()
            process.join()
        x, memory, cpu = np.array(points[int(WARM * len(points)) :]).T
        print(f"{encoding}: {given.evaluations:,} evaluations in {seconds:.0f} s")
        print(f"  memory: {memory.mean():.0f} MB, {_slope(x, memory)} MB a {A_SLOPE:,} evaluations")
        print(f"  CPU of a generation: {cpu.mean():.1f} ms, {_slope(x, cpu)} ms a {A_SLOPE:,}")
        print(
            f"  stored: {stored['elites']} elites, {stored['genomes']} genomes of"
            f" {stored['genome']:.0f} bytes; {stored['lineage']:,} individuals and"
            f" {stored['wins']:,} wins in the lineage; run.sqlite {stored['whole'] / 1e6:.1f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
