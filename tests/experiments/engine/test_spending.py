"""How a budget is shared out, and how attacks keep to their shares in whatever order they run."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool.attacks.registry import grid, names
from evofool.classifiers import load_classifier
from evofool.errors import Interrupted
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life
from evofool.experiments.engine.life import Options
from evofool.experiments.engine.spending import equal_shares
from evofool.scoring import Scorer

resume_attacks, status = partial(life.resume, AttackStudy), partial(life.status, AttackStudy)

TOYS = Path(__file__).parents[2] / "toys"
VICTIM = f"{TOYS / 'linear.py'}:victim"


@pytest.mark.parametrize(
    ("total", "wishes", "shares"),
    [
        (90, {"a": None, "b": None, "c": None}, {"a": 30, "b": 30, "c": 30}),
        (90, {"a": 10, "b": None, "c": None}, {"a": 10, "b": 40, "c": 40}),
        (90, {"a": 10, "b": 35, "c": 500}, {"a": 10, "b": 35, "c": 45}),
        (90, {"a": 400, "b": 500, "c": 600}, {"a": 30, "b": 30, "c": 30}),
        (100, {"a": 10, "b": 20}, {"a": 45, "b": 55}),  # more than all can use
        (0, {"a": 10, "b": None}, {"a": 0, "b": 0}),
        (5, {}, {}),
    ],
)
def test_shares(total: int, wishes: dict[str, int | None], shares: dict[str, int]) -> None:
    assert equal_shares(total, wishes) == shares


def test_shares_never_exceed_the_total_and_know_no_order() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        n, total = int(rng.integers(1, 8)), int(rng.integers(0, 300))
        drawn = rng.integers(0, 100, n).tolist()
        wishes = {f"{i}": None if rng.random() < 0.2 else wish for i, wish in enumerate(drawn)}
        shares = equal_shares(total, wishes)
        assert sum(shares.values()) <= total
        assert equal_shares(total, dict(reversed(wishes.items()))) == shares
        larger = equal_shares(total + int(rng.integers(0, 100)), wishes)
        assert all(larger[name] >= share for name, share in shares.items())


def bounded() -> list[str]:
    own = [name for name in names() if not name.startswith("foolbox:")]
    return [name for name in own if next(iter(_one(name))).most_queries is not None]


def _one(name: str, **options: Any) -> Any:
    return grid(name, options)


@pytest.mark.parametrize("name", bounded())
def test_no_attack_sends_more_than_it_says(name: str) -> None:
    few = {"square": {"queries": 40}, "nes": {"queries": 40, "samples": 6}}
    several = {"pgd": {"steps": 6, "restarts": 3, "random_start": True}}
    (attack,) = _one(name, **few.get(name, {}), **several.get(name, {}))
    images = np.random.default_rng(3).integers(64, 192, (8, 1, 6, 6), dtype=np.uint8)
    victim = load_classifier(VICTIM)
    with Scorer(victim, engine="torch", workers=1) as scorer:
        labels = scorer.labels(images)
    with Scorer(victim, engine="torch", workers=1) as scorer:
        targets = (labels + 1) % victim.n_classes if attack.aim == "targeted" else None
        attack(scorer, images, labels, targets=targets)
        assert 0 < scorer.queries <= attack.most_queries * len(images)


def config(budget: int | None) -> dict[str, Any]:
    return {
        "classifier": VICTIM,
        "images": {"noise": "uniform", "count": 12},
        "attacks": [
            {"name": "pgd", "eps": "24/255", "step_size": "1/255", "steps": 30, "targets": "next"},
            {"name": "fgsm", "eps": "4/255"},
            {"name": "square", "eps": "8/255", "queries": 25},
            "deepfool",
        ],
        "scoring": {"batch": 8, "workers": 1, "engine": "torch", "budget": budget},
        "chunk": 4,
        "seed": 3,
    }


def table(run: Path) -> list[dict[str, str]]:
    text = (run / "results.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    for row in rows:
        del row["seconds"]
    return rows


def test_the_order_of_attacks_does_not_matter(tmp_path: Path) -> None:
    life.begin(AttackStudy, config(300), tmp_path / "serial")
    with ThreadPoolExecutor(4) as threads:
        options = Options(executor=threads, at_once=4)
        life.begin(AttackStudy, config(300), tmp_path / "threads", options=options)
    rows = table(tmp_path / "serial")
    assert table(tmp_path / "threads") == rows
    found = status(tmp_path / "serial")
    assert found["stop_reason"] == "budget"
    assert found["queries"] == status(tmp_path / "threads")["queries"] <= 300
    of_attack = [[row for row in rows if row["attack_index"] == n] for n in "0123"]
    assert len(of_attack[1]) == 12  # what needs little is not starved
    assert 0 < len(of_attack[0]) < 12
    assert any(row["complete"] == "0" for row in of_attack[0])
    again = resume_attacks(tmp_path / "serial").summary
    assert (again["queries"], again["stop_reason"]) == (found["queries"], "budget")
    assert table(tmp_path / "serial") == rows
    resume_attacks(tmp_path / "threads", overrides=["scoring.budget=100000"])
    life.begin(AttackStudy, config(None), tmp_path / "whole")
    assert table(tmp_path / "threads") == table(tmp_path / "whole")


@pytest.mark.parametrize("questions", [12, 45, 80])
def test_an_interruption_does_not_change_the_shares(tmp_path: Path, questions: int) -> None:
    def stopping() -> Options:
        asked = iter(range(10_000))
        return Options(should_stop=lambda: next(asked) >= questions)

    whole, run = tmp_path / "whole", tmp_path / "run"
    life.begin(AttackStudy, config(300), whole)
    with pytest.raises(Interrupted):
        life.begin(AttackStudy, config(300), run, options=stopping())
    resume_attacks(run)
    assert table(run) == table(whole)
    larger = ["scoring.budget=700"]
    resume_attacks(whole, overrides=larger)
    with pytest.raises(Interrupted):
        life.resume(AttackStudy, run, overrides=larger, options=stopping())
    resume_attacks(run)
    assert table(run) == table(whole)
    found, wanted = status(run), status(whole)
    assert [found[key] for key in ("stop_reason", "queries", "incomplete")] == [
        wanted[key] for key in ("stop_reason", "queries", "incomplete")
    ]
    assert wanted["stop_reason"] == "budget"
