"""Attacks from a file of the user's, and from installed packages."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import evofool
from evofool.attacks.registry import describe, grid, names
from evofool.attacks.runs.planning import planned_attacks
from evofool.cli.listing import attacks as listed
from evofool.config.attack import load_attacks
from evofool.errors import AttackError, ConfigError, FolderError
from evofool.experiments.runs import verify
from evofool.gallery import build

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "corners.py"
VICTIM = f"{Path(__file__).parents[2] / 'toys' / 'linear.py'}:victim"

HEAD = """from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from evofool.attacks import Attack, FGSM
"""
GOOD = (
    HEAD
    + """
from helper_of_mine import STRENGTH

@dataclass(frozen=True)
class Mine(Attack):
    \"\"\"Lighter, by eps.

    More of it.
    \"\"\"

    name: ClassVar[str] = "mine"
    eps: float = STRENGTH
    often: int | None = None

    def craft(self, job):
        job.x = np.minimum(job.start + np.float32(self.eps), 1).astype(np.float32)
"""
)


def config(**sections: Any) -> dict[str, Any]:
    return {
        "classifier": VICTIM,
        "images": {"noise": "uniform", "count": 6},
        "attacks": [{"name": "mine.py:Mine", "eps": [0.1, 0.2]}],
        "scoring": {"batch": 4, "workers": 1},
        "seed": 3,
        **sections,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an attack, a module beside it and a config."""
    (tmp_path / "mine.py").write_text(GOOD)
    (tmp_path / "helper_of_mine.py").write_text("STRENGTH = 0.25\n")
    (tmp_path / "c.yaml").write_text(yaml.dump({"kind": "attack", **config()}))
    return tmp_path


def test_a_file_is_an_attack_with_its_parameters(folder: Path) -> None:
    name = f"{folder / 'mine.py'}:Mine"
    found = describe(name)
    assert found.name == name
    assert found.about == "Lighter, by eps."
    assert found.to_json()["parameters"] == {
        "seed": 0,
        "mask": None,
        "eps": 0.25,
        "often": None,
    }
    assert [a.eps for a in grid(name, {"eps": ["8/255", 0.3]})] == [8 / 255, 0.3]  # type: ignore[attr-defined]
    with pytest.raises(AttackError, match="did you mean 'often'") as caught:
        list(grid(name, {"oftn": 1}))
    assert caught.value.option == "oftn"
    (inside,) = grid("substitute", {"inner": {"name": name, "eps": 0.2}})
    assert inside.inner.eps == 0.2  # type: ignore[attr-defined]


