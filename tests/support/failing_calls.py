"""Runs whose Nth call to the system fails, or in which the process is killed, for every N.

As a script it is one process in which `failing_calls.c` is preloaded and everything is imported.
For each job it forks a child that runs until the call in question, and another one that goes on
with what the first has left, as a person would.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("failing_calls.c")
TOYS = Path(__file__).parents[1] / "toys"
ENOSPC, EIO = errno.ENOSPC, errno.EIO
CLOCK = "clock set back"
"""No call fails, but the wall clock stands an hour earlier each time it is read."""
WAYS = {
    "fails": (0, EIO),
    "has no room": (0, ENOSPC),
    "full from there on": (1, ENOSPC),
    "killed before": (2, 0),
    "killed halfway": (3, 0),
    CLOCK: (0, 0),
}
"""The C code's number of a way, and the error."""
CONFIGS: dict[str, dict[str, Any]] = {
    "evolve": {
        "classifier": {"name": f"{TOYS / 'exact.py'}:victim"},
        "encoding": {"name": f"{TOYS / 'exact.py'}:Bytes"},
        "evolution": {"initial": 12, "children": 12},
        "stop": {"generations": 4},
        "scoring": {"batch": 8, "workers": 1},
        "seed": 3,
    },
    "attack": {
        "classifier": {"name": f"{TOYS / 'linear.py'}:victim"},
        "images": {"noise": "uniform", "count": 6},
        "attacks": [{"name": "fgsm", "eps": "16/255"}],
        "scoring": {"batch": 4, "workers": 1},
        "chunk": 2,
        "seed": 3,
    },
}


@dataclass(frozen=True)
class Ended:
    """What became of one job.

    Attributes:
        call: whose failure it was about.
        way: in which it failed.
        calls: that were counted; fewer than `call` when nothing failed. None of a killed process.
        killed: whether the process was.
        error: the message of the first process, empty where it came to its end all the same.
        documented: whether that is an error that people are meant to read.
        digest: of the results after the second process.
        faults: what `verify` finds then; or the second process's own error.
    """

    call: int
    way: str
    calls: int | None
    killed: bool
    error: str
    documented: bool
    digest: str
    faults: list[str]


COMPILER = shutil.which("gcc") or shutil.which("cc")
"""None where there is no C compiler."""


def compiled(folder: Path) -> Path:
    """The C code as a library in `folder`."""
    library = folder / "failing_calls.so"
    compiler = str(COMPILER)
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]
    subprocess.run(command, check=True)
    return library


def carried_out(kind: str, jobs: Iterable[tuple[int, str]], folder: Path) -> list[Ended]:
    """What becomes of a run of `kind` for each job: the call that fails, and the way.

    Args:
        kind: of `CONFIGS`.
        jobs: the call, 0 for none, and a key of `WAYS`.
        folder: for library and runs.
    """
    library = compiled(folder)
    order = {"kind": kind, "jobs": list(jobs), "folder": str(folder), "library": str(library)}
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(order),
        env={**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Ended(**json.loads(line)) for line in done.stdout.splitlines()]


def _in_a_child(work: Callable[[], Any]) -> tuple[Any, int]:
    """What `work` returns, computed in a forked process, None if it was killed; its status."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            content = json.dumps(work())
        except BaseException:
            content = json.dumps({"crash": traceback.format_exc()})
        with os.fdopen(write, "w") as pipe:
            pipe.write(content)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (json.loads(text) if text else None), status


def _main() -> None:
    from evofool.errors import EvofoolError
    from evofool.experiments import library as runs
    from evofool.experiments.runs import verify as checks

    order = json.load(sys.stdin)
    config, begin = CONFIGS[order["kind"]], getattr(runs, order["kind"])
    shim = ctypes.CDLL(order["library"])
    shim.failing_calls_disarm.restype = ctypes.c_long
    shim.failing_calls_arm.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int)

    def first(out: Path, call: int, way: str) -> dict[str, Any]:
        how, error = WAYS[way]
        shim.failing_calls_arm(os.fsencode(out), call, error, how)
        shim.failing_calls_turn_back(ctypes.c_long(3600 if way == CLOCK else 0))
        try:
            begin(config, out)
        except EvofoolError as raised:
            return {"calls": shim.failing_calls_disarm(), "error": str(raised), "documented": True}
        except BaseException:
            return {
                "calls": shim.failing_calls_disarm(),
                "error": traceback.format_exc(),
                "documented": False,
            }
        return {"calls": shim.failing_calls_disarm(), "error": "", "documented": True}

    def second(out: Path) -> dict[str, Any]:
        try:
            if (out / "manifest.json").is_file():
                runs.resume(out)
            else:
                begin(config, out)
            faults = [f"{c.name}: {c.detail}" for c in checks(out) if c.ok is not True]
        except EvofoolError as raised:
            faults = [str(raised)]
        return {"digest": _digest(out), "faults": faults}

    def everything() -> list[str]:
        out = Path(order["folder"]) / "warm"
        begin(config, out)
        list(checks(out))
        shutil.rmtree(out)
        return list(sys.modules)

    # what is imported late would else be imported in every child: only this one uses any of it
    for name in _in_a_child(everything)[0]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for number, (call, way) in enumerate(order["jobs"]):
        out = Path(order["folder"]) / f"run-{number}"
        found, status = _in_a_child(lambda out=out, call=call, way=way: first(out, call, way))
        if found is None:
            found = {"calls": None, "error": "", "documented": True}
        then, _ = _in_a_child(lambda out=out: second(out))
        if "crash" in then:
            then = {"digest": "", "faults": [then["crash"]]}
        killed = status < 0
        print(json.dumps({"call": call, "way": way, "killed": killed, **found, **then}), flush=True)  # noqa: T201
        shutil.rmtree(out, ignore_errors=True)


def _digest(out: Path) -> str:
    """Of the results: all that does not tell of the time."""
    import csv
    import hashlib

    for name in ("elites.csv", "results.csv"):
        if (out / name).is_file():
            with (out / name).open(newline="", encoding="utf-8") as file:
                rows = [
                    {k: v for k, v in row.items() if k not in ("seconds", "sha256", "run_id")}
                    for row in csv.DictReader(file)
                ]
            return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return ""


if __name__ == "__main__":
    _main()
