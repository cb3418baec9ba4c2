"""The state of an algorithm as bytes of a run folder, which may be damaged or made to harm."""

from __future__ import annotations

import io
import random
import zipfile
from typing import Any, Literal

import numpy as np
import pytest

from evofool.config import CmaEsConfig, MuPlusLambdaConfig
from evofool.encodings import load
from evofool.errors import StoreError
from evofool.evolution.arrays import pack, unpack
from evofool.evolution.cma_es import ARRAYS, CmaEs
from evofool.evolution.deap_toolbox import first_tools
from evofool.evolution.fitness import NamedFitness
from evofool.evolution.mu_plus_lambda import MuPlusLambda

SOME = {"ids": np.arange(6).reshape(3, 2), "x": np.linspace(0, 1, 5), "one": np.float64(2.5)}


def test_arrays_come_back_as_they_were() -> None:
    some = {**SOME, "columns": np.asfortranarray(np.arange(6).reshape(2, 3)), "none": np.empty(0)}
    found = unpack({"k": pack(**some)}, "k", list(some))
    for name, array in some.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        assert found[name].flags.writeable


def test_every_flipped_bit_is_a_store_error_or_changes_nothing() -> None:
    """In the zip directory one may ask for a password, another method, or all memory there is."""
    whole = pack(**SOME)
    causes = set()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        try:
            found = unpack({"k": bytes(data)}, "k", list(SOME))
        except StoreError as error:
            causes.add(type(error.__cause__))
        else:
            assert all(np.array_equal(found[name], SOME[name]) for name in SOME)
    assert {NotImplementedError, RuntimeError, ValueError, zipfile.BadZipFile} <= causes


def test_every_truncation_and_nonsense() -> None:
    whole = pack(**SOME)
    for data in (b"", b"PK", b"\0" * 100, *(whole[:n] for n in range(0, len(whole), 5))):
        with pytest.raises(StoreError, match="the stored k is damaged"):
            unpack({"k": data}, "k", list(SOME))
    with pytest.raises(StoreError, match="holds no k"):
        unpack({}, "k", [])


def archive(content: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("x.npy", content)
    return buffer.getvalue()


def header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        archive(header((10**12,)) + bytes(8)),
        archive(header((2**32, 2**32)) + bytes(8)),  # 0 in 64 bits
        archive(header((-1,)) + bytes(8)),
        archive(header((1,), "|O") + bytes(8)),
        archive(header((1,), "|V0")),
        archive(header((2**40,)) + bytes(100), zipfile.ZIP_DEFLATED),
        archive(bytes(10**7), zipfile.ZIP_DEFLATED),
    ],
)
def test_a_header_that_claims_anything(data: bytes) -> None:
    with pytest.raises(StoreError, match="the stored k is damaged"):
        unpack({"k": data}, "k", ["x"])


def test_random_archives() -> None:
    chance = random.Random(0)
    whole = pack(**SOME)
    for _ in range(1000):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 30)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            unpack({"k": bytes(data)}, "k", list(SOME))
        except StoreError as error:
            assert "the stored k is damaged" in str(error)  # noqa: PT017


# what the algorithms make of them


def toolbox(encoding: Any) -> Any:
    tools = first_tools(MuPlusLambdaConfig(target=0), encoding, NamedFitness("log_odds"))
    tools.register("evaluate", lambda _: [])  # never asked
    return tools


@pytest.mark.parametrize("centroid", [np.zeros(100_000), np.zeros((4, 4)), np.float64(0)])
def test_a_centroid_of_another_size_makes_no_matrix(centroid: Any) -> None:
    """100,000 genes would be 80 GB."""
    encoding = load("direct", (1, 4, 4))
    algorithm = CmaEs(CmaEsConfig(target=0), 1, toolbox(encoding), encoding)
    arrays = {name: np.zeros(1) for name in ARRAYS}
    with pytest.raises(StoreError, match=r"cma_es is damaged \(centroid\)"):
        algorithm.restore({"cma_es": pack(**{**arrays, "centroid": centroid})})


def test_a_fitness_that_is_no_number() -> None:
    encoding = load("direct", (1, 4, 4))
    algorithm = MuPlusLambda(
        MuPlusLambdaConfig(target=0, initial=3), 1, toolbox(encoding), encoding
    )
    genome = encoding.dump(encoding.sample(np.random.default_rng(0)))
    population = pack(
        ids=np.zeros((1, 2), np.int64),
        lengths=np.array([len(genome)]),
        dumps=np.frombuffer(genome, np.uint8),
    )
    for fitness in (np.array([np.nan]), np.array(["high"]), np.zeros((1, 2))):
        order = pack(ids=np.zeros((1, 2), np.int64), fitness=fitness)
        with pytest.raises(StoreError, match="the stored population is damaged"):
            algorithm.restore({"population": population, "order": order})


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_as_they_lay(order: Literal["C", "F"]) -> None:
    """A matrix product's last bits depend on it, and a resumed search on these."""
    array = np.asarray(np.random.default_rng(0).normal(size=(5, 5)), order=order)
    found = unpack({"key": pack(matrix=array)}, "key", ["matrix"])["matrix"]
    assert np.array_equal(found, array)
    assert found.strides == array.strides
