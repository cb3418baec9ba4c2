"""A run of attacks on a net that claims several classes: what it aims at, and that it can be
verified."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

from evofool.attacks.runs.rows import IMAGES, ImageRow, read_images
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life
from evofool.experiments.runs import verify
from evofool.store.experiment import ExperimentFolder

attack = partial(life.begin, AttackStudy)

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, images):
        m = 20 * (images.mean((1, 2, 3)) - 0.5)
        return torch.stack([m + 3, m - 0.2, 0.2 - m, 0.9 - m], 1)
"""


def test_nothing_is_aimed_at_what_is_claimed_already(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(CODE)
    config = {
        "classifier": {
            "name": str(tmp_path / "own.py") + ":Net", "input_shape": [1, 6, 6],
            "task": "multi-label",
        },
        "images": {"noise": "uniform", "count": 12},
        "attacks": [
            {"name": "pgd", "eps": 0.06, "steps": 8, "targets": "random"},
            {"name": "fgsm", "eps": 0.02},
        ],
        "seed": 2,
    }  # fmt: skip
    run = tmp_path / "run"
    attack(config, run)
    with ExperimentFolder.open(run) as folder:
        claimed = [image.claimed for image in read_images(folder, folder.roles()[IMAGES])]
    assert {1 in each for each in claimed if each is not None} == {True, False}
    with (run / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    targets = [(int(row["image"]), int(row["target"])) for row in rows if row["attack"] == "pgd"]
    assert targets
    assert not any(target in (claimed[image] or ()) for image, target in targets)
    assert {row["success_png"] for row in rows} == {"0", "1"}
    assert [check.name for check in verify(run) if check.ok is False] == []


def test_pictures_under_transforms_that_were_held_back(tmp_path: Path) -> None:
    """A success there is as with the attack: the label is no longer claimed, or the target is."""
    (tmp_path / "own.py").write_text(CODE)
    dark = {"k": 2, "brightness": 0.001, "held_back": 5}
    config = {
        "classifier": {
            "name": str(tmp_path / "own.py") + ":Net", "input_shape": [1, 6, 6],
            "task": "multi-label", "transforms": dark,
        },
        "images": {"noise": "uniform", "count": 6},
        "attacks": [
            {"name": "pgd", "eps": 0.1, "early_stop": False, "targets": 2},
            {"name": "fgsm", "eps": 0.02},
        ],
        "seed": 2,
    }  # fmt: skip
    run = tmp_path / "run"
    attack(config, run)
    with (run / "held_back.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {(row["attack"], row["success_png"], row["successes"]) for row in rows}
    # class 3 is always surer than class 2, so no picture has 2 as its first answer
    assert found == {("pgd", "1", "5"), ("fgsm", "0", "0")}
    assert [check.name for check in verify(run) if check.ok is False] == []


def test_rows_of_other_nets_are_what_they_were() -> None:
    row = ImageRow(0, "noise", 1, 1, 0.5, 0, True)
    assert "claimed" not in row.content()
    several = ImageRow(0, "noise", 1, 1, 0.5, 0, True, (1, 3))
    for each in (row, several):
        assert ImageRow.parse(0, each.content(), None, "run") == each
