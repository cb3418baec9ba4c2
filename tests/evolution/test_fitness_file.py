"""``evolution.fitness: path/to/file.py:function``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import evofool
from evofool.config import load_campaign
from evofool.errors import ConfigError, FolderError, Interrupted, ScoringError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.fitness import CheckedFitness
from evofool.evolution.setup import plan
from evofool.evolution.verify import verify
from evofool.images import decode_png
from evofool.store import CampaignFolder, Check

Make = Callable[..., dict[str, Any]]
DOCS = Path(__file__).parents[2] / "docs" / "library.md"
GOLDEN = "f80367af775317ebac8c7b5e66d648b6ea6af46d44a52284c54b1a37ae60b956"

SOURCE = """
import numpy as np
import price_of_light


def same(log_odds, images):
    return log_odds


def dark(log_odds, images):
    assert images.dtype == np.uint8 and images.ndim == 4 and len(images) == len(log_odds)
    return log_odds - price_of_light.of(images)[:, None]


def picky(log_odds, images):
    ranks = log_odds.copy()
    ranks[images[:, 0, 0, 0] % 3 == 0] = np.nan
    ranks[:, 2] = np.nan
    return ranks


def never(log_odds, images):
    return np.full(log_odds.shape, np.nan)


def once(log_odds, images):
    return log_odds[0]


def text(log_odds, images):
    return np.full(log_odds.shape, "x")


def endless(log_odds, images):
    return 1 / (log_odds - log_odds)


def careless(log_odds, images):
    log_odds[0] = 0


not_callable = 3
"""


VICTIM = """
import torch
from torch import nn
from evofool.classifiers import from_module


def victim():
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(128, 7))
    return from_module(net, input_shape=(1, 6, 6), name="soft")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "price_of_light.py").write_text(
        "def of(images):\n    return images.reshape(len(images), -1).mean(axis=1) / 32\n"
    )
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def config(make: Make, file: Path, name: str, **evolution: Any) -> dict[str, Any]:
    return make(evolution={"initial": 20, "children": 20, "fitness": f"{file}:{name}", **evolution})


def checks(run: Path) -> dict[str, Check]:
    return {check.name: check for check in verify(run)}


def faults(run: Path) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in verify(run) if check.ok is False]


def pixels(run: Path, class_index: int) -> Any:
    return decode_png((run / "images" / f"{class_index:04d}.png").read_bytes())


def price(run: Path, class_index: int) -> float:
    return float(pixels(run, class_index).mean() / 32)


def run_sql(run: Path, statement: str) -> None:
    database = sqlite3.connect(run / "run.sqlite")
    with database:
        database.execute(statement)
    database.close()


# what it does


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_log_odds_from_a_file_are_log_odds(
    toy_campaign: Make, tmp_path: Path, file: Path, batch: int
) -> None:
    sections = config(toy_campaign, file, "same")
    sections["scoring"] = {"batch": batch, "workers": 2}
    assert evolve(sections, tmp_path / "run").summary["archive_digest"] == GOLDEN


@pytest.mark.parametrize("algorithm", ["map_elites", "lagging", "mu_plus_lambda", "cma_es"])
def test_it_ranks_and_the_run_repeats_and_verifies(
    toy_campaign: Make, tmp_path: Path, file: Path, algorithm: str
) -> None:
    options: dict[str, Any] = {
        "map_elites": {},
        "lagging": {"lag": 1},
        "mu_plus_lambda": {"algorithm": "mu_plus_lambda", "target": 3, "mu": 8},
        "cma_es": {"algorithm": "cma_es", "target": 3},
    }[algorithm]
    sections = config(toy_campaign, file, "dark", **options)
    if algorithm == "cma_es":
        sections["encoding"] = {"name": "direct"}
    whole = evolve(sections, tmp_path / "whole").summary
    plain = {**sections, "evolution": {**sections["evolution"], "fitness": "log_odds"}}
    assert whole["archive_digest"] != evolve(plain, tmp_path / "plain").summary["archive_digest"]
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 20

    with pytest.raises(Interrupted):
        evolve(sections, tmp_path / "run", should_stop=stop)
    assert resume(tmp_path / "run").summary["archive_digest"] == whole["archive_digest"]
    assert faults(tmp_path / "run") == []
    assert "mine.py:dark says" in checks(tmp_path / "run")["fitness"].detail


