"""Kernels are compiled even where nothing can be cached."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core import caching
from numba.core.errors import NumbaError

from evofool.jit import jit

WRITTEN = "def doubled(x):\n    return 2 * x\n"


def doubled(x: float) -> float:
    return 2 * x


def test_without_a_place_for_a_cache(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As numba finds itself in a read-only installation whose user has no home."""
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit("f8(f8)", cache=True)(doubled)
    caplog.set_level(logging.INFO, "evofool.jit")
    assert jit("f8(f8)")(doubled)(4.0) == 8.0
    assert "doubled is compiled at every start" in caplog.text


def test_a_missing_home_is_no_folder_named_tilde(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # a read-only installation
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    places = caching.CompileResultCacheImpl._locator_classes
    of_the_home = [place for place in places if "UserWide" in place.__name__]
    assert len(of_the_home) == 1
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", of_the_home)
    assert jit("f8(f8)")(doubled)(4.0) == 8.0
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function of a file whose cache is beside it."""
    file = tmp_path / "written.py"
    file.write_text(WRITTEN)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    names: dict[str, Any] = {"__name__": "written"}
    exec(compile(WRITTEN, str(file), "exec"), names)
    return names["doubled"]


def test_a_cache_that_cannot_be_written(cached: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    with pytest.raises(OSError, match="No space"):
        numba.njit("f8(f8)", cache=True)(cached)
    assert jit("f8(f8)")(cached)(4.0) == 8.0


@pytest.mark.parametrize("damage", [b"", b"\x80\x04.", b"\xff" * 50])
def test_a_damaged_cache(cached: Any, damage: bytes, tmp_path: Path) -> None:
    assert jit("f8(f8)")(cached)(4.0) == 8.0
    indices = list((tmp_path / "cache").rglob("*.nbi"))
    assert indices  # it was cached
    version = pickle.dumps(numba.__version__)
    for index in indices:
        index.write_bytes(version + damage)
    assert jit("f8(f8)")(cached)(5.0) == 10.0


def test_what_does_not_compile_is_still_an_error() -> None:
    def wrong(x: float) -> float:
        return x.nothing  # type: ignore[attr-defined,no-any-return]

    with pytest.raises(NumbaError, match="nothing"):
        jit("f8(f8)")(wrong)
