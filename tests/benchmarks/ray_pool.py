"""Workers of Ray beside the local engine, on this machine; what the driver costs a picture.

    uv run python tests/benchmarks/ray_pool.py [--victims mnist-lenet ...] [--workers 1 2]

All ways take turns, a generation each, so that other programs slow all of them alike. Generations
are bred, drawn, scored and offered to the archive; nothing is stored.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evofool.config import load_campaign
from evofool.evolution.setup import Parts, make_parts
from evofool.evolution.spreading import spread
from evofool.ray_session import session


@dataclass
class Way:
    """One way to evaluate generations, and what they took."""

    name: str
    parts: Parts
    generation: int = 0
    rates: list[float] = field(default_factory=list)
    driver: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    archive: float = 0.0
    sent: int = 0
    pictures: int = 0

    def watch(self) -> None:
        """Take the time of archive updates, and count the bytes of genomes."""
        add, packed = self.parts.archive.add, self.parts.evaluator.packed

        def timed_add(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return add(*arguments)
            finally:
                self.archive += time.perf_counter() - began

        def counted(individuals: Any) -> bytes | list[bytes]:
            parcel = packed(individuals)
            self.sent += len(parcel) if isinstance(parcel, bytes) else sum(map(len, parcel))
            return parcel

        self.parts.archive.add = timed_add  # type: ignore[method-assign]
        self.parts.evaluator.packed = counted  # type: ignore[method-assign]

    def step(self, children: int, warm: bool) -> None:
        """One generation."""
        all_before = cpu_of_all()
        began, cpu = time.perf_counter(), time.process_time()
        self.generation += 1
        self.parts.algorithm.step(self.generation, last=True)
        wall, busy = time.perf_counter() - began, time.process_time() - cpu
        self.parts.evaluator.take()
        if not warm:
            self.rates.append(children / wall)
            self.driver.append(busy / children)
            self.cpu.append((cpu_of_all() - all_before) / children)
            self.pictures += children


def cpu_of_all() -> float:
    """CPU seconds of this process and of all below it: workers, and what Ray itself runs."""
    times, children = {}, defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                times[int(folder.name)] = int(fields[11]) + int(fields[12])
                children[int(fields[1])].append(int(folder.name))
    ticks, waiting = 0, [os.getpid()]
    while waiting:
        pid = waiting.pop()
        ticks += times.get(pid, 0)
        waiting += children[pid]
    return ticks / os.sysconf("SC_CLK_TCK")


def config(victim: str, encoding: str, children: int, batch: int, workers: int, ray: Any) -> Any:
    """A campaign of the victim."""
    return {
        "classifier": victim,
        "encoding": encoding,
        "evolution": {"initial": children, "children": children},
        "stop": {"generations": 1},
        "scoring": {"batch": batch, "workers": workers, "device": "cpu", "ray": ray},
    }


def measure(victim: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the table for one victim."""
    small = "imagenet" not in victim
    children = options.children or (2000 if small else 256)
    batch = options.batch or (100 if small else 32)
    rows = []
    with contextlib.ExitStack() as stack:
        ways = []
        for count in options.workers:
            for ray in (None, {"actors": count}):
                loaded = load_campaign(
                    config(victim, options.encoding, children, batch, count, ray)
                )
                parts = make_parts(loaded, lambda: False)
                stack.enter_context(parts.scorer)
                stack.enter_context(spread(parts))
                ways.append(Way(f"{'local' if ray is None else 'ray'} {count}", parts))
        for way in ways:
            way.parts.algorithm.start()
            way.parts.evaluator.take()
            way.step(children, warm=True)
            way.watch()
        for _ in range(options.rounds):
            for way in ways:
                way.step(children, warm=False)
        for way in ways:
            n = way.pictures
            rows.append(
                {
                    "victim": victim,
                    "encoding": options.encoding,
                    "way": way.name,
                    "pictures_per_second": round(statistics.median(way.rates), 1),
                    "cpu_us_a_picture": round(1e6 * statistics.median(way.cpu), 1),
                    "driver_cpu_us_a_picture": round(1e6 * statistics.median(way.driver), 1),
                    "archive_us_a_picture": round(1e6 * way.archive / n, 2),
                    "genome_bytes_a_picture": round(way.sent / n, 1),
                    "scores_bytes_a_picture": 8 * way.parts.classifier.n_classes,
                }
            )
    return rows


def main() -> None:
    """Print a table of rows as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--victims", nargs="+",
                        default=["mnist-lenet", "imagenet-efficientnet-lite0"])  # fmt: skip
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--encoding", default="cppn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--children", type=int)
    options = parser.parse_args()
    with session(cpus=sum(options.workers)):
        for victim in options.victims:
            for row in measure(victim, options):
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
