"""How long evofool takes to start: each line is a new interpreter, the median of several.

Run by hand: ``uv run python tests/benchmarks/start.py [ROUNDS]``. Real time grows with other work
on the machine; CPU time hardly does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

EVOFOOL = str(Path(sys.executable).with_name("evofool"))
STARTS = {
    "a bare interpreter": [sys.executable, "-c", "pass"],
    "import evofool": [sys.executable, "-c", "import evofool"],
    "evofool --help": [EVOFOOL, "--help"],
    "evofool evolve --help": [EVOFOOL, "evolve", "--help"],
    "evofool list configs": [EVOFOOL, "list", "configs"],
    "a press of the Tab key": [EVOFOOL],
}
BARE, IMPORT, *_, TAB = STARTS
COMPLETION = {
    "_EVOFOOL_COMPLETE": "complete_bash",
    "COMP_WORDS": "evofool run quick",
    "COMP_CWORD": "2",
}


def start(name: str, folder: Path) -> tuple[float, float]:
    """Seconds, real and of the CPU."""
    variables = os.environ | (COMPLETION if name == TAB else {})
    before, began = os.times(), time.perf_counter()
    subprocess.run(
        STARTS[name],
        cwd=folder,
        env=variables,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    real, after = time.perf_counter() - began, os.times()
    used = after.children_user + after.children_system
    return real, used - before.children_user - before.children_system


def main(rounds: int) -> None:
    """One line a start: medians, and the shortest."""
    with tempfile.TemporaryDirectory(prefix="evofool-bench-") as folder:
        for name in STARTS:  # not measured: files are read and compiled
            start(name, Path(folder))
        taken = {name: [] for name in STARTS}  # type: dict[str, list[tuple[float, float]]]
        for _ in range(rounds):
            for name in STARTS:
                taken[name].append(start(name, Path(folder)))
    for name, times in taken.items():
        real, cpu = (median(column) for column in zip(*times, strict=True))
        least = min(time for time, _ in times)
        print(f"{name:24} {real:6.3f} s, least {least:.3f} s, CPU {cpu:.3f} s")
    more = median(a[1] - b[1] for a, b in zip(taken[IMPORT], taken[BARE], strict=True))
    print(f"{IMPORT}, beyond {BARE}: CPU {more:.3f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 9)
