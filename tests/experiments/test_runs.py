"""Commands on a run of any kind: nobody waits for what another kind needs."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import FolderError, StoreError
from evofool.evolution.campaign import evolve
from evofool.experiments.runs import resume


def test_the_status_of_a_campaign_does_not_load_torch(
    toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    evolve(toy_campaign(stop={"generations": 1}), tmp_path / "run")
    code = (
        "import sys; from evofool.experiments.runs import status; status(sys.argv[1]);"
        " sys.exit(any(name in sys.modules for name in ('torch', 'numba', 'cv2', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], timeout=600)
    assert done.returncode == 0


def a_manifest_cut_short(run: Path) -> None:
    (run / "manifest.json").write_text("{", encoding="utf-8")


def a_manifest_of_numbers(run: Path) -> None:
    text = (run / "manifest.json").read_text(encoding="utf-8")
    (run / "manifest.json").write_text(re.sub(r'"run_id": "[^"]*"', '"run_id": 3', text), "utf-8")


def genomes_of_other_bytes(run: Path) -> None:
    with closing(sqlite3.connect(run / "run.sqlite")) as db, db:
        db.execute("UPDATE individuals SET genome = x'00' WHERE genome IS NOT NULL")
        db.execute("DELETE FROM meta WHERE key = 'rows_sha256'")


@pytest.mark.parametrize(
    "damage", [a_manifest_cut_short, a_manifest_of_numbers, genomes_of_other_bytes]
)
def test_what_resume_says_of_damage(
    toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    run = tmp_path / "run"
    evolve(toy_campaign(stop={"generations": 1}), run)
    damage(run)
    with pytest.raises(StoreError) as caught:
        resume(run, overrides=["stop.generations=2"])
    assert str(caught.value).startswith(str(run))
    assert f"put the file back from a copy, or start a new run (evofool verify {run}" in str(
        caught.value
    )


def test_no_run_folder_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(FolderError) as caught:
        resume(tmp_path / "nothing")
    assert "put the file back" not in str(caught.value)
