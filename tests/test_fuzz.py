"""Loaders are given damaged bytes, configs and run folders: only documented errors leave them.

Briefly here; ``EVOFOOL_FUZZ=100`` is a hundred times as long, with other seeds.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from evofool import encodings
from evofool.classifiers.nets.stored_tensors import TensorsError, read_pickle, read_safetensors
from evofool.config import load_campaign
from evofool.errors import ConfigError, EvofoolError, StoreError
from evofool.evolution.campaign import evolve
from evofool.evolution.status import status
from evofool.kinds import BUILT_IN
from evofool.store import CampaignFolder

LONGER = int(os.environ.get("EVOFOOL_FUZZ", "1"))
SHAPE = (1, 8, 8)
ROOT = Path(__file__).parents[1]
ODD = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\x80", b"\xff\xff\xff\x7f", b"\0\0\xc0\x7f", b"\n")
"""Bytes, and ends of the ranges of integers, and NaN."""


def damaged(whole: bytes, times: int, seed: int) -> Iterator[bytes]:
    """`whole` with some bytes changed, put in, taken out, doubled or moved."""
    chance = random.Random(seed if LONGER == 1 else f"{seed} {LONGER}")
    for _ in range(times * LONGER):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            length = chance.randint(1, 16)
            match chance.randrange(6):
                case 0:
                    data[at : at + 1] = bytes([chance.randrange(256)])
                case 1:
                    odd = chance.choice(ODD)
                    data[at : at + len(odd)] = odd
                case 2:
                    del data[at : at + length]
                case 3:
                    data[at:at] = data[at : at + length]
                case 4:
                    data[at:at] = chance.randbytes(length)
                case _:
                    del data[at:]
        yield bytes(data)


@pytest.mark.parametrize("name", ["direct", "cppn", "textured", "layers"])
def test_genomes(name: str) -> None:
    encoding = encodings.load(name, SHAPE)
    rng = np.random.default_rng(1)
    genome = encoding.sample(rng)
    for generation in range(5):
        genome = encoding.mutate(genome, rng, generation)
    loaded = []
    for data in damaged(encoding.dump(genome), 500, 1):
        with contextlib.suppress(ValueError):
            loaded.append(encoding.load(data))
    for genome in loaded[:100]:
        assert encoding.render([genome], SHAPE[1:]).shape == (1, *SHAPE)
        assert encoding.dump(encoding.load(encoding.dump(genome))) == encoding.dump(genome)


STATE = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.ones(3)}


def _pth(legacy: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(STATE, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


WEIGHTS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "safetensors": (read_safetensors, save(STATE)),
    "pth": (lambda data: read_pickle(io.BytesIO(data)), _pth(False)),
    "old pth": (lambda data: read_pickle(io.BytesIO(data)), _pth(True)),
}


@pytest.mark.parametrize(("read", "whole"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights(read: Callable[[bytes], Any], whole: bytes) -> None:
    for data in damaged(whole, 300, 2):
        with contextlib.suppress(TensorsError):
            assert isinstance(read(data), dict)


SHIPPED = {
    "evolve": "configs/quickstart.yaml",
    "attack": "configs/attack-mnist.yaml",
    "defend": "configs/defend/mnist-jpeg.yaml",
    "train": "configs/train/mnist-lenet.yaml",
}


@pytest.mark.parametrize("kind", SHIPPED)
def test_yaml(kind: str, tmp_path: Path) -> None:
    (load,) = [each.part("load") for each in BUILT_IN if each.name == kind]
    file = tmp_path / "config.yaml"
    for data in damaged((ROOT / SHIPPED[kind]).read_bytes(), 60, 3):
        file.write_bytes(data)
        with contextlib.suppress(ConfigError):
            load(file, (), None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["all", "1e999", "../../x", "~nobody/x", "x" * 300, "${HOME}", "cppn"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
WHOLE: dict[str, Any] = {
    "classifier": {"name": "mnist-lenet", "crops": 1},
    "encoding": {"name": "cppn", "preset": "evofool"},
    "evolution": {"algorithm": "map_elites", "initial": 20, "children": 20, "classes": "all"},
    "stop": {"generations": 2, "seconds": 1.5},
    "scoring": {"engine": "auto", "batch": 8, "workers": 1},
    "seed": 1,
}
KEYS = [(section,) for section in WHOLE] + [
    (section, key) for section, inner in WHOLE.items() if isinstance(inner, dict) for key in inner
]


@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=3))
@settings(max_examples=150 * LONGER, suppress_health_check=list(HealthCheck))
def test_configs(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    config = copy.deepcopy(WHOLE)
    for path, value in changes:
        inner: Any = config
        for key in path[:-1]:
            inner = inner[key] if isinstance(inner, dict) and key in inner else {}
        if isinstance(inner, dict):
            inner[path[-1]] = value
    with contextlib.suppress(ConfigError):
        load_campaign(config)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, toy_campaign: Any) -> Path:
    run = tmp_path_factory.mktemp("fuzz") / "run"
    evolve(toy_campaign(stop={"generations": 2}), run)
    return run


COLUMNS = {
    "meta": ("value",),
    "generations": ("evaluations", "batch", "seconds", "stats"),
    "individuals": ("idx", "parents", "parent_cells", "sha256", "genome"),
    "wins": ("class_index", "log_odds", "confidence", "replaced"),
    "elites": ("class_index", "idx", "fitness", "log_odds", "confidence", "won"),
}
CELLS = st.sampled_from([(table, column) for table, names in COLUMNS.items() for column in names])
SQL = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=9) | st.binary(max_size=40)


@given(
    st.lists(st.tuples(CELLS, SQL, st.integers(0, 9)), max_size=3),
    st.none() | st.tuples(st.integers(0, 99), VALUES),
)
@settings(max_examples=60 * LONGER, suppress_health_check=list(HealthCheck))
def test_run_folders(finished: Path, cells: list[Any], leaf: tuple[int, Any] | None) -> None:
    run = finished.parent / "changed"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(finished, run)
    with closing(sqlite3.connect(run / "run.sqlite")) as db, db:
        for (table, column), value, row in cells:
            statement = f"UPDATE OR REPLACE {table} SET {column} = ? WHERE rowid = ?"
            if table in ("individuals", "wins"):
                statement = f"UPDATE OR REPLACE {table} SET {column} = ? WHERE idx % 10 = ?"
            with contextlib.suppress(sqlite3.Error, UnicodeError):  # a kind that it never takes
                db.execute(statement, (value, row))
    if leaf is not None:
        manifest = json.loads((run / "manifest.json").read_text())
        manifest[sorted(manifest)[leaf[0] % len(manifest)]] = leaf[1]
        (run / "manifest.json").write_text(json.dumps(manifest))
    with contextlib.suppress(EvofoolError):
        status(run)
    with contextlib.suppress(StoreError), CampaignFolder.open(run) as opened:
        for read in (opened.archive, opened.wins, opened.generations, opened.lineage, opened.state):
            with contextlib.suppress(StoreError):
                read()