def test_ranks_are_of_the_pictures(toy_campaign: Make, tmp_path: Path, file: Path) -> None:
    """Stored fitness = log-odds less the price of the picture that was scored."""
    evolve(config(toy_campaign, file, "dark"), tmp_path / "run")
    with CampaignFolder.open(tmp_path / "run") as run:
        for elite in run.elites():
            cost = price(tmp_path / "run", elite.class_index)
            assert elite.fitness == elite.log_odds - cost


def test_nan_wins_nothing(toy_campaign: Make, tmp_path: Path, file: Path) -> None:
    evolve(config(toy_campaign, file, "picky"), tmp_path / "run")
    with CampaignFolder.open(tmp_path / "run") as run:
        elites = run.elites()
    assert [elite.class_index for elite in elites] == [0, 1, 3, 4, 5, 6]
    for elite in elites:
        assert pixels(tmp_path / "run", elite.class_index).flat[0] % 3 != 0
    assert faults(tmp_path / "run") == []


def test_screened_pictures_are_ranked_in_float32(
    toy_campaign: Make, tmp_path: Path, file: Path
) -> None:
    """Whoever would win by a lower precision is ranked again, by float32 and the same picture."""
    (tmp_path / "victim.py").write_text(VICTIM)
    sections = config(toy_campaign, file, "dark")
    sections["classifier"] = {"name": f"{tmp_path / 'victim.py'}:victim"}
    sections["scoring"] = {"batch": 8, "engine": "torch", "precision": "bf16"}
    summary = evolve(sections, tmp_path / "run").summary
    assert summary["sent"]["confirmations"] > 0
    with CampaignFolder.open(tmp_path / "run") as run:
        elites = run.elites()
    for elite in elites:
        assert elite.fitness == elite.log_odds - price(tmp_path / "run", elite.class_index)
    assert faults(tmp_path / "run") == []


# where it comes from


def test_a_path_starts_from_the_config(toy_campaign: Make, tmp_path: Path, file: Path) -> None:
    sections = {**config(toy_campaign, file, "dark"), "stop": {"generations": 2}}
    sections["evolution"]["fitness"] = "../mine.py:dark"
    (tmp_path / "configs").mkdir()
    path = tmp_path / "configs" / "own.yaml"
    path.write_text(json.dumps(sections))  # JSON is YAML
    assert load_campaign(path).config.evolution.fitness == f"{file}:dark"
    evofool.evolve(path, tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    (named,) = manifest["code"]["evolution.fitness"]
    assert named["path"] == str(file)
    assert list(named["beside"]) == ["price_of_light.py"]


@pytest.mark.parametrize("edited", ["mine.py", "price_of_light.py"])
def test_an_edited_file_is_refused_before_it_is_run(
    toy_campaign: Make, tmp_path: Path, file: Path, edited: str
) -> None:
    evolve(config(toy_campaign, file, "dark"), tmp_path / "run")
    spoor = tmp_path / "spoor"
    path = file.with_name(edited)
    path.write_text(f"{path.read_text()}\nopen({str(spoor)!r}, 'w').close()\n")
    with pytest.raises(FolderError, match=rf"{edited} has changed since .* restore the original"):
        resume(tmp_path / "run")
    assert [name for name in faults(tmp_path / "run") if f"{edited} has changed" in name]
    assert not spoor.exists()


def test_another_file_is_another_run(toy_campaign: Make, tmp_path: Path, file: Path) -> None:
    evolve(config(toy_campaign, file, "dark"), tmp_path / "run")
    written = tmp_path / "run" / "config.yaml"
    written.write_text(written.read_text().replace("mine.py:dark", "mine.py:same"))
    with pytest.raises(FolderError, match=r"was edited: evolution.fitness is "):
        resume(tmp_path / "run")


# what verify sees


@pytest.mark.parametrize("algorithm", ["map_elites", "mu_plus_lambda"])
def test_a_fitness_that_is_not_the_functions(
    toy_campaign: Make, tmp_path: Path, file: Path, algorithm: str
) -> None:
    options: dict[str, Any] = {"algorithm": algorithm}
    if algorithm == "mu_plus_lambda":
        options |= {"target": 3, "mu": 8}
    evolve(config(toy_campaign, file, "dark", **options), tmp_path / "run")
    run_sql(tmp_path / "run", "UPDATE elites SET fitness = fitness + 1 WHERE class_index = 3")
    assert [fault for fault in faults(tmp_path / "run") if fault.startswith("fitness: class 3")]


# bad input


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("never", r"mine\.py:never gave NaN for every picture of the initial population"),
        (
            "once",
            r"mine\.py:once returned float64 \(7,\), but must return real numbers of \(8, 7\)",
        ),
        ("text", r"mine\.py:text returned <U1 \(8, 7\)"),
        ("endless", r"mine\.py:endless returned inf for class 0, .* or NaN for a picture that"),
        ("careless", r"mine\.py:careless failed \(ValueError: assignment destination is read-o"),
    ],
)
def test_answers_that_are_no_ranks(
    toy_campaign: Make, tmp_path: Path, file: Path, name: str, wanted: str
) -> None:
    sections = config(toy_campaign, file, name)
    with pytest.raises(ScoringError, match=wanted) as caught, np.errstate(divide="ignore"):
        evolve(sections, tmp_path / "run")
    assert str(caught.value).startswith("fitness /")


