"""``drive`` and ``print-sheet`` as they are typed: what they answer, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.images import encode_png

TOY = f"{Path(__file__).parents[1] / 'toys' / 'exact.py'}:victim"


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    path = tmp_path / "sign.png"
    path.write_bytes(encode_png(np.full((3, 16, 16), 200, np.uint8)))
    return path


def test_a_drive(evofool: Callable[..., Any], sign: Path) -> None:
    folder = sign.parent
    options = ("--classifier", TOY, "--true", "0", "--frames", "4", "--from", "20", "--to", "8")
    done = evofool("drive", "sign.png", *options, "--shape", "octagon", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "of 4 frames" in done.stdout
    assert "4 queries of" in done.stdout
    assert {path.name for path in (folder / "runs" / "drive-sign").iterdir()} == {
        "results.csv", "strip.png", "summary.json",
    }  # fmt: skip
    done = evofool("drive", "sign.png", *options, "--json", cwd=folder)
    assert json.loads(done.stdout)["frames"] == 4
    assert (folder / "runs" / "drive-sign-2").is_dir()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "0", "--frames", "0"), "at least one frame, not 0"),
        (("--target", "fish"), "--target fish: no class is called 'fish'"),
        (("--target", "0", "--from", "900"), "less than a pixel of the sign is left"),
        (("--target", "0", "--to", "2"), "reaches out of the camera's frame"),
        (("--lenticular",), "a lenticular sign has two pictures"),
        ((), "what should it be read as?"),
    ],
)
def test_a_drive_that_cannot_be(
    fails: Callable[..., str], sign: Path, options: tuple[str, ...], message: str
) -> None:
    text = fails(2, "drive", "sign.png", "--classifier", TOY, *options, cwd=sign.parent)
    assert message in text
    assert not (sign.parent / "runs").exists()


def test_a_print_sheet(evofool: Callable[..., Any], fails: Callable[..., str], sign: Path) -> None:
    folder = sign.parent
    options = ("--width-mm", "50", "--dpi", "72")
    done = evofool("print-sheet", "sign.png", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "50 x 50 mm, 142 x 142 pixels, on 1 page of 210 x 297 mm" in done.stdout
    assert (folder / "runs" / "print-sign" / "sheet.pdf").read_bytes().startswith(b"%PDF")
    assert "--dpi 346" in fails(2, "print-sheet", "sign.png", "--dpi", "1200", cwd=folder)
