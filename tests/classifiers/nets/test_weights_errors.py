"""Weights files that are unsafe, damaged, or of another net."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from evofool.classifiers import load_classifier
from evofool.classifiers.nets.lenet import LeNet
from evofool.classifiers.sources.bundled import WEIGHTS
from evofool.errors import ClassifierError


class Evil:
    """Would write a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_pickled_code_is_refused(tmp_path: Path, writer: str) -> None:
    mark = tmp_path / "ran"
    path = tmp_path / "own.pth"
    if writer == "torch":
        torch.save({"conv1.weight": Evil(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(ClassifierError, match=r"refused.*safetensors"):
        load_classifier({"name": "lenet", "weights": str(path)})
    assert not mark.exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(LeNet(), tmp_path / "own.pt")
    with pytest.raises(ClassifierError, match="refused"):
        load_classifier({"name": "lenet", "weights": "own.pt"}, base=tmp_path)


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04" + bytes(50), b"\xff" * 64])
def test_damaged_files(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"own.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ClassifierError, match="own"):
        load_classifier({"name": "lenet", "weights": str(path)})


def test_a_truncated_file(tmp_path: Path) -> None:
    whole = (WEIGHTS / "mnist-lenet.safetensors").read_bytes()
    (tmp_path / "own.safetensors").write_bytes(whole[:-1000])
    with pytest.raises(ClassifierError, match="cannot be read"):
        load_classifier({"name": "lenet", "weights": "own.safetensors"}, base=tmp_path)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {1: torch.zeros(1)}, torch.zeros(3)])
def test_not_a_state_dict(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "own.pth")
    with pytest.raises(ClassifierError, match="is not a state dict"):
        load_classifier({"name": "lenet", "weights": "own.pth"}, base=tmp_path)


def spoil(change: Callable[[dict[str, torch.Tensor]], object], path: Path) -> dict[str, str]:
    state = dict(LeNet().state_dict())
    change(state)
    save_file(state, path / "own.safetensors")
    return {"name": "lenet", "weights": str(path / "own.safetensors")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("conv2.bias"), "missing conv2.bias"),
        (lambda state: state.pop("ip2.bias"), "missing ip2.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "unknown extra"),
        (
            lambda state: state.update({"conv1.bias": torch.zeros(3)}),
            "conv1.bias is 3, not 20",
        ),
        (
            lambda state: state.update({"ip1.weight": torch.full((500, 800), torch.nan)}),
            "NaN or infinite",
        ),
    ],
)
def test_weights_that_do_not_fit(
    change: Callable[[dict[str, torch.Tensor]], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ClassifierError, match=message):
        load_classifier(spoil(change, tmp_path))
