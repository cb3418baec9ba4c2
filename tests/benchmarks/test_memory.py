"""Peak memory of ImageNet campaigns, and what storing does to the slowest generations.

Times of these rows are those of whole processes and of no interest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from measuring import HERE, Process, measure, scaled
from pytest_benchmark.fixture import BenchmarkFixture

from evofool import Scorer, load_classifier

GROUP = "Memory and storing"
CHILD = str(HERE / "child.py")
SPREAD = f"{HERE / 'victims.py'}:spread"


@pytest.fixture(scope="module", autouse=True)
def _warm(_own_cache: None) -> None:
    """The victims' graphs are in the cache."""
    for name in ("mnist-lenet", "imagenet-efficientnet-lite0", SPREAD):
        with Scorer(load_classifier(name)):
            pass


def _campaign(
    benchmark: BenchmarkFixture, label: str, note: str, *arguments: str
) -> dict[str, Any]:
    done = measure(
        benchmark,
        lambda: Process([CHILD, *arguments]),
        group=GROUP,
        label=label,
        role="figures",
        units=1,
        unit="campaign",
        rounds=1,
        warm_up=False,
        note=note,
    )
    said: dict[str, Any] = done.said
    benchmark.extra_info["figures"] = {
        "peak memory": f"{said['peak_bytes'] / 1e9:.2f} GB",
        "distinct elites": f"{said['distinct_elites']} in {said['cells']} cells",
        "evaluations": f"{said['evaluations']:,}",
        "median generation": f"{said['median_generation'] * 1e3:.1f} ms",
        "99th percentile / median": f"{said['p99_generation'] / said['median_generation']:.2f}",
        "slowest / median": f"{said['slowest_generation'] / said['median_generation']:.2f}",
    }
    assert said["peak_bytes"] > 0
    return said


def test_imagenet_cppn(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    _campaign(
        benchmark,
        "ImageNet CPPN campaign",
        "imagenet-cppn, cut short",
        *("imagenet-cppn", str(tmp_path / "run"), f"stop.generations={scaled(6, 2)}"),
    )


def test_imagenet_direct(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    _campaign(
        benchmark,
        "ImageNet direct campaign, cells filled by distinct individuals",
        "imagenet-direct; to Lite0's logits a bonus is added for a class that is a hash of the"
        " picture, so that the cells' elites differ within a short run",
        *("imagenet-direct", str(tmp_path / "run"), f"classifier={SPREAD}"),
        f"stop.generations={scaled(24, 2)}",
    )


def test_transactions(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    _campaign(
        benchmark,
        "MNIST direct campaign, a longer one",
        "how much longer a generation takes when it is stored",
        *("mnist-direct", str(tmp_path / "run"), f"stop.generations={scaled(1000, 20)}"),
    )
