"""``evofool doctor``: what is installed, what works here, what is missing and how to get it."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Literal

from evofool.cli.terminal import answer
from evofool.errors import EvofoolError

State = Literal["ok", "missing", "broken"]

PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "deap": "deap",
    "onnxruntime": "onnxruntime",
    "onnx": "onnx",
    "numba": "numba",
    "opencv-python-headless": "cv2",
    "pydantic": "pydantic",
    "safetensors": "safetensors",
}
EXTRAS = {
    "timm": ("timm", "pip install 'evofool[timm]'"),
    "transformers": ("transformers", "pip install 'evofool[hf]'"),
    "open_clip_torch": ("open_clip", "pip install 'evofool[clip]'"),
    "pyarrow": ("pyarrow", "pip install 'evofool[parquet]'"),
    "scikit-learn": ("sklearn", "pip install 'evofool[sklearn]'"),
    "skops": ("skops", "pip install 'evofool[sklearn]'"),
    "ray": ("ray", "pip install 'evofool[ray]'"),
    "foolbox": ("foolbox", "pip install 'evofool[compare]'"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `broken` is what keeps evofool from working."""

    name: str
    state: State
    detail: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def examine(say: Callable[[str, float | None], None] = lambda _, __: None) -> list[Finding]:
    """Everything, in the order in which it matters.

    Args:
        say: told what is looked at.
    """
    findings = [Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")]

    for name, module in PACKAGES.items():
        say(name, None)
        findings.append(_package(name, module))
    for name, (module, mend) in EXTRAS.items():
        say(f"extra {name}", None)
        finding = _package(name, module)
        absent = finding.state == "broken"
        findings.append(Finding(f"extra {name}", "missing", mend) if absent else finding)
    for name, check in (
        ("device cpu", _cpu),
        ("device cuda", _cuda),
        ("engine torch", lambda: _engine("torch")),
        ("engine onnxruntime", lambda: _engine("onnxruntime")),
        ("rendering", _rendering),
        ("cache folder", _cache),
        ("data sets", _data),
    ):
        say(name, None)
        findings.append(_try(name, check))
    say("victims", None)
    findings += _victims()
    return findings


def print_findings(findings: Sequence[Finding]) -> None:
    """One a line."""
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        answer(f"{finding.state:<8} {finding.name:<{width}}  {finding.detail}")


def _package(name: str, module: str) -> Finding:
    try:
        importlib.import_module(module)
        return Finding(name, "ok", metadata.version(name))
    except Exception as error:  # a broken install may raise anything while it is imported
        return Finding(name, "broken", f"pip install {name} ({type(error).__name__}: {error})")


def _try(name: str, check: Callable[[], tuple[State, str]]) -> Finding:
    try:
        state, detail = check()
    except Exception as error:  # the point is to name whatever does not work
        return Finding(name, "broken", f"{type(error).__name__}: {error}")
    return Finding(name, state, detail)


def _cpu() -> tuple[State, str]:
    from evofool.scoring.scorer import usable_cores

    return "ok", f"{usable_cores()} usable cores"


def _cuda() -> tuple[State, str]:
    import torch

    if not torch.cuda.is_available():
        return "missing", "no CUDA device is visible to torch; the CPU is used"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return "ok", ", ".join(names)


def _engine(engine: str) -> tuple[State, str]:
    import numpy as np

    from evofool.classifiers import load_classifier
    from evofool.scoring import Scorer

    victim = load_classifier("mnist-lenet")
    with Scorer(victim, engine=engine, device="cpu", workers=1) as scorer:
        top = scorer.confidence(np.zeros((2, *victim.input_shape), np.uint8)).max()
    return "ok", f"scores mnist-lenet (a black picture: {top:.3f} at most)"


def _rendering() -> tuple[State, str]:
    import numpy as np

    from evofool.encodings import load

    encoding = load("cppn", (3, 32, 32))
    genome = encoding.sample(np.random.default_rng(1))
    pixels = encoding.render([genome], (32, 32))
    return "ok", f"numba renders cppn at {pixels.shape[2]}x{pixels.shape[3]}"


def _cache() -> tuple[State, str]:
    from evofool.scoring import cache_folder

    folder = cache_folder()
    parent = folder
    while not parent.exists():
        parent = parent.parent
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        return "missing", f"{folder} cannot be written; set EVOFOOL_CACHE"
    free = shutil.disk_usage(parent).free / 2**30
    return "ok", f"{folder} ({free:.0f} GiB free)"


def _data() -> tuple[State, str]:
    from evofool.data import data_folder, inspect_dataset, names

    absent = [name for name in names() if not inspect_dataset(name).present]
    here = f"{', '.join(name for name in names() if name not in absent)} are here"
    if not absent:
        return "ok", here
    return "missing", (
        f"{', '.join(absent)}: not in {data_folder()} (EVOFOOL_DATA names another folder;"
        f" evofool list datasets says which files); {here}. Evolution needs none of them"
    )


def _victims() -> list[Finding]:
    from evofool.classifiers import inspect_classifier
    from evofool.classifiers.sources.bundled import BUNDLED

    findings = []
    for name in BUNDLED:
        try:
            inspection = inspect_classifier(name)
        except EvofoolError as error:
            findings.append(Finding(f"victim {name}", "broken", str(error)))
            continue
        state: State = "ok" if inspection.ready else "missing"
        findings.append(Finding(f"victim {name}", state, inspection.missing or "weights are here"))
    return findings