def test_nothing_to_breed_from_after_screening(
    toy_campaign: Make, tmp_path: Path, file: Path
) -> None:
    (tmp_path / "victim.py").write_text(VICTIM)
    sections = config(toy_campaign, file, "never")
    sections["classifier"] = {"name": f"{tmp_path / 'victim.py'}:victim"}
    sections["scoring"] = {"batch": 8, "engine": "torch", "precision": "bf16"}
    with pytest.raises(ScoringError, match="gave NaN for every picture"):
        evolve(sections, tmp_path / "run")


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("mine.py:nothing", "evolution.fitness: .*mine.py: has no function named 'nothing'"),
        ("mine.py:not_callable", "evolution.fitness: .*has no function named 'not_callable'"),
        ("broken.py:f", r"evolution.fitness: .*broken.py: fails to import \(ZeroDivisionError"),
        ("missing.py:f", "evolution.fitness: no such file: .*missing.py"),
        ("mine.py", "must be one of log_odds, probability, .*or path/to/file.py:function, not"),
        ("mine.py:", "must be one of log_odds"),
        ("mine.py:3", "must be one of log_odds"),
        ("log_ods", "did you mean 'log_odds'"),
        (3, "must be one of log_odds, probability, log_probability, or path.*not 3"),
        (True, "must be one of log_odds.* not true"),
        (None, "must be one of log_odds"),
    ],
)
def test_a_fitness_that_is_none(
    toy_campaign: Make, tmp_path: Path, file: Path, written: Any, wanted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    sections = toy_campaign(evolution={"fitness": written})
    with pytest.raises(ConfigError, match=wanted):
        plan(load_campaign(sections))
    with pytest.raises(ConfigError, match=wanted):
        evolve(sections, tmp_path / "run")
    assert not (tmp_path / "run").exists()


MATRIX = arrays(np.float64, (3, 2), elements=st.floats(width=64))


@settings(max_examples=80, deadline=None)
@given(odds=MATRIX, answer=MATRIX)
def test_infinite_only_where_the_log_odds_are(odds: Any, answer: Any) -> None:
    fitness = CheckedFitness(lambda *_: answer, "f")
    images = np.zeros((3, 1, 1, 1), np.uint8)
    if (np.isinf(answer) & ~np.isinf(odds)).any():
        with pytest.raises(ScoringError, match=r"fitness f returned -?inf for class"):
            fitness(odds, images)
    else:
        np.testing.assert_array_equal(fitness(odds, images), answer)


def test_the_function_of_the_page(tmp_path: Path) -> None:
    block = DOCS.read_text().rsplit("```python\n", 1)[1].split("```", 1)[0]
    space: dict[str, Any] = {}
    exec(compile(block, str(DOCS), "exec"), space)
    images = np.zeros((3, 1, 4, 4), np.uint8)
    images[1], images[2, :, ::2] = 128, 255
    ranks = CheckedFitness(space["calm"], "calm")(np.ones((3, 2)), images)
    assert np.isnan(ranks[0]).all()
    assert ranks[1].tolist() == [1.0, 1.0]
    assert (ranks[2] < 0).all()
