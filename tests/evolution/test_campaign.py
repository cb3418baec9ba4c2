"""Campaigns against an exact toy: the same archive however they are run."""

from __future__ import annotations

import csv
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deap import cma

import evofool
from evofool.errors import ConfigError, Interrupted, RunBusyError, StoreError, UsageError
from evofool.evolution import campaign as campaign_module
from evofool.evolution.campaign import Progress, evolve, resume
from evofool.evolution.status import status
from evofool.evolution.verify import verify
from evofool.images import decode_png, read_text, to_hwc
from evofool.store import CampaignFolder

Make = Callable[..., dict[str, Any]]

ALGORITHMS: dict[str, dict[str, Any]] = {
    "map_elites": {"algorithm": "map_elites", "initial": 20, "children": 21},
    "lagging": {"algorithm": "map_elites", "initial": 20, "children": 21, "lag": 1},
    "recent": {"algorithm": "map_elites", "initial": 20, "children": 21, "parents": "recent"},
    "refined": {"algorithm": "map_elites", "initial": 20, "children": 21, "refine": True},
    "mu_plus_lambda": {
        "algorithm": "mu_plus_lambda", "target": 3, "initial": 20, "children": 20, "mu": 8,
    },
    "cma_es": {"algorithm": "cma_es", "target": 3, "initial": 10, "children": 12},
}  # fmt: skip

GOLDEN = "f80367af775317ebac8c7b5e66d648b6ea6af46d44a52284c54b1a37ae60b956"
GOLDEN_LAGGING = "2dab823e81ae7deeb5223fae23a3d36ae87360341d89eb780b26c8a997f05920"
GOLDEN_MATED = "94cb51cd8380fd2b84621d2dbc6d01f7a42e2629a7cd0ba2e079ca730d2100c8"


def _sections(make: Make, algorithm: str) -> dict[str, Any]:
    sections = make(evolution=ALGORITHMS[algorithm])
    if algorithm == "cma_es":
        sections["encoding"] = {"name": "direct"}
    elif algorithm == "mu_plus_lambda":
        sections["encoding"]["swap"] = True
    return sections


def _no_rng(make: Make, folder: Path, **sections: Any) -> str:
    return str(evolve(make(**sections), folder).summary["archive_digest"])


def test_golden_digests(toy_campaign: Make, tmp_path: Path) -> None:
    """Exact on every machine: a change here changes what every stored seed means."""
    assert _no_rng(toy_campaign, tmp_path / "a") == GOLDEN
    mated = {**toy_campaign()["encoding"], "swap": True}
    assert _no_rng(toy_campaign, tmp_path / "b", encoding=mated) == GOLDEN_MATED


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (8, 1), (7, 3), (64, 2)])
def test_batches_and_workers_change_nothing(
    toy_campaign: Make, tmp_path: Path, batch: int, workers: int
) -> None:
    scoring = {"batch": batch, "workers": workers}
    assert _no_rng(toy_campaign, tmp_path / "run", scoring=scoring) == GOLDEN


def test_a_lag_is_another_run_and_as_sure(toy_campaign: Make, tmp_path: Path) -> None:
    evolution = {"initial": 20, "children": 20, "lag": 1}
    digests = {
        _no_rng(toy_campaign, tmp_path / str(i), evolution=evolution, scoring=scoring)
        for i, scoring in enumerate(
            [{"batch": 8, "workers": 2}, {"batch": 8, "workers": 1}, {"batch": 3, "workers": 4}]
        )
    }
    assert len(digests) == 1
    assert digests != {GOLDEN}
    assert digests == {GOLDEN_LAGGING}


def test_a_lagging_generation_descends_from_champions_of_one_earlier(
    toy_campaign: Make, tmp_path: Path
) -> None:
    evolution = {"initial": 20, "children": 20, "lag": 1}
    evolve(toy_campaign(evolution=evolution), tmp_path / "run")
    with CampaignFolder.open(tmp_path / "run") as run:
        parents = {
            (row.id.generation, parent.generation)
            for row in run._individuals("")
            for parent in row.parents
        }
    assert all(parent <= max(0, child - 2) for child, parent in parents)
    assert any(parent == child - 2 > 0 for child, parent in parents)


