"""A disk that is full, a folder that may only be read, a mount that goes away under a run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evofool.errors import EvofoolError, StoreError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.status import status
from evofool.evolution.verify import verify


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a small file system in memory; skips where that is not permitted."""
    places: list[Path] = []

    def mount(*options: str) -> Path:
        place = tmp_path / f"mount-{len(places)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"there is no mount ({error})")
        if done.returncode != 0:
            pytest.skip(f"mounting is not permitted: {done.stderr.strip()}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


@pytest.fixture
def whole(toy_campaign: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    evolve(toy_campaign(), tmp_path / "whole")
    return tmp_path / "whole"


def same_end(run: Path, whole: Path) -> bool:
    assert all(check.ok is not False for check in verify(run))
    return bool(status(run)["archive_digest"] == status(whole)["archive_digest"])


def test_a_full_disk(
    mounted: Callable[..., Path], toy_campaign: Callable[..., dict[str, Any]], whole: Path
) -> None:
    """Once a file that filled it is gone, the run goes on to the same end."""
    disk = mounted("size=1m")
    run = disk / "run"
    free = shutil.disk_usage(disk).free
    (disk / "other").write_bytes(bytes(free - 100 * 1024))
    with pytest.raises(StoreError, match=r"full|No space|disk"):
        evolve(toy_campaign(), run)
    if (run / "manifest.json").is_file():
        assert status(run)["status"] == "interrupted"
        with pytest.raises(EvofoolError):
            resume(run)
    (disk / "other").unlink()
    if (run / "manifest.json").is_file():
        resume(run)
    else:
        evolve(toy_campaign(), run)
    assert same_end(run, whole)


def test_a_folder_that_may_only_be_read(mounted: Callable[..., Path], whole: Path) -> None:
    """Even by root: the file system itself is read-only."""
    disk = mounted("size=4m")
    shutil.copytree(whole, disk / "run")
    before = {path: path.read_bytes() for path in (disk / "run").rglob("*") if path.is_file()}
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert same_end(disk / "run", whole)
    with pytest.raises(StoreError, match=r"cannot be written|readonly|read-only"):
        resume(disk / "run", overrides=["stop.generations=20"])
    for path, data in before.items():
        assert path.read_bytes() == data


def test_a_mount_that_vanishes(
    mounted: Callable[..., Path],
    toy_campaign: Callable[..., dict[str, Any]],
    whole: Path,
    tmp_path: Path,
) -> None:
    """The campaign ends with an error; what was stored before is gone on with on another mount."""
    disk = mounted("size=4m")
    copy = tmp_path / "copy"

    def vanish(progress: Any) -> None:
        if progress.generation == 6:
            shutil.copytree(disk / "run", copy)
            subprocess.run(["umount", "-l", str(disk)], check=True)

    with pytest.raises(StoreError) as info:
        evolve(toy_campaign(), disk / "run", progress=vanish)
    assert str(disk / "run") in str(info.value)
    assert list(disk.iterdir()) == []  # nothing is written beside where it was
    resume(copy)
    assert same_end(copy, whole)
