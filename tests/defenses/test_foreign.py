"""Defenses of third parties: in a file of the user's, or in an installed package."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool import plugins
from evofool.classifiers import inspect_classifier, load_classifier
from evofool.data import load_dataset
from evofool.defenses.registry import describe, is_foreign, names
from evofool.defenses.victims import adapted
from evofool.errors import ConfigError, EvofoolError
from evofool.experiments.defend.study import DefendStudy
from evofool.scoring import Scorer
from evofool.store.code import code_of

SHIFTED = Path(__file__).parents[2] / "docs" / "examples" / "shifted.py"
DIGITS = load_dataset("mnist-sample").images[:8]


def victim(folder: Path, defense: str) -> str:
    path = folder / "victim.yaml"
    path.write_text(f"base: mnist-lenet\ndefense: {{{defense}}}\n")
    return str(path)


def config(folder: Path, defense: Any) -> Path:
    import yaml

    path = folder / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "kind": "defend",
                "base": "mnist-lenet",
                "defense": defense,
                "data": {"dataset": "mnist-sample", "limit": 4, "start": 20},
                "threats": {"eps": 0.2, "steps": 3},
            }
        )
    )
    return path


def test_a_file_beside_victim_yaml_is_a_defense(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SHIFTED.read_text())
    name = victim(tmp_path, 'name: "mine.py:Shifted", pixels: 3')
    net, base = load_classifier(name), load_classifier("mnist-lenet")
    with Scorer(net, engine="torch") as behind, Scorer(base, engine="torch") as plain:
        moved = np.roll(DIGITS, 3, axis=3)
        assert behind.logits(DIGITS) == pytest.approx(plain.logits(moved), abs=1e-5)
    assert adapted(net) is not None
    # what it answers depends on the code and on the options
    digests = {net.digest, base.digest}
    digests.add(load_classifier(victim(tmp_path, 'name: "mine.py:Shifted", pixels: 2')).digest)
    (tmp_path / "mine.py").write_text(SHIFTED.read_text() + "# changed\n")
    digests.add(load_classifier(victim(tmp_path, 'name: "mine.py:Shifted", pixels: 3')).digest)
    assert len(digests) == 4
    (tmp_path / "mine.py").unlink()
    assert "mine.py: no such file" in inspect_classifier(name).missing


def test_a_config_finds_it_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SHIFTED.read_text())
    written = {"name": "mine.py:Shifted", "pixels": 1}
    loaded = DefendStudy.load(config(tmp_path, written))
    wanted = f"{tmp_path / 'mine.py'}:Shifted"
    assert loaded.config.defense.model_dump() == {"name": wanted, "pixels": 1}
    assert [file["path"] for file in code_of(loaded.config)["defense.name"]] == [
        str(tmp_path / "mine.py")
    ]
    again = DefendStudy.load(loaded.config)
    assert again.config == loaded.config
    study = DefendStudy.make(loaded)
    address = study.evaluation.defended.address
    assert str(tmp_path) not in study.evaluation.defended.definition  # wherever it lies
    (tmp_path / "mine.py").write_text(SHIFTED.read_text() + "# changed\n")
    assert DefendStudy.make(loaded).evaluation.defended.address != address


@pytest.mark.parametrize(
    ("text", "defense", "message"),
    [
        (None, {"name": "none.py:X"}, "no such file"),
        ("X = 3\n", {"name": "mine.py:X"}, "has no class named 'X'"),
        ("class X: pass\n", {"name": "mine.py:X"}, "X is not a defense; derive it from"),
        ("raise SystemExit(3)\n", {"name": "mine.py:X"}, "fails to import"),
        (
            "from evofool.defenses.base import Defense\nclass X(Defense):\n    name = 'x'\n",
            {"name": "mine.py:X"},
            "X does not define module",
        ),
        ("shifted", {"name": "mine.py:Shifted", "pixel": 2}, "did you mean 'pixels'"),
        (
            "shifted",
            {"name": "mine.py:Shifted", "pixels": "far"},
            "defense.pixels: must be a whole",
        ),
        ("shifted", {"name": "mine.py:Shifted", "pixels": -1}, "must be at least 0"),
        (
            "from dataclasses import dataclass\n"
            "from evofool.defenses.base import Defense\n"
            "@dataclass(frozen=True)\n"
            "class X(Defense):\n"
            "    name = 'x'\n"
            "    def module(self, base): return 1 / 0\n",
            {"name": "mine.py:X"},
            "defense x: fails (ZeroDivisionError",
        ),
    ],
)
def test_what_is_no_defense_is_refused_before_a_folder_is_made(
    tmp_path: Path, text: str | None, defense: dict[str, Any], message: str
) -> None:
    if text is not None:
        (tmp_path / "mine.py").write_text(SHIFTED.read_text() if text == "shifted" else text)
    with pytest.raises(ConfigError) as info:
        DefendStudy.make(DefendStudy.load(config(tmp_path, defense)))
    assert "config.yaml" in str(info.value)
    assert "defense" in str(info.value)
    assert message in str(info.value)


def test_a_module_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from evofool.defenses.base import Defense\n"
        "class X(Defense):\n"
        "    name = 'x'\n"
        "    def check(self, base): pass\n"
        "    def module(self, base): return 3\n"
    )
    with pytest.raises(EvofoolError, match=r"gives a int, not a torch\.nn\.Module"):
        load_classifier(victim(tmp_path, 'name: "mine.py:X"'))


def test_packages_offer_defenses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_package.py").write_text(SHIFTED.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    points = {
        "shifted": EntryPoint("shifted", "their_package:Shifted", "evofool.defenses"),
        "broken": EntryPoint("broken", "no_such_package:X", "evofool.defenses"),
    }
    monkeypatch.setattr(
        plugins, "_points", lambda group: points if group == "evofool.defenses" else {}
    )
    try:
        assert names()[-2:] == ("broken", "shifted")
        assert is_foreign("shifted")
        assert not is_foreign("jpeg")
        found = describe("shifted").to_json()
        assert (found["kind"], found["parameters"]) == ("before the net", {"pixels": 1})
        assert found["about"].startswith("Moves a picture to the right")
        net = load_classifier(victim(tmp_path, "name: shifted, pixels: 2"))
        assert net.title.endswith("mnist-lenet+shifted")
        loaded = DefendStudy.load(config(tmp_path, "shifted"))
        assert DefendStudy.make(loaded).evaluation.defended.called == "shifted"
        from evofool.cli.listing import defenses

        rows = {row["name"]: row for row in defenses()}
        assert "no_such_package" in rows["broken"]["about"]
        with pytest.raises(ConfigError, match=r"defense: .*broken.*fails to import"):
            DefendStudy.make(DefendStudy.load(config(tmp_path, "broken")))
    finally:
        sys.modules.pop("their_package", None)