def test_extending_a_lagging_run_equals_a_longer_one(toy_campaign: Make, tmp_path: Path) -> None:
    evolution = {"initial": 20, "children": 20, "lag": 1}
    evolve(toy_campaign(evolution=evolution, stop={"generations": 5}), tmp_path / "short")
    longer = resume(tmp_path / "short", overrides=["stop.generations=12"])
    assert longer.summary["archive_digest"] == GOLDEN_LAGGING


def test_another_seed_is_another_run(toy_campaign: Make, tmp_path: Path) -> None:
    assert _no_rng(toy_campaign, tmp_path / "run", seed=4) != GOLDEN


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("stop_at", [1, 30, 61, 150])
def test_interrupted_and_resumed_is_the_same(
    toy_campaign: Make, tmp_path: Path, algorithm: str, stop_at: int
) -> None:
    sections = _sections(toy_campaign, algorithm)
    whole = evolve(sections, tmp_path / "whole").summary
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls % stop_at == 0 and calls <= 3 * stop_at

    for attempt in range(10):
        try:
            if attempt == 0:
                result = evolve(sections, tmp_path / "cut", should_stop=stop)
            else:
                result = resume(tmp_path / "cut", should_stop=stop)
            break
        except Interrupted:
            assert status(tmp_path / "cut")["status"] == "interrupted"
    for key in ("archive_digest", "evaluations", "generations", "forward_images", "confidence"):
        assert result.summary[key] == whole[key], key


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_finished_run_verifies(toy_campaign: Make, tmp_path: Path, algorithm: str) -> None:
    evolve(_sections(toy_campaign, algorithm), tmp_path / "run")
    checks = {check.name: check for check in verify(tmp_path / "run")}
    assert set(checks) == {
        *(
            "database",
            "rows",
            "manifest",
            "config",
            "ledger",
            "victim",
            "genomes",
            "generations",
            "wins",
            "elites",
            "lineage",
        ),
        *("state", "status", "ancestry", "curve", "archive digest", "pictures", "confidences"),
        *("won", "table", "provenance", "summary"),
    }
    assert all(check.ok for check in checks.values()), checks


def test_extending_a_finished_run_equals_a_longer_one(toy_campaign: Make, tmp_path: Path) -> None:
    evolve(toy_campaign(stop={"generations": 5}), tmp_path / "short")
    resume(tmp_path / "short", overrides=["stop.generations=12"])
    assert CampaignFolder.open(tmp_path / "short").summary()["archive_digest"] == GOLDEN  # type: ignore[index]


def test_only_what_changes_no_individual_can_be_overridden(
    toy_campaign: Make, tmp_path: Path
) -> None:
    evolve(toy_campaign(stop={"generations": 2}), tmp_path / "run")
    for override in ("seed=5", "scoring.batch=3", "evolution.children=9", "classifier=mnist-lenet"):
        with pytest.raises(UsageError, match="only stop"):
            resume(tmp_path / "run", overrides=[override])


