"""Checkpoints of a training in progress: tensors in safetensors, all else in JSON, no pickle.

``NAME.checkpoint.json`` names the state that counts; its tensors are in
``NAME.checkpoint-STEP.safetensors``. The tensors are written first and the JSON is renamed over the
old one, so whenever the process is killed one whole state is there.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from evofool.classifiers.nets.stored_tensors import TensorsError, read_safetensors
from evofool.errors import UsageError
from evofool.files import read_file, reason, short
from evofool.seal import is_sealed, sealed
from evofool.training.weights import version, write_atomically

_KIND = "evofool training checkpoint"
_SCHEMA = 1
_MAX_BYTES = 1 << 24
_MAX_TENSORS = 1 << 36
MEND = "give --fresh to start over, or another --out or name"


@dataclass(frozen=True)
class State:
    """A training between two steps.

    Attributes:
        step: steps made so far.
        epoch: whole epochs made so far.
        seconds: spent so far, over all processes.
        measured: what was measured after the last whole epoch, by name.
        tensors: of the net and the optimiser, by name, of any shape and data type.
    """

    step: int
    epoch: int
    seconds: float
    measured: Mapping[str, float]
    tensors: dict[str, torch.Tensor]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint of one training in a folder.

    Attributes:
        folder: where it is.
        name: of the net.
        identity: what must be equal for a training to go on to the same weights.
    """

    folder: Path
    name: str
    identity: Mapping[str, Any]

    @property
    def path(self) -> Path:
        """The JSON."""
        return self.folder / f"{self.name}.checkpoint.json"

    def write(self, state: State) -> None:
        """Replaces the checkpoint; raises UsageError if the folder cannot be written."""
        content = save(state.tensors)
        record = sealed(
            {
                "kind": _KIND,
                "schema": _SCHEMA,
                **self.identity,
                "epoch": state.epoch,
                "step": state.step,
                "seconds": state.seconds,
                "measured": dict(state.measured),
                "sha256": hashlib.sha256(content).hexdigest(),
                "versions": {"evofool": version("evofool"), "python": platform.python_version()},
            }
        )
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._tensors(state.step), content)
            write_atomically(self.path, text.encode())
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{short(self.folder)}: cannot be written ({reason(error)})"
            ) from error
        self._remove(keep=self._tensors(state.step))

    def read(self) -> State | None:
        """The state to go on from, or None if there is none.

        Raises:
            UsageError: it is damaged, or of another training.
        """
        record = self._record()
        if record is None:
            return None
        try:
            step, epoch = _whole(record["step"]), _whole(record["epoch"])
            seconds = _finite(record["seconds"])
            if seconds < 0:
                raise ValueError(f"{seconds} seconds")
            measured = {str(key): _finite(value) for key, value in record["measured"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise UsageError(f"{self.path}: damaged checkpoint ({error!r:.200}); {MEND}") from error
        self._compare(record)
        tensors = self._tensors(step)
        try:
            content = read_file(tensors, _MAX_TENSORS)
            if hashlib.sha256(content).hexdigest() != record.get("sha256"):
                raise TensorsError("its sha256 is not the one in the JSON")
            loaded = read_safetensors(content)
        except (OSError, TensorsError) as error:
            raise UsageError(f"{tensors}: damaged checkpoint ({reason(error)}); {MEND}") from error
        return State(step, epoch, seconds, measured, loaded)

    def check(self) -> None:
        """Refuse what `read` would refuse for its identity; no tensors are read.

        Raises:
            UsageError: as `read`.
        """
        record = self._record()
        if record is not None:
            self._compare(record)

    def _record(self) -> dict[str, Any] | None:
        """The JSON, or None if there is none."""
        try:
            record = json.loads(read_file(self.path, _MAX_BYTES))
            if record["kind"] != _KIND or record["schema"] != _SCHEMA:
                raise ValueError("of another kind")
            if is_sealed(record) is False:
                raise ValueError("was changed after it was written")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"{self.path}: damaged checkpoint ({error!r:.200}); {MEND}") from error
        found: dict[str, Any] = record
        return found

    def _compare(self, record: Mapping[str, Any]) -> None:
        # older checkpoints do not say what code there was
        identity = {k: v for k, v in self.identity.items() if k != "code" or k in record}
        if different := first_difference(identity, {key: record.get(key) for key in identity}):
            raise UsageError(f"{self.path} belongs to another training: {different}; {MEND}")

    def discard(self) -> None:
        """Removes the checkpoint."""
        self.path.unlink(missing_ok=True)  # first: what it names must never be missing
        self._remove()

    def _tensors(self, step: int) -> Path:
        return self.folder / f"{self.name}.checkpoint-{step}.safetensors"

    def _remove(self, keep: Path | None = None) -> None:
        prefix, suffix = f"{self.name}.checkpoint-", ".safetensors"
        for path in self.folder.glob("*.safetensors"):
            number = path.name.removeprefix(prefix).removesuffix(suffix)
            if path.name == f"{prefix}{number}{suffix}" and number.isdigit() and path != keep:
                path.unlink(missing_ok=True)


def first_difference(wanted: Mapping[str, Any], actual: Mapping[str, Any], at: str = "") -> str:
    """The first key, of either, at which two mappings differ."""
    for key in (*wanted, *(key for key in actual if key not in wanted)):
        where = f"{at}{key}"
        value, other = wanted.get(key), actual.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            if inner := first_difference(value, other, f"{where}."):
                return inner
        elif value != other:
            return f"{where} is {_short(other)} there and {_short(value)} here"
    return ""


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError(f"{value!r:.40} is not a number of steps")
    return value


def _finite(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is not a finite number")
    return float(value)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
