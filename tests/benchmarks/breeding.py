"""A campaign of mnist-direct and the naive DEAP loop in turns, start-up apart.

Run by hand: ``uv run python tests/benchmarks/breeding.py [ROUNDS [KEY=VALUE...]]``; what follows
the rounds changes the campaign. Each round measures the loop without and with crossover, and
40,000 evaluations of a campaign from its second generation on, in real time and in CPU time of all
threads. The first campaign, which compiles, is not measured. Ratios of real time hold for two idle
cores only.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from rivals import deap_loop
from torch import nn

from evofool import evolve, load_classifier

EVALUATIONS = 1000
"""Of the loop in each round."""


def loop(net: nn.Module, crossover: float) -> tuple[float, float]:
    """Microseconds an evaluation, real and of the CPU."""
    real, cpu = time.perf_counter(), time.process_time()
    deap_loop.campaign(net, EVALUATIONS // 10, EVALUATIONS - EVALUATIONS // 10, crossover)
    return _each(real, cpu, EVALUATIONS)


def campaign(changes: Sequence[str]) -> tuple[float, float]:
    """Likewise."""
    marks: list[tuple[float, float, int]] = []
    with tempfile.TemporaryDirectory(prefix="evofool-bench-") as folder:
        evolve(
            "mnist-direct",
            Path(folder) / "run",
            overrides=changes,
            progress=lambda at: marks.append(
                (time.perf_counter(), time.process_time(), at.evaluations)
            ),
        )
    (real, cpu, begun), (real_end, cpu_end, done) = marks[1], marks[-1]
    return 1e6 * (real_end - real) / (done - begun), 1e6 * (cpu_end - cpu) / (done - begun)


def _each(real: float, cpu: float, count: int) -> tuple[float, float]:
    return (
        1e6 * (time.perf_counter() - real) / count,
        1e6 * (time.process_time() - cpu) / count,
    )


def main(rounds: int, changes: Sequence[str]) -> None:
    """One line a round, and the medians of the ratios."""
    torch.set_num_threads(1)
    net = load_classifier("mnist-lenet").module
    assert net is not None
    campaign(changes)
    ratios: list[tuple[float, ...]] = []
    for _ in range(rounds):
        plain, crossed, ours = loop(net, 0.0), loop(net, 0.5), campaign(changes)
        ratios.append(tuple(rival[k] / ours[k] for rival in (plain, crossed) for k in (0, 1)))
        sys.stdout.write(
            f"us an evaluation (of the CPU): loop {plain[0]:.0f} ({plain[1]:.0f}), with crossover"
            f" {crossed[0]:.0f} ({crossed[1]:.0f}); campaign {ours[0]:.1f} ({ours[1]:.1f})\n"
        )
        sys.stdout.flush()
    real, cpu, real_crossed, cpu_crossed = (median(column) for column in zip(*ratios, strict=True))
    sys.stdout.write(
        f"the loop takes {real:.1f} times as long (CPU {cpu:.1f}), with crossover"
        f" {real_crossed:.1f} (CPU {cpu_crossed:.1f})\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2:])