def test_the_run_folder_says_what_happened(toy_campaign: Make, tmp_path: Path) -> None:
    out = tmp_path / "run"
    seen: list[Progress] = []
    result = evolve(toy_campaign(), out, progress=seen.append)
    summary = json.loads((out / "summary.json").read_text())
    assert summary == result.summary
    assert [p.generation for p in seen] == list(range(13))
    assert seen[-1].share_done == 1.0
    assert (summary["status"], summary["stop_reason"]) == ("finished", "generations")
    assert (summary["evaluations"], summary["generations"]) == (20 + 12 * 20, 12)
    assert summary["forward_images"] == 13 * 20  # a predict function is sent no padding
    rows = list(csv.DictReader((out / "elites.csv").open()))
    confidences = [float(row["confidence"]) for row in rows]
    assert summary["confidence"]["median"] == pytest.approx(np.median(confidences), abs=0)
    for threshold, share in summary["share_at"].items():
        assert share == np.mean([c >= float(threshold) for c in confidences])
    with evofool.Scorer(evofool.load_classifier(toy_campaign()["classifier"]["name"])) as scorer:
        for row in rows:
            data = (out / row["png"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == row["sha256"]
            assert row["png"] == f"images/{int(row['class_index']):04d}.png"
            now = scorer.score(decode_png(data)[None])
            c = int(row["class_index"])
            assert now.confidence[0, c] == float(row["confidence"])
            claim = json.loads(read_text(out / row["png"])["evofool"])
            assert (claim["class_index"], claim["confidence"]) == (c, float(row["confidence"]))
    won = [
        int(scorer_label) == int(row["class_index"])
        for row, scorer_label in zip(rows, _labels(toy_campaign, out, rows), strict=True)
    ]
    assert summary["cells_won"] == sum(won)


def _labels(make: Make, out: Path, rows: list[dict[str, str]]) -> list[int]:
    images = np.stack([decode_png((out / row["png"]).read_bytes()) for row in rows])
    with evofool.Scorer(evofool.load_classifier(make()["classifier"]["name"])) as scorer:
        return [int(label) for label in scorer.labels(images)]


def test_the_digest_is_what_the_design_says(toy_campaign: Make, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = evolve(toy_campaign(), out)
    with CampaignFolder.open(out) as run:
        stored = run.archive()
    sha256 = hashlib.sha256()
    for elite in stored.elites:
        genome = stored.holders[elite.id].genome
        assert genome is not None
        pixels = to_hwc(decode_png((out / f"images/{elite.class_index:04d}.png").read_bytes()))
        sha256.update(struct.pack("<I", elite.class_index))
        sha256.update(struct.pack("<Q", len(genome)) + genome)
        sha256.update(struct.pack("<Q", pixels.size) + pixels.tobytes())
    assert sha256.hexdigest() == result.summary["archive_digest"]


def test_only_current_elites_keep_their_genomes(toy_campaign: Make, tmp_path: Path) -> None:
    evolve(toy_campaign(), tmp_path / "run")
    with CampaignFolder.open(tmp_path / "run") as run:
        held = {row.id for row in run._individuals("WHERE genome IS NOT NULL")}
        everyone = {row.id for row in run._individuals("")}
        assert held == {elite.id for elite in run.archive().elites}
        assert len(everyone) > len(held)
        # the newest win of each class is its elite
        newest = {win.class_index: win.id for win in run.wins()}
        assert newest == {elite.class_index: elite.id for elite in run.archive().elites}


@pytest.mark.parametrize(
    ("stop", "reason", "evaluations"),
    [
        ({"evaluations": 100}, "evaluations", 100),
        ({"evaluations": 99}, "evaluations", 80),  # a generation that does not fit is not begun
        ({"evaluations": 20}, "evaluations", 20),
        ({"generations": 2, "evaluations": 100}, "generations", 60),
        ({"confidence": 0.6}, "confidence", None),
        ({"stagnation": 3}, "stagnation", None),
        ({"seconds": 0.01}, "seconds", None),
    ],
)
def test_stop_rules(
    toy_campaign: Make, tmp_path: Path, stop: dict[str, Any], reason: str, evaluations: int | None
) -> None:
    summary = evolve(toy_campaign(stop=stop), tmp_path / "run").summary
    assert summary["stop_reason"] == reason
    if evaluations is not None:
        assert summary["evaluations"] == evaluations
    if reason == "confidence":
        assert summary["confidence"]["min"] >= 0.6


def test_a_budget_ends_the_campaign_whole(toy_campaign: Make, tmp_path: Path) -> None:
    scoring = {"batch": 8, "workers": 2, "budget": 55}
    summary = evolve(toy_campaign(scoring=scoring), tmp_path / "run").summary
    assert (summary["stop_reason"], summary["evaluations"]) == ("budget", 40)


def test_chosen_classes_only(toy_campaign: Make, tmp_path: Path) -> None:
    evolution = {"initial": 20, "children": 20, "classes": ["2-3", 6]}
    summary = evolve(toy_campaign(evolution=evolution), tmp_path / "run").summary
    assert summary["cells"] == 3
    assert sorted(p.name for p in (tmp_path / "run" / "images").glob("*.png")) == [
        "0002.png", "0003.png", "0006.png",
    ]  # fmt: skip


def test_statistics_are_those_of_the_stored_generations(toy_campaign: Make, tmp_path: Path) -> None:
    evolve(toy_campaign(), tmp_path / "run")
    with CampaignFolder.open(tmp_path / "run") as run:
        rows = run.generations()
        wins = run.wins()
    assert [row.generation for row in rows] == list(range(13))
    medians = [row.stats["median"] for row in rows]
    assert medians == sorted(medians)  # champions only get better
    for row in rows:
        assert row.stats["improved"] == sum(w.id.generation == row.generation for w in wins)


def test_a_transaction_that_is_not_due_loses_nothing(
    toy_campaign: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_module, "COMMIT_SHARE", 1e-9)  # one transaction, then at the end
    assert _no_rng(toy_campaign, tmp_path / "run") == GOLDEN
    assert all(check.ok for check in verify(tmp_path / "run"))


def test_a_failing_victim_leaves_whole_generations(toy_campaign: Make, tmp_path: Path) -> None:
    broken = tmp_path / "victim.py"
    broken.write_text(
        "import numpy as np\n"
        "from evofool.classifiers import from_predict\n"
        "calls = 0\n"
        "def predict(images):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    p = np.full((len(images), 4), 0.25) + images.reshape(len(images), -1)[:, :4] / 9999\n"
        "    return p * np.nan if calls > 30 else p\n"
        "def victim():\n"
        "    return from_predict(predict, input_shape=(1, 6, 6))\n"
    )
    sections = toy_campaign(classifier={"name": f"{broken}:victim"})
    with pytest.raises(evofool.EvofoolError, match="non-finite"):
        evolve(sections, tmp_path / "run")
    found = status(tmp_path / "run")
    assert found["status"] == "interrupted"
    assert found["generations"] > 2
    result = resume(tmp_path / "run", overrides=[f"stop.generations={found['generations']}"])
    assert result.summary["generations"] == found["generations"]


def test_another_victim_is_refused_on_resume(toy_campaign: Make, tmp_path: Path) -> None:
    copy = tmp_path / "copy.py"
    original = Path(toy_campaign()["classifier"]["name"].rpartition(":")[0])
    copy.write_text(original.read_text())
    sections = toy_campaign(classifier={"name": f"{copy}:victim"}, stop={"generations": 2})
    evolve(sections, tmp_path / "run")
    copy.write_text(original.read_text() + "\n# changed\n")
    with pytest.raises(StoreError, match="--classifier"):
        resume(tmp_path / "run")
    copy.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        resume(tmp_path / "run")
    resume(tmp_path / "run", classifier=f"{original}:victim")


def test_a_second_process_is_told_so(toy_campaign: Make, tmp_path: Path) -> None:
    evolve(toy_campaign(stop={"generations": 2}), tmp_path / "run")
    with CampaignFolder.open(tmp_path / "run", writable=True):
        with pytest.raises(RunBusyError):
            resume(tmp_path / "run")
        assert status(tmp_path / "run")["status"] == "running"


def test_nothing_is_overwritten(toy_campaign: Make, tmp_path: Path) -> None:
    evolve(toy_campaign(stop={"generations": 1}), tmp_path / "run")
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*.png")}
    with pytest.raises(StoreError, match="resume"):
        evolve(toy_campaign(), tmp_path / "run")
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*.png")} == before


def test_an_error_between_scoring_and_booking_breaks_nothing(
    toy_campaign: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CMA-ES takes eigenvectors after the archive has the children: that may fail, or be killed."""
    sections = _sections(toy_campaign, "cma_es")
    whole = evolve(sections, tmp_path / "whole").summary["archive_digest"]
    update, calls = cma.Strategy.update, 0

    def fail(strategy: Any, population: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        update(strategy, population)

    monkeypatch.setattr(cma.Strategy, "update", fail)
    with pytest.raises(KeyboardInterrupt):
        evolve(sections, tmp_path / "run")
    assert resume(tmp_path / "run").summary["archive_digest"] == whole
