"""Parts of a third party in one folder outside the package, used by evolve and attack as ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import evofool
from evofool.testing import check_attack, check_classifier, check_defense, check_encoding

COMMON = "SIDE = 8\nCLASSES = ('dark', 'light', 'left', 'right')\n"
VICTIM = """
import torch
from torch import nn
from common_parts import CLASSES, SIDE
from evofool.classifiers import from_module

class Net(nn.Module):
    def forward(self, x):
        half = x[:, :, :, : SIDE // 2].mean((1, 2, 3)), x[:, :, :, SIDE // 2 :].mean((1, 2, 3))
        left, right = (4 * each - 2 for each in half)
        return torch.stack([-left - right, left + right, left - right, right - left], 1)

def make():
    return from_module(Net(), input_shape=(1, SIDE, SIDE), labels=CLASSES, name="halves")
"""
DIGITS = """
import common_parts
from evofool.classifiers import from_module, load_classifier

def make():
    net = load_classifier("mnist-lenet")
    return from_module(
        net.module, input_shape=net.input_shape, labels=net.labels, name="digits"
    )
"""
ENCODING = """
import numpy as np
from common_parts import SIDE

class Columns:
    name = "columns"

    def __init__(self, shape, rate=0.3):
        self.options = {"rate": rate}
        self.channels = shape[0]

    def sample(self, rng):
        return rng.integers(0, 256, SIDE, dtype=np.uint8)

    def mutate(self, genome, rng, generation=0):
        new = rng.random(SIDE) < self.options["rate"]
        return np.where(new, rng.integers(0, 256, SIDE, dtype=np.uint8), genome)

    def mate(self, first, second, rng):
        at = int(rng.integers(1, SIDE))
        return (np.concatenate([first[:at], second[at:]]),
                np.concatenate([second[:at], first[at:]]))

    def render(self, genomes, size):
        which = np.arange(size[1]) * SIDE // size[1]
        shape = (len(genomes), self.channels, *size)
        rows = np.array([genome[which] for genome in genomes], np.uint8)
        return np.broadcast_to(rows.reshape(len(genomes), 1, 1, size[1]), shape).copy()

    def dump(self, genome):
        return genome.tobytes()

    def load(self, data):
        if len(data) != SIDE:
            raise ValueError("eight levels")
        return np.frombuffer(data, np.uint8).copy()

    def describe(self, genome):
        return {"kind": self.name, "levels": genome.tolist()}
"""
ATTACK = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from common_parts import SIDE
from evofool.attacks import Attack

@dataclass(frozen=True)
class Brighten(Attack):
    \"\"\"One half lighter, the other darker, whichever of four ways fools.\"\"\"

    name: ClassVar[str] = "brighten"
    needs: ClassVar[str] = "scores"
    eps: float = 0.3

    def craft(self, job):
        active = job.rows()
        for left, right in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
            width = job.clean.shape[3]
            change = np.where(np.arange(width) < width // 2, left, right) * np.float32(self.eps)
            job.x[active] = np.clip(job.start[active] + change, 0, 1).astype(np.float32)
            scores = job.scores(active, job.on_lattice(active))
            job.known(active, scores)
            active = active[~job.hits(active, scores)]
            if not len(active):
                return
"""
DEFENSE = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from common_parts import SIDE
from evofool.defenses.transforms import Transform

@dataclass(frozen=True)
class Coarse(Transform):
    \"\"\"Fewer levels, in steps of so many.\"\"\"

    name: ClassVar[str] = "coarse"
    step: int = 32

    def apply(self, pictures):
        return (pictures // self.step * self.step + self.step // 2).astype(np.uint8)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    parts = {"common_parts": COMMON, "victim": VICTIM, "digits": DIGITS, "encoding": ENCODING,
             "attack": ATTACK, "defense": DEFENSE}  # fmt: skip
    for name, text in parts.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def write(folder: Path, name: str, config: dict[str, Any]) -> Path:
    (folder / name).write_text(yaml.dump(config))
    return folder / name


def test_one_folder_of_parts_serves_every_kind_of_run(folder: Path) -> None:
    check_classifier(f"{folder}/victim.py:make")
    check_encoding(f"{folder}/encoding.py:Columns", (1, 8, 8))
    check_attack(f"{folder}/attack.py:Brighten", f"{folder}/victim.py:make")
    check_defense(f"{folder}/defense.py:Coarse", f"{folder}/victim.py:make")
    evolved = evofool.evolve(
        write(folder, "evolve.yaml", {
            "classifier": "victim.py:make",
            "encoding": "encoding.py:Columns",
            "evolution": {"initial": 20, "children": 20},
            "stop": {"generations": 5},
        }),
        folder / "evolved",
    )  # fmt: skip
    assert [elite.label for elite in evolved.elites()] == ["dark", "light", "left", "right"]
    attacked = evofool.attack(
        write(folder, "attack.yaml", {
            "kind": "attack",
            "classifier": "victim.py:make",
            "images": {"noise": "uniform", "count": 8},
            "attacks": [{"name": "attack.py:Brighten", "eps": [0.1, 0.5]}],
        }),
        folder / "attacked",
    )  # fmt: skip
    assert attacked.summary["attacks"][1]["success_png"]["rate"] > 0.9
    for run in (evolved, attacked):
        assert not [check for check in evofool.verify(run) if check.ok is False]
        assert evofool.resume(run).results() == run.results()
        manifest = json.loads((run.path / "manifest.json").read_text())
        assert all("common_parts.py" in file[0]["beside"] for file in manifest["code"].values())
    net = evofool.load_classifier(str(write(folder, "victim.yaml", {
        "base": "victim.py:make", "defense": {"name": "defense.py:Coarse", "step": 64},
    })))  # fmt: skip
    assert net.labels == ("dark", "light", "left", "right")
    # behind the defense, the same attack is judged as on any other victim
    behind = evofool.attack(
        write(folder, "behind.yaml", {
            "kind": "attack",
            "classifier": "victim.yaml",
            "images": {"noise": "uniform", "count": 8},
            "attacks": [{"name": "attack.py:Brighten", "eps": 0.5}],
        }),
        folder / "behind",
    )  # fmt: skip
    assert not [check for check in evofool.verify(behind) if check.ok is False]
    assert evofool.make_gallery([evolved, attacked], folder / "page").pictures == 20


def defense_config(**changes: Any) -> dict[str, Any]:
    """A small evaluation that names all of its parts from the folder of its config."""
    return {
        "kind": "defend",
        "base": "digits.py:make",
        "defense": {"name": "defense.py:Coarse", "step": 64},
        "data": {"dataset": "mnist-sample", "limit": 6, "start": 10},
        "threats": {
            "eps": 0.2, "steps": 3, "restarts": 1, "black_images": 4, "square_queries": 10,
            "substitute_initial": 10, "substitute_rounds": 1, "random_points": 2,
        },
        "evolution": {
            "encodings": ["encoding.py:Columns"], "initial": 6, "children": 6, "generations": 1,
            "seeds": [1],
        },
        **changes,
    }  # fmt: skip


def test_a_defense_of_a_third_party_is_judged(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    run = evofool.defend(write(folder, "defend.yaml", defense_config()), folder / "defended")
    written = yaml.safe_load((run.path / "config.yaml").read_text())
    assert written["defense"] == {"name": f"{folder}/defense.py:Coarse", "step": 64}
    assert written["evolution"]["encodings"] == [f"{folder}/encoding.py:Columns"]
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert {"base.name", "defense.name", "evolution.encodings.0"} <= set(manifest["code"])
    assert all("common_parts.py" in file[0]["beside"] for file in manifest["code"].values())
    # the defended net is the net behind the defense, and a victim for every command
    victim = evofool.load_classifier(str(run.path / "victim.yaml"))
    assert victim.headline.endswith("+coarse")
    rows = {(row.net, row.threat): row for row in run.results()}
    assert rows["defended", "no attack"].n == rows["undefended", "no attack"].n == 6
    assert {path.name for path in (run.path / "evolution").iterdir()} == {
        "undefended-encoding.Columns-1", "defended-encoding.Columns-1"
    }  # fmt: skip
    assert "encoding.Columns" in (run.path / "report" / "index.html").read_text()
    assert str(folder) not in (run.path / "curves.csv").read_text()
    state = evofool.status(run)
    assert (state["status"], state["defense"]) == ("finished", f"{folder}/defense.py:Coarse")
    assert state["works"] == state["finished"]
    assert evofool.resume(run).results() == run.results()
    assert not [check for check in evofool.verify(run) if check.ok is False]
