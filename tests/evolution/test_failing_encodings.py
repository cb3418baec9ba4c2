"""An encoding that raises: one message, and a run that goes on once it is mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.encodings import VectorEncoding
from evofool.errors import EvofoolError, ScoringError
from evofool.evolution import campaign as campaign_module
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.guarded import guarded
from evofool.evolution.status import status

Make = Callable[..., dict[str, Any]]

FAILING = """
import os
import sys

sys.path.insert(0, {folder!r})
from exact import Bytes


class Failing(Bytes):
    name = "failing"
    calls = 0


def breaking(method):
    def call(self, *args):
        Failing.calls += 1
        if os.environ.get("FAIL") and Failing.calls > {after}:
            raise KeyError("oops")
        return getattr(Bytes, method)(self, *args)
    return call


Failing.{method} = breaking({method!r})
"""
TOYS = Path(__file__).parents[1] / "toys"


@pytest.mark.parametrize("algorithm", ["map_elites", "lagging", "mu_plus_lambda"])
@pytest.mark.parametrize(
    ("method", "after", "says"),
    [
        ("sample", 5, "make a random genome"),
        ("mutate", 70, "mutate"),
        ("mate", 35, "cross two genomes"),
        ("render", 20, "render"),
        ("dump", 40, "write a genome down"),
    ],
)
@pytest.mark.parametrize("share", [0.05, 1e-9])
def test_one_message_and_the_same_end(
    toy_campaign: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    algorithm: str,
    method: str,
    after: int,
    says: str,
    share: float,
) -> None:
    monkeypatch.setattr(campaign_module, "COMMIT_SHARE", share)
    file = tmp_path / "failing.py"
    file.write_text(FAILING.format(folder=str(TOYS), method=method, after=after))
    evolution: dict[str, Any] = {"initial": 20, "children": 20}
    if algorithm == "lagging":
        evolution["lag"] = 1
    if algorithm == "mu_plus_lambda":
        evolution |= {"algorithm": algorithm, "target": 3, "mu": 8}
    encoding = {"name": f"{file}:Failing", "swap": True}
    sections = toy_campaign(encoding=encoding, evolution=evolution)
    whole = evolve(sections, tmp_path / "whole").summary["archive_digest"]
    monkeypatch.setenv("FAIL", "1")
    wanted = rf"encoding failing failed to {says} \(KeyError: 'oops'\)"
    with pytest.raises(EvofoolError, match=wanted) as caught:
        evolve(sections, tmp_path / "run")
    assert "evofool resume" in str(caught.value)
    monkeypatch.delenv("FAIL")
    if "starts again" not in str(caught.value):
        assert f"generation {status(tmp_path / 'run')['generations']} is saved" in str(caught.value)
    assert resume(tmp_path / "run").summary["archive_digest"] == whole


class Small:
    name = "small"

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("to_vector", "from_vector"):
            raise AttributeError(name)

        def fail(*args: Any, **options: Any) -> Any:
            raise ZeroDivisionError(name)

        return fail


def test_what_load_raises_is_damage() -> None:
    encoding = guarded(Small())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ZeroDivisionError: load"):
        encoding.load(b"")
    with pytest.raises(ScoringError, match="encoding small failed to mutate"):
        encoding.mutate(b"", np.random.default_rng(0))
    assert not isinstance(encoding, VectorEncoding)


def test_a_vector_encoding_remains_one() -> None:
    from evofool import encodings

    assert isinstance(guarded(encodings.load("direct", (1, 4, 4))), VectorEncoding)
    assert not isinstance(guarded(encodings.load("cppn", (1, 4, 4))), VectorEncoding)
