"""``evofool compare RUN...``: what run folders hold, compared without scoring anything again."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evofool
from evofool.attacks import registry
from evofool.errors import ConfigError, Interrupted, StoreError
from evofool.evolution.campaign import evolve
from evofool.experiments.compare import report
from evofool.experiments.compare.lines import plan_lines
from evofool.experiments.compare.study import CompareStudy, plan
from evofool.experiments.engine import begin
from evofool.experiments.runs import resume, status, verify
from evofool.images import decode_png
from evofool.scoring import Scorer
from evofool.store import CampaignFolder

TOYS = Path(__file__).resolve().parents[2] / "toys"
LINEAR, EXACT = f"{TOYS / 'linear.py'}:victim", f"{TOYS / 'exact.py'}:victim"
CLASSES = 7


@pytest.fixture(autouse=True, scope="module")
def no_figures() -> Iterator[None]:
    """Figures take longer to be drawn than all the rest here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "figures", lambda *_: {})
        yield


def campaign(seed: int, **sections: Any) -> dict[str, Any]:
    return {
        "classifier": LINEAR,
        "encoding": "direct",
        "evolution": {"initial": 8, "children": 8},
        "stop": {"generations": 6},
        "scoring": {"batch": 8, "workers": 1},
        "seed": seed,
        **sections,
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a campaign, a run of attacks, and a comparison."""
    folder = tmp_path_factory.mktemp("stored")
    for seed in (1, 2):
        evolve(campaign(seed), folder / f"evolved-{seed}")
    evofool.attack(
        {
            "classifier": LINEAR,
            "images": {"noise": "uniform", "count": 3},
            "attacks": [
                {"name": "pgd", "eps": 1.0, "steps": 8, "early_stop": False, "targets": "all"},
                {"name": "fgsm", "eps": 0.5, "targets": 2},
                {"name": "deepfool"},
            ],
            "only_correct": False,
            "seed": 1,
        },
        folder / "attacked",
    )
    begin(
        CompareStudy,
        {
            "kind": "compare", "victims": [LINEAR], "budget": 30 * CLASSES, "seeds": [1, 2],
            "methods": [{"attack": "pgd", "step_size": 0.05}, {"noise": "uniform"}],
            "scoring": {"batch": 16},
        },
        folder / "compared",
    )  # fmt: skip
    return folder


def compare(out: Path, *paths: Path, **keys: Any) -> Path:
    begin(CompareStudy, {"kind": "compare", "runs": [str(path) for path in paths], **keys}, out)
    return out


def rows(run: Path, name: str = "compare.csv") -> list[dict[str, str]]:
    with (run / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def page(run: Path) -> str:
    return (run / "report" / "index.html").read_text(encoding="utf-8")


ALL = ("evolved-1", "evolved-2", "attacked", "compared")


@pytest.fixture(scope="module")
def everything(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compare(tmp_path_factory.mktemp("all") / "run", *(runs / name for name in ALL))


def test_one_method_a_run_and_method_and_seeds_of_one_config_together(everything: Path) -> None:
    table = rows(everything)
    assert [(row["method"], row["seeds"], row["sees"]) for row in table] == [
        ("evolution direct", "2", "scores"),
        ("pgd, attacked", "1", "weights"),
        ("fgsm", "1", "weights"),
        ("pgd, compared", "2", "weights"),
        ("noise uniform", "2", "scores"),
    ]
    assert {row["net"] for row in table} == {"linear"}
    assert [row["classes"] for row in table] == ["7", "6", "1", "7", "7"]
    # of two seeds there is an interval, of one there is none, and the page says of which
    assert [bool(row["median_low"]) for row in table] == [True, False, False, True, True]
    assert "These methods have only one seed and no interval: pgd, attacked, fgsm." in page(
        everything
    )
    (left_out,) = json.loads((everything / "summary.json").read_text())["left_out"]
    assert left_out["method"] == "deepfool of attacked"
    assert "it is not aimed at a class" in left_out["reason"]


def test_its_table_is_typed_records(runs: Path, everything: Path) -> None:
    for run in (everything, runs / "compared"):
        records = evofool.open_run(run).results()
        table = rows(run)
        assert [(r.net, r.method, r.median_confidence) for r in records] == [  # type: ignore[attr-defined]
            (row["net"], row["method"], float(row["median_confidence"])) for row in table
        ]
        assert [r.measures["share_0.99"] for r in records] == [  # type: ignore[attr-defined]
            float(row["share_0.99"]) for row in table
        ]
    frame = evofool.open_run(everything).to_frame()
    assert list(frame.columns) == list(rows(everything)[0])


def test_nothing_is_scored_again(everything: Path) -> None:
    found = status(everything)
    assert (found["queries"], found["backward_images"]) == (0, 0)
    assert found["status"] == "finished"
    assert "nothing was scored again" in page(everything)


def test_pictures_are_those_of_the_runs_and_as_sure_as_the_table_says(everything: Path) -> None:
    searches = {
        (r["method"], r["seed"], r["class_index"]): r for r in rows(everything, "searches.csv")
    }
    pictures = rows(everything, "pictures.csv")
    assert len(pictures) == len(searches) == 2 * 7 + 6 + 1 + 2 * 7 + 2 * 7
    images = [decode_png((everything / row["file"]).read_bytes()) for row in pictures]
    with Scorer(evofool.load_classifier(LINEAR)) as scorer:
        odds = scorer.score(np.stack(images)).log_odds
    for k, row in enumerate(pictures):
        stored = searches[row["method"], row["seed"], row["class_index"]]
        expected = odds[k, int(row["class_index"])]
        assert float(stored["log_odds"]) == pytest.approx(expected, abs=1e-4)


def test_a_campaign_costs_what_its_generations_sent(runs: Path, everything: Path) -> None:
    """Recomputed from the campaign's own tables."""
    curve = {
        int(row["cost"]): row for row in rows(everything, "curves.csv")
        if row["method"] == "evolution direct"
    }  # fmt: skip
    best: dict[int, list[float]] = {}
    for seed in (1, 2):
        with CampaignFolder.open(runs / f"evolved-{seed}") as run:
            sent = [row.forward_images for row in run.generations()]
            wins = run.wins()
        assert sent[-1] == int(float(next(iter(rows(everything)))["spent"]))
        for cost in curve:
            top = np.full(CLASSES, np.nan)
            for win in wins:
                before = sent[win.id.generation - 1] if win.id.generation else 0
                if before + win.id.child + 1 <= cost:
                    top[win.class_index] = np.fmax(top[win.class_index], win.log_odds)
            best.setdefault(cost, []).append(float(np.median(1 / (1 + np.exp(-top)))))
    for cost, row in curve.items():
        median = np.median(best[cost])
        stored = float(row["median_confidence"] or "nan")
        assert stored == pytest.approx(median, abs=1e-9, nan_ok=True)
    assert sum(bool(row["median_confidence"]) for row in curve.values()) >= 3


def test_an_attack_costs_what_its_pictures_sent(runs: Path, everything: Path) -> None:
    """Pictures on their way to one class are one search after the other."""
    results = [r for r in rows(runs / "attacked", "results.csv") if r["attack"] == "pgd"]
    with Scorer(evofool.load_classifier(LINEAR)) as scorer:
        images = evofool.open_run(runs / "attacked").images()[: len(results)]
        sure = scorer.score(images).log_odds
    seen: dict[str, list[tuple[int, float]]] = {}
    spent = 0
    for k, row in enumerate(results):
        c = row["target"]
        cost = sum(int(row[key]) for key in ("forward_images", "verify_forward_images"))
        cost += 2 * int(row["backward_images"])
        own = seen.setdefault(c, [])
        own.append(((own[-1][0] if own else 0) + cost, float(sure[k, int(c)])))
        spent += cost
    assert len(seen) == 6  # of 7 classes: all pictures began as one of them
    traces = [r for r in rows(everything, "traces.csv") if r["method"] == "pgd, attacked"]
    assert {r["class_index"] for r in traces} == set(seen)
    for row in traces:
        own = seen[row["class_index"]]
        best = max(odds for at, odds in own if at * 6 <= int(row["cost"]))
        assert float(row["log_odds"]) == pytest.approx(best)
    table = next(r for r in rows(everything) if r["method"] == "pgd, attacked")
    assert float(table["spent"]) == spent


def test_a_comparison_says_the_same_of_its_methods_as_before(runs: Path, everything: Path) -> None:
    before = {row["method"]: row for row in rows(runs / "compared")}
    names = {"pgd, compared": "pgd", "noise uniform": "noise uniform"}
    for row in rows(everything):
        if row["method"] in names:
            old = before[names[row["method"]]]
            same = set(row) - {"method"}
            assert {key: row[key] for key in same} == {key: old[key] for key in same}


def test_the_same_runs_give_the_same_bytes(runs: Path, everything: Path, tmp_path: Path) -> None:
    again = compare(tmp_path / "again", *(runs / name for name in ALL))
    tables = sorted(path.name for path in everything.glob("*.csv"))
    assert "runs.csv" in tables
    for name in (*tables, "report/index.html", "report/compare.tex"):
        assert (again / name).read_bytes() == (everything / name).read_bytes(), name
    pictures = sorted(path.name for path in (everything / "pictures").iterdir())
    assert [(again / "pictures" / name).read_bytes() for name in pictures] == [
        (everything / "pictures" / name).read_bytes() for name in pictures
    ]
    text = page(again)
    resume(again)
    assert page(again) == text


def test_it_can_be_verified_and_compared_again_when_the_runs_are_gone(
    runs: Path, tmp_path: Path
) -> None:
    for seed in (1, 2):
        shutil.copytree(runs / f"evolved-{seed}", tmp_path / f"e{seed}")
    made = compare(tmp_path / "made", tmp_path / "e1", tmp_path / "e2")
    assert all(check.ok for check in verify(made))
    table = rows(made)
    shutil.rmtree(tmp_path / "e1")
    resume(made)
    assert rows(made) == table
    assert "1 run folder not there any more" in page(made)
    beside = compare(tmp_path / "beside", made, runs / "attacked")
    assert rows(beside)[0] == table[0]


def test_the_page_stands_alone(everything: Path) -> None:
    text = page(everything)
    assert "<script" not in text
    assert str(everything) not in text


def test_methods_that_share_few_classes_have_a_test_without_pairs(everything: Path) -> None:
    loose = rows(everything, "unpaired.csv")
    assert {row["first"] for row in loose} | {row["second"] for row in loose} == {
        row["method"] for row in rows(everything)
    }
    assert all("fgsm" in (row["first"], row["second"]) for row in loose)
    assert all(-1 <= float(row["delta"]) <= 1 for row in loose)
    assert not any("fgsm" in (r["first"], r["second"]) for r in rows(everything, "tests.csv"))
    assert "the methods do not search for the same classes (1, 6 and 7 of 7)" in page(everything)


def test_a_broken_off_campaign_goes_as_far_as_it_went_and_is_marked(
    runs: Path, tmp_path: Path
) -> None:
    path = tmp_path / "broken"
    _broken_off(path)
    made = compare(tmp_path / "made", runs / "evolved-1", path)
    table = {row["method"]: row for row in rows(made)}
    assert list(table) == ["evolution direct", "evolution direct (interrupted)"]
    short = table["evolution direct (interrupted)"]
    assert 0 < float(short["spent"]) < float(table["evolution direct"]["spent"])
    ends = [
        int(row["cost"]) for row in rows(made, "curves.csv") if row["method"] == short["method"]
    ]
    assert max(ends) == int(float(short["spent"]))
    assert "Not finished: broken (interrupted)." in page(made)
    assert [row["state"] for row in rows(made, "runs.csv")] == ["finished", "interrupted"]


def _broken_off(path: Path) -> None:
    done = 0

    def progress(_: Any) -> None:
        nonlocal done
        done += 1

    with pytest.raises(Interrupted):
        evolve(campaign(3), path, progress=progress, should_stop=lambda: done >= 3)


def test_a_broken_off_comparison_gives_what_is_done(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken"
    shutil.copytree(runs / "compared", path)
    entry = json.loads((path / "manifest.json").read_text())["compared"]
    address = entry["methods"][0]["runs"]["2"][0]
    with sqlite3.connect(path / "run.sqlite") as database:
        database.execute("UPDATE works SET finished = 0 WHERE address = ?", (address,))
        database.execute("UPDATE meta SET value = 'interrupted' WHERE key = 'status'")
    database.close()
    made = compare(tmp_path / "made", path)
    assert [(r["method"], r["seeds"]) for r in rows(made)] == [("pgd", "1"), ("noise uniform", "2")]
    assert "seed 2 is not done (interrupted)" in page(made)


def test_two_nets_stand_side_by_side_and_meet_in_classes_of_one_name(
    runs: Path, tmp_path: Path
) -> None:
    evolve(campaign(1, classifier=EXACT), tmp_path / "other")
    made = compare(tmp_path / "made", runs / "evolved-1", runs / "attacked", tmp_path / "other")
    nets = [row["net"] for row in rows(made)]
    assert nets == ["linear"] * 3 + ["toy"]
    assert "The runs are on 2 nets, linear, toy" in page(made)
    between = [r for r in rows(made, "tests.csv") if r["net"] not in nets]
    assert [(r["first"], r["second"], r["classes"]) for r in between] == [
        ("evolution direct on linear", "evolution direct on toy", "7")
    ]


def test_one_run_alone_has_a_page_and_no_tests(runs: Path, tmp_path: Path) -> None:
    made = compare(tmp_path / "made", runs / "evolved-1")
    assert rows(made, "tests.csv") == []
    assert "There is only one seed, so no interval is drawn." in page(made)


def test_a_dry_run_says_what_would_be_compared(runs: Path) -> None:
    keys = {"kind": "compare", "runs": [str(runs / name) for name in ALL]}
    lines = plan_lines(plan(CompareStudy.load(keys)))
    assert "# linear: evolution direct, 2 seeds" in lines
    assert any(line.startswith("# left out: deepfool of attacked: ") for line in lines)


def refused(*paths: Path, **keys: Any) -> str:
    with pytest.raises((ConfigError, StoreError)) as caught:
        CompareStudy.make(
            CompareStudy.load({"kind": "compare", "runs": [str(p) for p in paths], **keys})
        )
    return str(caught.value)


def test_what_is_no_run_is_refused(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is not a run folder (it has no manifest.json)" in refused(tmp_path / "empty")
    assert "there is no such folder" in refused(tmp_path / "nothing")
    assert "names one twice" in refused(runs / "evolved-1", runs / "evolved-1")
    assert "victims: unknown key; known here: kind, name, pictures, runs, seed" in refused(
        runs / "evolved-1", victims=[LINEAR]
    )


def test_one_run_twice_is_refused_as_a_copy_too(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "evolved-1", tmp_path / "copy")
    message = refused(runs / "evolved-1", tmp_path / "copy")
    assert f"the run is given twice (as {runs / 'evolved-1'} and as {tmp_path / 'copy'})" in message


def test_the_same_seed_of_the_same_config_counts_once(runs: Path, tmp_path: Path) -> None:
    evolve(campaign(1), tmp_path / "again")
    made = compare(tmp_path / "made", runs / "evolved-1", tmp_path / "again")
    assert [row["seeds"] for row in rows(made)] == ["1"]
    assert "seed 1 of the same config is in evolved-1 as well; it counts once" in page(made)


def test_an_older_schema_is_refused_with_the_command_that_makes_it_again(
    runs: Path, tmp_path: Path
) -> None:
    path = tmp_path / "old"
    shutil.copytree(runs / "attacked", path)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 1}))
    message = refused(runs / "evolved-1", path)
    assert "has schema version 1, but this evofool reads 2" in message
    assert "make it again, in another folder, with: evofool" in message


