"""``evofool compare``: a config with changes to it, or run folders, and no mixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evofool.cli.app import app
from evofool.errors import ConfigError, EvofoolError, UsageError
from evofool.evolution.campaign import evolve
from evofool.experiments.compare import report

TOY = Path(__file__).resolve().parents[1] / "toys" / "linear.py"
CONFIG = f"""kind: compare
victims: ["{TOY}:victim"]
methods: [{{noise: uniform}}]
budget: 70
seeds: [1]
"""

Answered = Callable[..., str]


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "figures", lambda *_: {})
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def answered(capsys: pytest.CaptureFixture[str]) -> Answered:
    """What a command answers, in this process."""

    def run(*arguments: str | Path) -> str:
        app([str(argument) for argument in arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two seeds of a campaign."""
    for seed in (1, 2):
        wanted = {
            "classifier": f"{TOY}:victim",
            "encoding": "direct",
            "evolution": {"initial": 8, "children": 8},
            "stop": {"generations": 1},
            "seed": seed,
        }
        evolve(wanted, tmp_path / f"seed-{seed}")
    return [tmp_path / "seed-1", tmp_path / "seed-2"]


def test_a_config_takes_changes(config: Path, answered: Answered) -> None:
    text = answered("compare", config, "budget=84", "seeds=[1, 2]", "--dry-run")
    assert "# 2 runs of methods, 84 forward-equivalents each, 168 in all" in text


def test_run_folders_have_a_folder_by_their_names(
    runs: list[Path], answered: Answered, tmp_path: Path
) -> None:
    text = answered("compare", "seed-1", "seed-2")
    made = Path("runs") / "compare-seed-1-seed-2"
    assert "evolution direct" in text
    assert f"look at {made / 'report' / 'index.html'}" in text
    page = (made / "report" / "index.html").read_bytes()
    tables = {path.name: path.read_bytes() for path in made.glob("*.csv")}
    assert answered("compare", "seed-1", "seed-2") == text  # goes on with the same folder
    assert (made / "report" / "index.html").read_bytes() == page
    assert {path.name: path.read_bytes() for path in made.glob("*.csv")} == tables
    assert [path.name for path in Path("runs").iterdir()] == [made.name]
    # of other runs, or with another seed of the bootstrap, it is another comparison
    answered("compare", "seed-1", "seed-2", "--seed", "5")
    assert len(list(Path("runs").iterdir())) == 2
    with pytest.raises(EvofoolError, match="already"):
        answered("compare", "seed-1", "--out", made)


def test_a_dry_run_of_run_folders_writes_nothing(runs: list[Path], answered: Answered) -> None:
    text = answered("compare", *runs, "--dry-run")
    assert "# linear: evolution direct, 2 seeds" in text
    assert not Path("runs").exists()


@pytest.mark.parametrize("order", [1, -1])
def test_a_mixture_is_refused(
    runs: list[Path], config: Path, answered: Answered, order: int
) -> None:
    given = [str(runs[0]), str(config)][::order]
    with pytest.raises(UsageError) as caught:
        answered("compare", *given)
    assert str(caught.value) == (
        "compare takes either one config, with changes to it, or run folders:"
        f" {runs[0]} is a folder, but {config} is not"
    )
    with pytest.raises(UsageError, match="seed=3 is not"):
        answered("compare", runs[0], "seed=3")


def test_what_is_neither_is_named(answered: Answered) -> None:
    with pytest.raises(ConfigError, match="runs/typo: no such config"):
        answered("compare", "runs/typo")
    Path("empty").mkdir()
    with pytest.raises(EvofoolError, match=r"is not a run folder \(it has no manifest\.json\)"):
        answered("compare", "empty")


def test_a_long_list_of_names_becomes_a_digest(tmp_path: Path) -> None:
    from evofool.experiments.compare.stored.again import folder_of

    runs = [tmp_path / f"campaign-with-a-long-name-{k}" for k in range(4)]
    name = folder_of(runs).name
    assert name.startswith("compare-4-runs-")
    assert folder_of(runs).name == name != folder_of(runs[:3]).name