def test_a_run_finds_it_beside_its_config(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run = evofool.attack(folder / "c.yaml", folder / "run")
    lines = run.summary["attacks"]
    assert [line["attack"] for line in lines] == ["mine.py:Mine"] * 2
    assert [line["parameters"]["eps"] for line in lines] == [0.1, 0.2]
    assert str(folder) not in (folder / "run" / "results.csv").read_text()
    assert not [check for check in verify(folder / "run") if check.ok is False]
    code = json.loads((folder / "run" / "manifest.json").read_text())["code"]["attacks.0.name"]
    assert [Path(file["path"]).name for file in code] == ["mine.py"]
    assert list(code[0]["beside"]) == ["helper_of_mine.py"]
    assert build(folder / "run").pictures


@pytest.mark.parametrize("name", ["mine.py", "helper_of_mine.py"])
def test_an_edited_file_is_not_run(folder: Path, name: str) -> None:
    evofool.attack(folder / "c.yaml", folder / "run")
    trace = folder / "trace"
    with (folder / name).open("a") as file:
        file.write(f"open({str(trace)!r}, 'w').close()\n")
    for use in (
        lambda: evofool.resume(folder / "run"),
        lambda: build(folder / "run"),
    ):
        with pytest.raises(FolderError, match=rf"{name}.* has changed .*attacks\.0\.name"):
            use()
    (check,) = [check for check in verify(folder / "run") if check.ok is False]
    assert name in check.detail
    assert not trace.exists()


def test_attacks_inside_attacks_are_found_beside_the_config_too(folder: Path) -> None:
    entries = [
        {"name": "substitute", "inner": "mine.py:Mine", "rounds": 1},
        {"name": "substitute", "inner": [{"name": "mine.py:Mine", "eps": 0.5}], "rounds": 1},
        "mine.py:Mine",
    ]
    (folder / "c.yaml").write_text(yaml.dump(config(attacks=entries)))
    planned = planned_attacks(load_attacks(folder / "c.yaml"))
    inner = [getattr(each.attack, "inner", each.attack) for each in planned]
    assert [attack.eps for attack in inner] == [0.25, 0.5, 0.25]
    shutil.move(folder / "mine.py", folder / "moved.py")
    with pytest.raises(ConfigError, match=r"c\.yaml:\d+: attacks\[0\]\.inner: no such file"):
        load_attacks(folder / "c.yaml")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("Mine", None, "cannot be read"),
        ("Mine", "import no_such_module_anywhere", "fails to import .ModuleNotFoundError"),
        ("Mine", "raise SystemExit(3)", "fails to import .SystemExit"),
        ("Min", GOOD, "no class named 'Min'; did you mean 'Mine'"),
        ("Mine", "Mine = 3", "no class named 'Mine'"),
        ("Mine", "class Mine: pass", "Mine is not an attack; derive it from evofool.attacks."),
        ("Mine", f"{HEAD}\n@dataclass(frozen=True)\nclass Mine(Attack):\n    name = 'm'\n",
         "does not define craft"),
        ("Mine", GOOD.replace("@dataclass(frozen=True)\n", ""),
         "its eps is not a parameter; put @dataclass"),
        ("Mine", GOOD.replace('name: ClassVar[str] = "mine"', ""), "Mine has no name; add name"),
        ("Mine", GOOD.replace("often: int | None", "often: np.ndarray"),
         "often is of type ndarray, which no config can give"),
        ("Mine", GOOD.replace("often: int | None", "often: dict[str, int] | None"),
         r"often is of type .*dict\[str, int\].*no config can give"),
        ("Mine", GOOD.replace("often: int | None", "often: Missing"),
         "annotations of Mine cannot be read .name 'Missing'"),
        ("Mine", GOOD.replace('"mine"', '"mine"\n    aim: ClassVar[str] = "sideways"'),
         "aim of Mine is 'sideways', not one of untargeted, targeted, both, any"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it_is_said_at_its_place(
    folder: Path, name: str, text: str | None, words: str
) -> None:
    (folder / "mine.py").unlink() if text is None else (folder / "mine.py").write_text(text)
    with pytest.raises(AttackError, match=words):
        describe(f"{folder / 'mine.py'}:{name}")
    (folder / "c.yaml").write_text(yaml.dump(config(attacks=[f"mine.py:{name}"])))
    with pytest.raises(ConfigError, match=r"c\.yaml:\d+: attacks\[0\]: .*mine\.py"):
        planned_attacks(load_attacks(folder / "c.yaml"))


@pytest.mark.parametrize("hint", ["object", "FGSM", "Attack", "tuple[int, ...]", "str | None"])
def test_types_that_will_do(folder: Path, hint: str) -> None:
    (folder / "mine.py").write_text(GOOD.replace("often: int | None", f"often: {hint}"))
    found = describe(f"{folder / 'mine.py'}:Mine").to_json()["parameters"]
    assert ("often" in found) == (hint != "object")


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    run = evofool.attack(
        config(attacks=[{"name": f"{EXAMPLE}:RandomCorners", "eps": [0.05, 0.5], "tries": 9}]),
        tmp_path / "run",
    )
    weak, strong = run.summary["attacks"]
    assert weak["success_png"]["rate"] < strong["success_png"]["rate"]
    assert 6 <= strong["forward_images"] <= weak["forward_images"] <= 54
    assert not [check for check in verify(tmp_path / "run") if check.ok is False]


def test_a_confidence_that_it_asks_for_is_verified_too(folder: Path) -> None:
    least = "    @property\n    def least_confidence(self):\n        return 0.87\n"
    text = GOOD.replace('"mine"', '"mine"\n    aim: ClassVar[str] = "any"')
    (folder / "mine.py").write_text(text + least)
    (folder / "c.yaml").write_text(yaml.dump(config(attacks=[
        {"name": "mine.py:Mine", "eps": 0.5}
    ])))  # fmt: skip
    evofool.attack(folder / "c.yaml", folder / "run")
    with (folder / "run" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["success_png"] for row in rows} == {"0", "1"}
    assert all((float(row["confidence"]) > 0.87) == (row["success_png"] == "1") for row in rows)
    assert not [check for check in verify(folder / "run") if check.ok is False]


def package(folder: Path, group: str, **points: str) -> None:
    """A package as an installer leaves it: modules, and what it offers in its metadata."""
    info = folder / "toy_package-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-package\nVersion: 1.0\n")
    lines = "".join(f"{name.replace('_', '-')} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")


def test_packages_offer_attacks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(EXAMPLE, folder / "toy_corners.py")
    package(
        folder, "evofool.attacks", random_corners="toy_corners:RandomCorners",
        fgsm="toy_corners:RandomCorners",
    )  # fmt: skip
    monkeypatch.syspath_prepend(folder)
    assert names().count("fgsm") == 1
    assert describe("fgsm").factory is not describe("random-corners").factory
    (row,) = [row for row in listed() if row["name"] == "random-corners"]
    assert row["parameters"] == {"seed": 0, "mask": None, "eps": 8 / 255, "tries": 20}
    with pytest.raises(AttackError, match="did you mean 'random-corners'"):
        describe("random-corner")
    run = evofool.attack(config(attacks=[{"name": "random-corners", "tries": 3}]), folder / "run")
    assert run.summary["attacks"][0]["attack"] == "random-corners"


def test_a_broken_package_breaks_only_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(folder, "evofool.attacks", lost="no_such_module_at_all:Lost", number="math:pi")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(AttackError, match=r"lost: .*installed package toy-package fails to import"):
        describe("lost")
    with pytest.raises(AttackError, match=r"number: math:pi .* is not a class"):
        describe("number")
    rows = {row["name"]: row for row in listed()}
    assert "fails to import" in rows["lost"]["about"]
    assert rows["fgsm"]["parameters"]["eps"] == 8 / 255
