"""Pictures a second that the encodings draw, on the CPU or a GPU.

    uv run python tests/benchmarks/drawing.py [--device cuda] [--size 224] [--rounds 9]

The genomes are random ones after ten mutations, as an early search has them. Drawing on a GPU ends
with 8-bit pixels in its memory, where they are scored.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from evofool import encodings
from evofool.evolution.drawing import drawing_on

MUTATIONS = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--encoding", action="append")
    options = parser.parse_args()
    shape = (3, options.size, options.size)
    for name in options.encoding or ["cppn", "textured", "layers"]:
        encoding = encodings.load(name, shape)
        rng = np.random.default_rng(1)
        genomes = []
        for _ in range(options.batch):
            genome = encoding.sample(rng)
            for generation in range(MUTATIONS):
                genome = encoding.mutate(genome, rng, generation)
            genomes.append(genome)
        draw = drawing_on(options.device, encoding)
        rates = []
        for _ in range(options.rounds + 2):
            began = time.perf_counter()
            pixels = draw.to_score(genomes, shape[1:])
            if options.device.startswith("cuda"):
                import torch

                torch.cuda.synchronize()
            rates.append(len(pixels) / (time.perf_counter() - began))
        rates = rates[2:]
        print(
            f"{name}: {statistics.median(rates):,.0f} pictures/s"
            f" ({min(rates):,.0f} to {max(rates):,.0f}), drawn by {draw.name}"
        )


if __name__ == "__main__":
    main()
