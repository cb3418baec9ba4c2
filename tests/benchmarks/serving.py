"""Pictures a second through `evofool serve`, as Markdown; the table of docs/http.md.

    uv run python tests/benchmarks/serving.py [--classifier mnist-lenet] [--pictures 512]

The server is a process of its own on the same machine, reached through a real socket. Nothing is
kept and nothing is stored: what is measured is the way of a picture there and of its scores back.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

import numpy as np

from evofool.classifiers import load_classifier
from evofool.scoring import Scorer

PER_REQUEST = (1, 4, 16, 64)
CONCURRENCY = (1, 4, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classifier", default="mnist-lenet")
    parser.add_argument("--pictures", type=int, default=512)
    given = parser.parse_args()
    command = [sys.executable, "-m", "evofool", "serve", given.classifier, "--port", "0"]
    with subprocess.Popen(
        [*command, "--log", os.devnull], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            print(f"cores {os.cpu_count()}, load before {os.getloadavg()[0]:.1f}\n")
            print(
                "| pictures a request | " + " | ".join(f"{c} at once" for c in CONCURRENCY) + " |"
            )
            print("|---|" + "---|" * len(CONCURRENCY))
            for many in PER_REQUEST:
                rates = [rate(url, many, at_once, given.pictures) for at_once in CONCURRENCY]
                print(f"| {many} | " + " | ".join(f"{r:,.0f}" for r in rates) + " |", flush=True)
        finally:
            server.terminate()


def rate(url: str, many: int, at_once: int, count: int) -> float:
    """Pictures a second, the better of two."""
    victim = load_classifier({"http": {"url": url, "pictures": many, "concurrency": at_once}})
    shape = victim.input_shape
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    best = 0.0
    with Scorer(victim, batch=max(64, count // 2), workers=2) as scorer:
        scorer.score(images[: many * at_once])
        for _ in range(2):
            began = time.perf_counter()
            scorer.score(images)
            best = max(best, count / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    main()
