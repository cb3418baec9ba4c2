"""Tensors from files that may be damaged or made to harm: whatever a reader raises ends here.

torch and safetensors raise errors of a dozen types on damaged files, and let in tensors that no net
can use. Here they give plain tensors (dense, on the CPU, each with memory of its own) or a
`TensorsError`.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors.torch import load, load_file

from evofool.files import reason


class TensorsError(ValueError):
    """A file gives no tensors; the message explains why, and the caller names the file."""


def read_safetensors(source: Path | bytes) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file or of its bytes, by name, of any shape and data type.

    Args:
        source: a path must be that of a regular file (`evofool.files.is_file`).

    Raises:
        TensorsError: damaged, or of a type this torch does not have.
    """
    try:
        tensors = load(source) if isinstance(source, bytes) else load_file(source)
    except Exception as error:  # its own type, and KeyError, ValueError, RuntimeError, TypeError...
        raise TensorsError(f"cannot be read ({reason(error)})") from error
    return _plain(tensors)


def read_pickle(file: BinaryIO) -> dict[str, torch.Tensor]:
    """The tensors of a ``.pth`` file by name, of any shape and data type.

    The file holds a state dict, or a mapping with one under ``state_dict``. It is read with
    ``weights_only=True``, which runs no code.

    Args:
        file: opened for reading bytes; can be sought in.

    Raises:
        TensorsError: damaged, unsafe, or no mapping of names to plain tensors.
    """
    try:
        _check_size(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged files; what matters is an error below
            content: object = torch.load(file, map_location="cpu", weights_only=True)
    except TensorsError:
        raise
    except pickle.UnpicklingError as error:
        raise TensorsError(
            "refused, since it is damaged or holds more than tensors, which could run code when"
            " it is read; save module.state_dict() as .safetensors"
        ) from error
    except Exception as error:  # one flipped bit gives any of a dozen types, see the tests
        raise TensorsError(f"cannot be read ({reason(error)})") from error
    if isinstance(content, Mapping):
        content = content.get("state_dict", content)
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    ):
        raise TensorsError(
            "is not a state dict (a mapping of names to tensors); save module.state_dict()"
        )
    return _plain(dict(content))


def kind_of(dtype: torch.dtype) -> str:
    """``real``, ``complex``, ``bool`` or ``whole`` numbers: what may be copied into what."""
    if dtype.is_floating_point:
        return "real"
    if dtype.is_complex:
        return "complex"
    return "bool" if dtype == torch.bool else "whole"


def type_name(dtype: torch.dtype) -> str:
    """``float32`` rather than ``torch.float32``."""
    return str(dtype).removeprefix("torch.")


def _check_size(file: BinaryIO) -> None:
    """Refuse an archive that would grow: torch stores tensors as they are."""
    if not zipfile.is_zipfile(file):
        file.seek(0)
        return
    with zipfile.ZipFile(file) as archive:
        grown = sum(entry.file_size for entry in archive.infolist())
    size = file.seek(0, 2)
    file.seek(0)
    if grown > size:
        raise TensorsError(f"is compressed, {grown} bytes in {size}; save it with torch.save")


def _plain(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for key, value in state.items():
        try:
            problem = _problem(value)
        except Exception as error:  # of a half-made tensor any question may fail
            problem = reason(error)
        if problem:
            raise TensorsError(f"{key[:100]} {problem}; save module.state_dict() of a plain net")
    return state


def _problem(tensor: torch.Tensor) -> str:
    if tensor.is_quantized:
        return "is quantised"
    if tensor.layout != torch.strided:
        return f"is sparse ({type_name(tensor.layout)})"  # type: ignore[arg-type]
    if tensor.device.type != "cpu":
        return f"is without content (on the device {tensor.device.type})"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "repeats a smaller tensor"  # one number may claim to be 10^12
    return ""
