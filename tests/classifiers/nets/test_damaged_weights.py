"""Weights that are damaged, that no net can use, or that claim more than they hold."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.nets.architectures import ARCHITECTURES, build_net
from evofool.classifiers.nets.lenet import LeNet
from evofool.classifiers.nets.stored_tensors import TensorsError, read_pickle, read_safetensors
from evofool.errors import ClassifierError

STATE = {"conv.weight": torch.ones(4, 1, 3, 3), "conv.bias": torch.ones(4), "n": torch.tensor(3)}


def saved(state: object, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


READERS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "old pth": (lambda data: read_pickle(io.BytesIO(data)), saved(STATE, legacy=True)),
    "new pth": (lambda data: read_pickle(io.BytesIO(data)), saved(STATE)),
    "safetensors": (read_safetensors, save(STATE)),
}


@pytest.mark.parametrize(("read", "whole"), READERS.values(), ids=READERS)
def test_a_flipped_bit_gives_tensors_or_the_documented_error(
    read: Callable[[bytes], Any], whole: bytes
) -> None:
    chance = random.Random(0)
    causes = set()
    for _ in range(2000):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            found = read(bytes(data))
        except TensorsError as error:
            causes.add(type(error.__cause__).__name__)
        else:
            assert all(isinstance(value, torch.Tensor) for value in found.values())
    assert causes


def test_old_files_fail_in_many_ways() -> None:
    """So that a list of what torch raises would always be too short."""
    read, whole = READERS["old pth"]
    causes = set()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        try:
            read(bytes(data))
        except TensorsError as error:
            causes.add(type(error.__cause__))
    assert {IndexError, AssertionError, TypeError} <= causes


@pytest.mark.parametrize(("read", "whole"), READERS.values(), ids=READERS)
def test_every_truncation(read: Callable[[bytes], Any], whole: bytes) -> None:
    assert read(whole).keys() == STATE.keys()
    for length in range(0, len(whole), 7):
        with pytest.raises(TensorsError):
            read(whole[:length])


def quantised() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a part of torch that is going away
        return torch.quantize_per_tensor(torch.ones(20), 0.1, 0, torch.qint8)


ODD: dict[str, tuple[Callable[[], torch.Tensor], str]] = {
    "sparse": (lambda: torch.ones(20).to_sparse(), "conv1.bias is sparse"),
    "csr": (lambda: torch.ones(20, 1).to_sparse_csr(), "conv1.bias is sparse"),
    "meta": (lambda: torch.ones(20, device="meta"), "conv1.bias is without content"),
    "quantised": (quantised, "conv1.bias is quantised"),
    "repeated": (lambda: torch.ones(1).expand(20), "conv1.bias repeats a smaller tensor"),
    "int8": (lambda: torch.ones(20, dtype=torch.int8), "conv1.bias is int8, not float32"),
    "bool": (lambda: torch.ones(20, dtype=torch.bool), "conv1.bias is bool, not float32"),
    "complex": (lambda: torch.ones(20, dtype=torch.complex64), "conv1.bias is complex64, not"),
    "nan": (lambda: torch.full((20,), torch.nan), "conv1.bias holds NaN or infinite"),
    "too large for float32": (lambda: torch.full((20,), 1e300, dtype=torch.float64), "finite"),
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize(("make", "message"), ODD.values(), ids=ODD)
def test_a_tensor_that_no_net_can_use(
    make: Callable[[], torch.Tensor], message: str, tmp_path: Path
) -> None:
    state: dict[str, torch.Tensor] = {**LeNet().state_dict(), "conv1.bias": make()}
    torch.save(state, tmp_path / "own.pth")
    with pytest.raises(ClassifierError, match=message):
        load_classifier({"name": "lenet", "weights": "own.pth"}, base=tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_real_numbers_are_taken(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {key: value.to(dtype) for key, value in LeNet().state_dict().items()}
    torch.save(state, tmp_path / "own.pth")
    victim = load_classifier({"name": "lenet", "weights": "own.pth"}, base=tmp_path)
    assert victim.module is not None
    assert {value.dtype for value in victim.module.state_dict().values()} == {torch.float32}


def test_an_archive_that_would_grow_is_refused() -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved({"a": torch.zeros(1_000_000)}))) as plain,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(TensorsError, match="is compressed, 400"):
        read_pickle(io.BytesIO(buffer.getvalue()))


def test_one_number_that_claims_to_be_a_million_classes(tmp_path: Path) -> None:
    """Nothing of that size is made before the rest of the file is held against it."""
    state = {**LeNet().state_dict(), "ip2.bias": torch.zeros(1_000_000)}
    save_file(state, tmp_path / "own.safetensors")
    with pytest.raises(ClassifierError, match=r"ip2\.weight is 10 x 500, not 1000000 x 500"):
        load_classifier({"name": "lenet", "weights": "own.safetensors"}, base=tmp_path)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_can_be_compared_without_content(name: str) -> None:
    architecture = ARCHITECTURES[name]
    with torch.device("meta"):
        empty = build_net(name, architecture, architecture.input_shape, 10)
    full = build_net(name, architecture, architecture.input_shape, 10)
    assert {key: value.shape for key, value in empty.state_dict().items()} == {
        key: value.shape for key, value in full.state_dict().items()
    }


def card(folder: Path, **changes: object) -> Path:
    path = folder / "net.safetensors"
    save_file(LeNet().state_dict(), path)
    content = {
        "architecture": "lenet",
        "input_shape": [1, 28, 28],
        "labels": [str(digit) for digit in range(10)],
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        **changes,
    }
    path.with_suffix(".json").write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_shape": [1, 10**30, 10**30]}, "no side can be longer than 8192"),
        ({"input_shape": [1, 8000, 8000]}, "do not fit the architecture"),  # 400 GB
        ({"input_shape": [1, 1e999, 28]}, "is not a card"),
        ({"input_shape": ["1" * 10_000] * 3}, "is not a card"),
        ({"input_shape": list(range(100_000))}, "is not a card"),
        ({"labels": {"0": "a"}}, "at least two classes"),
        ({"architecture": ["lenet"]}, "is unknown"),
        ({"output": ["logits"]}, "is not a card"),
    ],
)
def test_a_card_that_claims_anything(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ClassifierError, match=message) as info:
        load_classifier(str(card(tmp_path, **changes)))
    assert len(str(info.value)) < 1000


def test_a_card_of_random_bytes(tmp_path: Path) -> None:
    path = card(tmp_path)
    whole = path.with_suffix(".json").read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.with_suffix(".json").write_bytes(data)
        try:
            inspect_classifier(str(path))
        except ClassifierError:
            refused += 1
    assert refused > 100


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".json"])
def test_a_pipe_is_not_waited_for(suffix: str, tmp_path: Path) -> None:
    path = card(tmp_path)
    pipe = path.with_suffix(suffix)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    spec = {"name": "lenet", "weights": str(pipe)} if suffix == ".pth" else str(path)
    with pytest.raises(ClassifierError, match=r"no such file|has no card"):
        load_classifier(spec)
    with pytest.raises(ClassifierError, match="it is a named pipe"):
        sha256_file(pipe)
