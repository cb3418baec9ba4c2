"""The table of docs/victims.md that says what works with which task, held against the code."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import level_nets
import numpy as np
import pytest
from level_nets import Levels

from evofool.attacks import registry
from evofool.attacks.foreign.peers import PREFIX
from evofool.classifiers import Classifier, from_members, from_module
from evofool.classifiers.answers import with_answers
from evofool.classifiers.pictures import with_crops
from evofool.classifiers.transformed import with_transforms
from evofool.config.transforms import TransformsConfig
from evofool.defenses import registry as defenses
from evofool.defenses.base import Defense
from evofool.defenses.victims import check_defense
from evofool.errors import EvofoolError
from evofool.experiments.compare import report
from evofool.experiments.compare.study import CompareStudy
from evofool.experiments.engine import begin
from evofool.experiments.library import evolve
from evofool.experiments.runs import verify
from evofool.images import encode_png

PAGE = Path(__file__).resolve().parents[1] / "docs" / "victims.md"
TASKS = ("one class of several", "`binary`", "`multi-label`")
Row = tuple[str, ...]


@cache
def victim(task: str, sharpness: float = 20.0) -> Classifier:
    values = {TASKS[0]: 3, TASKS[1]: 1, TASKS[2]: 3}[task]
    named: Any = {TASKS[0]: None, TASKS[1]: "binary", TASKS[2]: "multi-label"}[task]
    return from_module(Levels(values, sharpness), input_shape=(1, 6, 6), task=named)


@cache
def table() -> dict[str, Row]:
    """The cells behind each row's first."""
    text = PAGE.read_text(encoding="utf-8")
    _, _, rest = text.partition("| | " + " | ".join(TASKS) + " |\n")
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: tuple(others) for first, *others in cells}


def row(begins: str) -> tuple[str, Row]:
    ((first, cells),) = [(each, cells) for each, cells in table().items() if begins in each]
    return first, cells


def works(call: Callable[[], object]) -> bool:
    try:
        call()
    except EvofoolError:
        return False
    return True


def names(first: str) -> set[str]:
    return set(re.findall("`([^`]+)`", first))


def test_every_attack_stands_in_one_row_and_takes_what_that_says() -> None:
    rows = [row("`fgsm`"), row("`jsma`")]
    told = [names(first) for first, _ in rows]
    ours = {name for name in registry.names() if not name.startswith(PREFIX)}
    assert told[0] | told[1] == ours
    assert not told[0] & told[1]
    peers = [name for name in registry.names() if name.startswith(PREFIX)][:1]
    for (_, cells), named in zip(rows, (told[0], told[1] | set(peers)), strict=True):
        for name in named:
            for task, cell in zip(TASKS, cells, strict=True):
                options = {p.name: 0.1 for p in registry.describe(name).parameters if p.required}
                attack = registry.describe(name).factory(**options)
                taken = works(lambda a=attack, t=task: a.check_victim(victim(t)))  # type: ignore[misc]
                assert taken == cell.startswith("yes"), (name, task)


def test_every_defense_stands_in_one_row_and_takes_what_that_says(tmp_path: Path) -> None:
    rows = [row("`jpeg`"), row("`max-softmax`")]
    told = [names(first) for first, _ in rows]
    assert told[0] | told[1] == set(defenses.names()) - {"none", "trained"}
    for (_, cells), named in zip(rows, told, strict=True):
        for name in named - {"denoiser"}:  # which looks at no more of the net than its input
            defense: Defense = defenses.find(name)()
            for task, cell in zip(TASKS, cells, strict=True):
                taken = works(lambda d=defense, t=task: check_defense(victim(t), d))  # type: ignore[misc]
                assert taken == cell.startswith("yes"), (name, task)


@pytest.mark.parametrize(
    ("begins", "call"),
    [
        ("`transforms`", lambda net, _: with_transforms(net, TransformsConfig(k=2))),
        ("`crops: 10`", lambda net, _: with_crops(net, 10)),
        ("ensembles", lambda net, other: from_members([net, other])),
        ("`answers`", lambda net, _: with_answers(net, 2)),
    ],
)
def test_what_goes_around_a_net(begins: str, call: Callable[..., object]) -> None:
    for task, cell in zip(TASKS, row(begins)[1], strict=True):
        net, other = victim(task), victim(task, 19.0)
        assert works(lambda n=net, o=other: call(n, o)) == cell.startswith("yes"), task  # type: ignore[misc]


def test_answers_of_labels_alone() -> None:
    assert row("`answers`")[1][1] == "`label` only"
    assert with_answers(victim("`binary`"), "label").output == "label"


def test_what_counts_first_answers_is_refused_where_it_is_planned() -> None:
    """By `tests/experiments/test_defending.py` and `tests/experiments/signs/test_signs.py`."""
    assert [cell[:3] for cell in row("`evofool defend`")[1]] == ["yes", "yes", "no:"]


def test_mixed_ensembles_are_refused() -> None:
    assert not works(lambda: from_members([victim(TASKS[0]), victim(TASKS[2])]))


@pytest.mark.parametrize("task", ["binary", "multi-label"])
def test_campaigns_and_comparisons(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert row("campaigns")[1][TASKS.index(f"`{task}`")].startswith("yes")
    assert row("`compare`")[1][TASKS.index(f"`{task}`")].startswith("yes")
    maker = "one" if task == "binary" else "three"
    net = {"name": f"{level_nets.__file__}:{maker}", "input_shape": [1, 6, 6], "task": task}
    campaign = {
        "classifier": net, "encoding": "direct", "evolution": {"initial": 8, "children": 8},
        "stop": {"generations": 2}, "seed": 1,
    }  # fmt: skip
    evolve(campaign, tmp_path / "campaign")
    assert [check for check in verify(tmp_path / "campaign") if check.ok is False] == []
    pixel = encode_png(np.zeros((1, 1, 1), np.uint8))
    monkeypatch.setattr(report, "figures", lambda *_: {"answer.png": pixel})
    config = {
        "kind": "compare", "victims": [net], "budget": 60, "seeds": [1],
        "methods": [
            {"evolution": "direct", "initial": 8, "children": 8},
            {"attack": "gradient-ascent", "step_size": 0.05},
            {"noise": "uniform"},
        ],
    }  # fmt: skip
    begin(CompareStudy, config, tmp_path / "compare", command="evofool compare own.yaml")
    with (tmp_path / "compare" / "compare.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) >= 3