def test_a_comparison_of_before_is_refused_with_the_mend(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "before"
    shutil.copytree(runs / "compared", path)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["compared"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert "--reuse" in refused(path)


@pytest.mark.parametrize(
    ("name", "statement", "message"),
    [
        (
            "evolved-1",
            "UPDATE wins SET class_index = 99 WHERE class_index = 3",
            "belongs to no generation or class",
        ),
        ("evolved-1", "DELETE FROM wins WHERE class_index = 3", "class 3 was never won"),
        ("attacked", "UPDATE works SET definition = '{}'", "is damaged"),
        ("compared", "UPDATE rows SET content = '{}' WHERE type = 'search'", "damaged"),
    ],
)
def test_damage_is_said(
    runs: Path, tmp_path: Path, name: str, statement: str, message: str
) -> None:
    path = tmp_path / name
    shutil.copytree(runs / name, path)
    with sqlite3.connect(path / "run.sqlite") as database:
        database.execute(statement)
    database.close()
    text = refused(path)
    assert message in text
    assert str(path) in text


@pytest.mark.parametrize(
    "entry", [{}, {"nets": {}, "methods": [{"net": "x"}]}, {"nets": [], "methods": []}]
)
def test_a_damaged_manifest_is_said(runs: Path, tmp_path: Path, entry: dict[str, Any]) -> None:
    path = tmp_path / "run"
    shutil.copytree(runs / "compared", path)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "compared": entry}))
    assert f"{path}: its manifest is damaged: compared." in refused(path)


