"""Weights files: safetensors, or pickles read with ``weights_only``; strict loading; digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from evofool.classifiers.checks.answers import ONE_VALUE
from evofool.classifiers.identity.tensors import tensor_bytes, tensor_parts
from evofool.classifiers.nets.stored_tensors import (
    TensorsError,
    kind_of,
    read_pickle,
    read_safetensors,
    type_name,
)
from evofool.errors import ClassifierError
from evofool.files import is_file, open_file, reason

SUFFIXES = (".safetensors", ".pth", ".pt")
StateDict = Mapping[str, torch.Tensor]
"""The tensors of a net by name, of any shape and data type, as ``module.state_dict()`` gives."""


def check_weights_file(path: Path, name: str) -> None:
    """Refuses a weights file that is missing or of an unknown kind, without reading it.

    Raises:
        ClassifierError: it is missing, or its suffix is none of `SUFFIXES`.
    """
    if path.suffix not in SUFFIXES:
        raise ClassifierError(
            f"classifier {name}: weights: {path}: unknown kind of file;"
            f" give one that ends in {', '.join(SUFFIXES)}"
        )
    if not is_file(path):
        raise ClassifierError(f"classifier {name}: weights: {path}: no such file")


def read_state_dict(path: Path, name: str) -> dict[str, torch.Tensor]:
    """The tensors of a weights file by name, of any shape and data type, on the CPU.

    A ``.pth`` or ``.pt`` is read with ``weights_only=True``: a file that would run code when
    unpickled is refused.

    Raises:
        ClassifierError: missing, of an unknown kind, damaged, unsafe, or not a state dict.
    """
    check_weights_file(path, name)
    where = f"classifier {name}: weights: {path}"
    try:
        with open_file(path) as file:
            return read_safetensors(path) if path.suffix == SUFFIXES[0] else read_pickle(file)
    except OSError as error:
        raise ClassifierError(f"{where}: cannot be read ({reason(error)})") from error
    except TensorsError as error:
        raise ClassifierError(f"{where}: {error}") from error


def load_strictly(module: nn.Module, state: StateDict, name: str, where: str) -> None:
    """Puts `state` into `module`; every key, shape and kind of number must match.

    Raises:
        ClassifierError: as `check_fit`, or a weight is NaN or infinite.
    """
    check_fit(module, state, name, where)
    module.load_state_dict(dict(state), strict=False)
    check_finite(module, f"classifier {name}: weights: {where}")


def check_outputs(module: nn.Module, state: StateDict, outputs: int, where: str) -> None:
    """Refuses weights that differ from `module` only in how many values its last layer gives.

    Args:
        module: a net whose last layer gives `outputs` values.
        state: tensors for it.
        outputs: one per class; 1 with ``task: binary``.
        where: the start of the message.

    Raises:
        ClassifierError: saying how many values there are, and what to set.
    """
    wanted = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    found = {key: tuple(state[key].shape) for key in wanted if key in state}
    other = [key for key in found if found[key] != wanted[key]]
    counts = {found[key][:1] for key in other}
    alike = all(
        wanted[key][:1] == (outputs,) and found[key][1:] == wanted[key][1:] for key in other
    )
    if not other or not alike or len(counts) != 1 or counts == {()}:
        return
    (n,) = counts.pop()
    mend = f"give {n} labels" if outputs > 1 else f"leave task: binary away and give {n} labels"
    raise ClassifierError(
        f"{where}: its last layer gives {n} value{'s' if n != 1 else ''}, not {outputs};"
        f" {ONE_VALUE if n == 1 else mend}"
    )


def check_finite(module: nn.Module, where: str) -> None:
    """Refuses weights that are no numbers.

    Raises:
        ClassifierError: a tensor holds NaN or infinity; the message begins with `where`.
    """
    for key, value in module.state_dict().items():
        if not bool(value.isfinite().all()):
            raise ClassifierError(f"{where}: {key} holds NaN or infinite numbers")


def check_fit(module: nn.Module, state: StateDict, name: str, where: str) -> None:
    """Holds `state` against `module`, which may be without content (on the device ``meta``).

    Raises:
        ClassifierError: naming the first keys that are missing, extra, of another shape or kind.
    """
    wanted = module.state_dict()
    shapes = [
        f"{key} is {_by(state[key])}, not {_by(wanted[key])}"
        for key in wanted
        if key in state and state[key].shape != wanted[key].shape
    ]
    counters = "num_batches_tracked"  # older checkpoints lack it, evaluation never reads it
    missing = [key for key in wanted if key not in state and not key.endswith(counters)]
    extra = [key for key in state if key not in wanted]
    problems = [
        *(f"missing {key}" for key in missing),
        *(f"unknown {key}" for key in extra),
        *shapes,
        *(
            f"{key} is {type_name(state[key].dtype)}, not {type_name(wanted[key].dtype)}"
            for key in wanted
            if key in state and kind_of(state[key].dtype) != kind_of(wanted[key].dtype)
        ),
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ClassifierError(
            f"classifier {name}: weights: {where}: do not fit the architecture:"
            f" {'; '.join(problems[:3])}{more}"
        )


def digest_module(module: nn.Module) -> str:
    """Hex sha256 over parameters and buffers in order of name: name, dtype, shape, bytes.

    The normalisation of a loaded victim is part of its buffers, so it counts. Nets in plain lists,
    quantised weights and code do not: see `evofool.classifiers.identity.digest`.
    """
    digest = hashlib.sha256()
    state = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    for key, value in sorted(state.items()):
        digest.update(f"{key}|{value.dtype}|{tuple(value.shape)}\n".encode())
        parts = tensor_parts(value)
        plain = parts is not None and len(parts) == 2 and isinstance(parts[1], bytes)
        # rule 1 has no words for other tensors; rule 2 looks into them
        digest.update(tensor_bytes(value) if plain else repr(value).encode())
    return digest.hexdigest()


def _by(tensor: torch.Tensor) -> str:
    return " x ".join(str(n) for n in tensor.shape) or "a scalar"
