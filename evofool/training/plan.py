"""What would keep a training from starting, checked without importing torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from evofool.classifiers import ClassifierSpec, inspect_classifier
from evofool.classifiers.sources.bundled import BUNDLED
from evofool.config import Loaded
from evofool.data import inspect_dataset
from evofool.errors import ClassifierError, UsageError
from evofool.files import is_file
from evofool.training.config import EnsembleAdversaryConfig, TrainConfig

_BARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class TrainPlan:
    """A checked training.

    Attributes:
        config: the whole of it.
        missing: what is not here yet, and how to get it; empty if it can start.
    """

    config: TrainConfig
    missing: tuple[str, ...]


WEIGHTS = Path("weights")
"""Where weights go, unless another folder is given."""


def plan(loaded: Loaded[TrainConfig], data: Path | None = None, out: Path = WEIGHTS) -> TrainPlan:
    """Looks for the data set and the static sources; nothing is read.

    Raises:
        DataError: no such data set.
    """
    missing = []
    inspection = inspect_dataset(loaded.config.dataset, data)
    if not inspection.present:
        missing.append(inspection.missing)
    adversary = loaded.config.adversary
    if isinstance(adversary, EnsembleAdversaryConfig):
        for index, written in enumerate(adversary.sources):
            spec, base = source_spec(loaded, index, out)
            problem = absent_source(spec, written.name, out)
            if not problem:
                try:
                    problem = inspect_classifier(spec, base=base).missing
                except ClassifierError as error:
                    problem = str(error)
            if problem:
                missing.append(f"source {written.name}: {problem}")
    if loaded.config.start is not None and start_weights(loaded.config, out) is None:
        missing.append(_no_start(loaded.config, out))
    return TrainPlan(loaded.config, tuple(missing))


def start_weights(config: TrainConfig, out: Path | None = None) -> Path | None:
    """The file of the weights that `config.start` names; None if there is none."""
    if config.start is None:
        return None
    if out is not None and is_file(path := out / f"{config.start}.safetensors"):
        return path
    return BUNDLED[config.start].weights() if config.start in BUNDLED else None


def _no_start(config: TrainConfig, out: Path) -> str:
    return (
        f"start: {config.start} is neither in {out} nor bundled; train it into the same folder"
        f" first (evofool train configs/train/{config.start}.yaml --out {out})"
    )


def checked_start(config: TrainConfig, out: Path) -> Path | None:
    """`start_weights`, which must be there.

    Raises:
        UsageError: they are not.
    """
    path = start_weights(config, out)
    if path is None and config.start is not None:
        raise UsageError(_no_start(config, out))
    return path


def source_spec(
    loaded: TrainConfig | Loaded[TrainConfig], index: int, out: Path
) -> tuple[ClassifierSpec, Path]:
    """Where the source number `index` is: a spec for `load_classifier`, and its base folder.

    A name alone that no bundled victim has is a net trained into the same folder `out`. Paths
    start from the file they are written in.
    """
    config = loaded.config if isinstance(loaded, Loaded) else loaded
    assert isinstance(config.adversary, EnsembleAdversaryConfig)
    written = config.adversary.sources[index]
    base = Path.cwd()
    if isinstance(loaded, Loaded):
        base = loaded.document.place(("adversary", "sources", index)).folder
    spec = ClassifierSpec.model_validate(written.model_dump(exclude_unset=True))
    bare = _BARE.fullmatch(spec.name) and not spec.name.endswith((".safetensors", ".onnx", ".pt2"))
    if bare and spec.weights is None and spec.name not in BUNDLED:
        path = (out / f"{spec.name}.safetensors").absolute()
        spec = spec.model_copy(update={"name": str(path)})
    return spec, base


def absent_source(spec: ClassifierSpec, written: str, out: Path) -> str:
    """What to do about a source that was to lie in `out` and does not; else empty."""
    if spec.name == written or is_file(Path(spec.name)):
        return ""
    return (
        f"{spec.name} does not exist; train it into the same folder first (evofool train"
        f" configs/train/{written}.yaml --out {out}), or give the path of a weights file"
    )