def test_a_picture_that_is_another_is_said(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(runs / "evolved-1", path)
    (path / "images" / "0002.png").write_bytes((path / "images" / "0001.png").read_bytes())
    with pytest.raises(StoreError, match=r"0002\.png: is not the picture that elites\.csv names"):
        compare(tmp_path / "made", path)


def test_runs_without_a_class_in_common_are_refused(runs: Path, tmp_path: Path) -> None:
    for name, classes in (("first", [0, 1]), ("second", [3, 4])):
        evolution = {"initial": 8, "children": 8, "classes": classes}
        evolve(campaign(1, evolution=evolution), tmp_path / name)
    message = refused(tmp_path / "first", tmp_path / "second")
    assert "no two of the runs search for a class of the same name" in message


def test_kinds_without_such_results_are_named(tmp_path: Path, toy_net_folder: Path) -> None:
    message = refused(toy_net_folder)
    assert "a transfer matrix cannot be compared" in message
    assert "runs of kind evolve, attack, compare can" in message


@pytest.fixture(scope="module")
def toy_net_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of another kind."""
    from evofool.store import ExperimentFolder

    path = tmp_path_factory.mktemp("other") / "run"
    manifest = {"kind": "transfer", "run_id": "r1", "seed": 1}
    with ExperimentFolder.create(path, manifest, "kind: transfer\n"):
        pass
    return path


def test_attacks_from_outside_are_not_run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(name: str) -> None:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(registry, "class_from_file", never)
    CompareStudy.make(CompareStudy.load({"kind": "compare", "runs": [str(runs / "attacked")]}))
