"""Grids as they are written on a command line and in a file; what is refused, with which mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_sweeps import TOYS, campaign, sweep

from evofool.errors import ConfigError
from evofool.experiments.sweep.config import short_keys, shown
from evofool.experiments.sweep.grid import parsed, split, sweep_of
from evofool.experiments.sweep.study import SweepStudy


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a,b", ["a", "b"]),
        ("[1,2],[3]", ["[1,2]", "[3]"]),
        ("{name: a, x: 1},b", ["{name: a, x: 1}", "b"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("a", ["a"]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_commas_inside_brackets_and_quotes_part_nothing(text: str, parts: list[str]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize(
    ("change", "values"),
    [
        ("seeds=1..5", [1, 2, 3, 4, 5]),
        ("seeds=1,3", [1, 3]),
        ("seeds=1..2,7", [1, 2, 7]),
        ("classes=[1,2],[3]", [[1, 2], [3]]),
        ("encoding={name: cppn, preset: paper},direct",
         [{"name": "cppn", "preset": "paper"}, "direct"]),
        ("evolution.lag=0,1e-3,null", [0, 1e-3, None]),
        ("classifier='a,b',c", ["a,b", "c"]),
    ],
)  # fmt: skip
def test_values_are_yaml(change: str, values: list[Any]) -> None:
    assert list(parsed([change]).values()) == [values]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["seeds=5..1"], r"5\.\.1 is empty; write the smaller one first: seeds=1\.\.5"),
        (["a.b=1,2", "a.b=3"], r"a\.b: is given twice; write all of its values at once"),
        (["a.b=1,,2"], r"a\.b: has an empty value"),
        (["a.b="], r"a\.b: has no value; write a\.b=a,b,c"),
        (["a.b"], r"a\.b: write an axis of the sweep as key=a,b,c"),
        (["a.b=1,1"], r"a\.b: names 1 twice"),
        (["seed=1,2"], r"a sweep has seeds: write seeds=1\.\.5"),
        (["seeds=1..9999999"], r"are 9,999,999 values; give fewer"),
    ],
)
def test_what_is_not_understood_is_told_with_the_mend(changes: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parsed(changes)


def test_one_value_is_the_same_for_all() -> None:
    config = sweep_of("mnist-cppn", ["evolution.children=20,50", "stop.generations=3", "most=9"])
    assert config["grid"] == {"evolution.children": [20, 50]}
    assert config["set"] == {"stop.generations": 3}
    assert config["most"] == 9
    assert config["base"] == "mnist-cppn"
    assert config["name"] == "sweep-mnist-cppn"


def test_a_config_of_a_sweep_is_changed_key_by_key() -> None:
    config = sweep_of("sweep/mnist", ["encoding=cppn", "evolution.children=20,50", "seeds=4"])
    assert config["grid"] == {"evolution.children": [20, 50]}
    assert config["set"]["encoding"] == "cppn"
    assert config["seeds"] == [4]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"grid": {"evolution.childs": [1, 2]}}, "evolution.childs.*did you mean.*children"),
        ({"grid": {"evolution.children": [1, 0]}}, "evolution.children"),
        ({"grid": {"seed": [1, 2]}}, "seeds belong beside the grid"),
        ({"grid": {"evolution.children": []}}, "grid.evolution.children"),
        ({"grid": {"evolution.children": [5, 5]}}, "names 5 twice"),
        ({"seeds": [1, 1]}, "names 1 twice"),
        ({"seeds": list(range(101))}, "101 runs, but most allows 100: write most=101"),
        ({"base": {"kind": "search", "victims": ["mnist-lenet"], "variants": ["cppn"]}},
         "cannot be swept; give a config of kind evolve, attack, defend"),
        ({"base": "mnist-cpn"}, "did you mean mnist-cppn"),
        ({"grid": {"encoding": ["cppn", {"name": "cppn", "presets": "paper"}]}}, "presets"),
        ({"grid": {"stop.generations": [2, 3]}, "set": {"scoring.budget": 100}, "budget": 100},
         "has its own scoring.budget; leave one of them out"),
        ({"grid": {"scoring.workers": [1, 2]}}, "is the same run as workers=1, seed 1"),
    ],
)  # fmt: skip
def test_what_the_config_refuses_is_refused_before_anything_runs(
    sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        SweepStudy.make(SweepStudy.load(sweep(**sections)))


def test_the_base_lies_in_the_config_as_a_whole(tmp_path: Path) -> None:
    """So a run folder needs nothing else; paths start from the file that they stand in."""
    (tmp_path / "below").mkdir()
    toy = campaign(classifier="exact.py:victim", encoding="exact.py:Bytes")
    (tmp_path / "below" / "toy.yaml").write_text(yaml.safe_dump(toy))
    (tmp_path / "below" / "exact.py").write_text((TOYS / "exact.py").read_text())
    (tmp_path / "sweep.yaml").write_text(
        yaml.safe_dump({"kind": "sweep", "base": "below/toy.yaml", "seeds": [1]})
    )
    base = SweepStudy.load(tmp_path / "sweep.yaml").config.base
    assert base["kind"] == "evolve"
    assert base["classifier"] == f"{tmp_path / 'below' / 'exact.py'}:victim"


def test_an_address_is_that_of_what_decides_the_result() -> None:
    def addresses(**sections: Any) -> list[str]:
        made = SweepStudy.make(SweepStudy.load(sweep(seeds=[1], **sections)))
        return [planned.work.address for planned in made.plan]

    first = addresses(set={"scoring.workers": 1})
    assert addresses(set={"scoring.workers": 2}, budget=1000) == first
    assert addresses(set={"evolution.children": 11}) != first


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("/a/b/net.py:make", "net.py:make"),
        ({"name": "cppn", "preset": "paper"}, "cppn preset paper"),
        ([1, 2], "[1, 2]"),
        (0.001, "0.001"),
        (None, "default"),
        (True, "yes"),
    ],
)
def test_values_are_short_in_tables(value: Any, text: str) -> None:
    assert shown(value) == text


def test_keys_are_short_where_that_tells_them_apart() -> None:
    assert short_keys(["a.b", "c.d"]) == ["b", "d"]
    assert short_keys(["a.b", "c.b"]) == ["a.b", "c.b"]
