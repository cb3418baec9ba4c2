"""Checkpoints of a training in progress: tensors in safetensors, all else in JSON, no pickle.

``NAME.checkpoint.json`` names the state that counts; its tensors are in
``NAME.checkpoint-STEP.safetensors``. The tensors are written first and the JSON is renamed over the
old one, so whenever the process is killed one whole state is there.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from evofool.errors import UsageError
from evofool.seal import is_sealed, sealed
from evofool.training.weights import version, write_atomically

_KIND = "evofool training checkpoint"
_SCHEMA = 1
_MAX_BYTES = 1 << 24


@dataclass(frozen=True)
class State:
    """A training between two steps.

    Attributes:
        step: steps that are behind.
        epoch: epochs that are behind.
        seconds: spent so far, over all processes.
        measured: what was measured after the last whole epoch, by name.
        tensors: of the net and the optimiser.
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
        except OSError as error:
            raise UsageError(f"{self.folder}: cannot be written ({error.strerror})") from error
        self._remove(keep=self._tensors(state.step))

    def read(self) -> State | None:
        """The state to go on from, or None if there is none.

        Raises:
            UsageError: it is damaged, or of another training.
        """
        if not self.path.exists():
            return None
        mend = "give --fresh to start over, or another --out or name"
        try:
            with self.path.open("rb") as file:
                record = json.loads(file.read(_MAX_BYTES))
            if record["kind"] != _KIND or record["schema"] != _SCHEMA:
                raise ValueError("of another kind")
            if is_sealed(record) is False:
                raise ValueError("was changed after it was written")
            step, epoch = int(record["step"]), int(record["epoch"])
            seconds = float(record["seconds"])
            measured = {str(key): float(value) for key, value in record["measured"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"{self.path}: damaged checkpoint ({error!r}); {mend}") from error
        if different := _first_difference(self.identity, record):
            raise UsageError(f"{self.path} is of another training: {different}; {mend}")
        tensors = self._tensors(step)
        try:
            content = tensors.read_bytes()
            if hashlib.sha256(content).hexdigest() != record.get("sha256"):
                raise ValueError("its sha256 is not the one in the JSON")
            loaded = load(content)
        except (OSError, ValueError, SafetensorError) as error:
            raise UsageError(f"{tensors}: damaged checkpoint ({error}); {mend}") from error
        return State(step, epoch, seconds, measured, loaded)

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


def _first_difference(wanted: Mapping[str, Any], found: Mapping[str, Any], at: str = "") -> str:
    for key, value in wanted.items():
        where = f"{at}{key}"
        other = found.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            if inner := _first_difference(value, other, f"{where}."):
                return inner
        elif value != other:
            return f"{where} is {_short(other)} there and {_short(value)} here"
    return ""


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
