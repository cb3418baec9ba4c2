"""What every benchmark here does: time rounds, and say what a round holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pytest_benchmark.fixture import BenchmarkFixture

HERE = Path(__file__).parent
SCALE = float(os.environ.get("EVOFOOL_BENCH_SCALE", "1"))

Role: TypeAlias = Literal["ours", "rival", "reference", "part", "figures"]
"""In a group with `ours`, the others are given as multiples of it; in one with a `reference`, as
shares of it; `figures` are told one by one."""


def scaled(count: int, least: int = 1) -> int:
    """`count` at the scale of this run."""
    return max(least, round(count * SCALE))


def measure(
    benchmark: BenchmarkFixture,
    work: Callable[..., Any],
    *,
    group: str,
    label: str,
    role: Role,
    units: int,
    unit: str,
    rounds: int,
    setup: Callable[[], Any] | None = None,
    warm_up: bool = True,
    variant: str = "",
    note: str = "",
) -> Any:
    """Time `work`, which does `units` of `unit` a round; returns what it returned last.

    Args:
        benchmark: pytest-benchmark's fixture.
        work: one round.
        group: what is compared with each other.
        label: of the row.
        role: see `Role`.
        units: how many things one round makes.
        unit: what they are called.
        rounds: at full scale.
        setup: called before each round, untimed; may return arguments as `pedantic` has it.
        warm_up: whether one round goes first that is not counted.
        variant: what a rival's row shares with the row of ours it is held against.
        note: what a reader must know of the row.
    """
    benchmark.group = group
    benchmark.extra_info.update(
        group=group, label=label, role=role, units=units, unit=unit, variant=variant, note=note
    )
    return benchmark.pedantic(  # type: ignore[no-untyped-call]
        work,
        setup=setup,
        rounds=scaled(rounds),
        warmup_rounds=int(warm_up),
    )


class Process:
    """A command run to its end, with the JSON object it wrote last.

    Python may keep the bytecode of what it imports, as it does for a user: else starting up would
    be compiling.

    Attributes:
        said: that object.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        own = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False, env=own
        )
        assert done.returncode == 0, done.stderr[-4000:]
        lines = done.stdout.strip().splitlines()
        last = lines[-1] if lines else ""
        self.said: dict[str, Any] = json.loads(last) if last.startswith("{") else {}
