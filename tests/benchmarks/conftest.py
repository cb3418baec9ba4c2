"""Benchmarks beside other tools, in one run; nothing here asserts a time.

    uv run --group bench pytest tests/benchmarks -n 0 --benchmark-json bench.json
    uv run --group bench python tests/benchmarks/report.py bench.json

The second prints ratios as Markdown. ``EVOFOOL_BENCH_SCALE=0.05`` makes all that scales (images of
a campaign, generations, rounds) that much smaller, to see whether everything runs; its figures mean
nothing. Absolute times hold for the machine, and ratios only for an otherwise idle one.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the modules beside this file: importlib mode adds no paths

PACKAGES = (
    "evofool",
    "torch",
    "onnxruntime",
    "numba",
    "numpy",
    "deap",
    "neat-python",
    "ribs",
    "pytest-benchmark",
)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for the session, warm from the first use on, in place of one a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOFOOL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """torch computes with one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: Any) -> None:
    """What the report says of the machine, the versions and the command."""
    from evofool.scoring.scorer import usable_cores

    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    arguments = [Path(text).name if text.startswith("/") else text
                 for text in map(str, config.invocation_params.args)]  # fmt: skip
    machine_info["versions"] = found
    machine_info["usable_cores"] = usable_cores()
    machine_info["scale"] = os.environ.get("EVOFOOL_BENCH_SCALE", "1")
    machine_info["load_at_end"] = list(os.getloadavg()) if hasattr(os, "getloadavg") else []
    machine_info["command"] = shlex.join(["pytest", *arguments])
