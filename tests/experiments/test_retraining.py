"""The retraining loop end to end on the digits that ship, with tiny budgets."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evofool.classifiers import load_classifier
from evofool.errors import ConfigError, Interrupted, StoreError, UsageError
from evofool.experiments.engine import Results
from evofool.experiments.engine.life import Options, begin
from evofool.experiments.retrain.loop import NetKey
from evofool.experiments.retrain.retrained import RetrainedRow
from evofool.experiments.retrain.setup import plan
from evofool.experiments.retrain.study import RetrainStudy
from evofool.experiments.runs import kind_of, resume, status, verify
from evofool.experiments.works.answers import AnswerRow
from evofool.experiments.works.campaign import ChampionRow
from evofool.store.experiment import ExperimentFolder

TOYS = Path(__file__).parents[1] / "toys"


def config(**sections: Any) -> dict[str, Any]:
    return {
        "kind": "retrain",
        "base": "mnist-lenet",
        "data": {"dataset": "mnist-sample", "train": "test", "limit": 50, "train_limit": 40},
        "rounds": 2,
        "trained_on": ["direct", "all"],
        "images": {"first": 20, "more": 10},
        "training": {"epochs": 1, "batch": 32, "weight": 2},
        "evolution": {
            "encodings": ["direct", "cppn"], "initial": 12, "children": 12, "generations": 1,
            "seeds": [1],
        },
        "ascent": {"images": 4, "steps": 3},
        "device": "cpu",
        **sections,
    }  # fmt: skip


def table(run: Path, name: str = "retrain.csv") -> list[dict[str, str]]:
    with (run / name).open(encoding="utf-8", newline="") as file:
        return [
            {k: v for k, v in r.items() if k != "training_seconds"} for r in csv.DictReader(file)
        ]


def opened(run: Path) -> tuple[RetrainStudy, Results]:
    study = RetrainStudy.make(RetrainStudy.load(run / "config.yaml"))
    return study, Results(ExperimentFolder.open(run), study.plan)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("retrain") / "run"
    begin(RetrainStudy, config(others=["mnist-lenet"]), path, command="evofool defend toy.yaml")
    return path


def test_it_leaves_nets_runs_and_tables(finished: Path) -> None:
    assert kind_of(finished).name == "retrain"
    found = status(finished)
    assert found["status"] == "finished"
    assert found["works"] == found["finished"] == len(opened(finished)[0].plan)
    assert {path.name for path in (finished / "evolution").iterdir()} == {
        f"round-{net}-{encoding}-1"
        for net in ("0-base", "1-direct", "1-all", "2-direct", "2-all")
        for encoding in ("direct", "cppn")
    }
    net = load_classifier(str(finished / "nets" / "round-2-all-1.safetensors"))
    assert net.labels[-1] == "fooling"
    assert net.n_classes == 11
    study, results = opened(finished)
    trained = {key: each.net for key, each in study.loop.nets.items() if key.round}
    digests = {key: results.only(work, RetrainedRow).digest for key, work in trained.items()}  # type: ignore[arg-type]
    assert digests[NetKey(2, "all", 1)] == net.digest
    assert len(set(digests.values())) == 4
    assert all(check.ok for check in verify(finished))


def test_the_goals_are_the_real_classes(finished: Path) -> None:
    for name in ("round-0-base-cppn-1", "round-2-all-cppn-1"):
        rows = table(finished / "evolution" / name, "elites.csv")
        assert [row["class_index"] for row in rows] == [str(c) for c in range(10)]


def test_the_table_adds_up(finished: Path) -> None:
    rows = {(r["round"], r["trained_on"]): r for r in table(finished)}
    assert [r["fooling_images"] for r in rows.values()] == ["0", "20", "20", "30", "30"]
    assert rows["0", "base"]["recall_old"] == ""  # it has no such class
    study, results = opened(finished)
    for key, net in study.loop.nets.items():
        row = rows[str(key.round), key.trained_on]
        clean = results.rows(net.clean, AnswerRow)
        assert len(clean) == 50
        assert float(row["clean_error"]) == sum(r.predicted != r.label for r in clean) / 50
        if net.recall_old is not None:
            old = results.rows(net.recall_old, AnswerRow)
            assert len(old) == int(row["fooling_images"])
            last = results.rows(net.recall_last["cppn"], AnswerRow)
            assert len(last) == 5
            assert float(row["recall_last_cppn"]) == sum(r.predicted == 10 for r in last) / 5
        assert float(row["cells_99_cppn"]) <= float(row["cells_50_cppn"])
    curves = table(finished, "curves.csv")
    points = [c for c in curves if (c["round"], c["trained_on"]) == ("2", "all")]
    assert [(c["encoding"], c["evaluations"]) for c in points] == [
        ("direct", "12"), ("direct", "24"), ("cppn", "12"), ("cppn", "24")
    ]  # fmt: skip
    assert float(points[-1]["median_confidence"]) == float(rows["2", "all"]["median_cppn"])


def test_champions_are_shown_to_other_nets(finished: Path) -> None:
    rows = table(finished, "shown.csv")
    own = [r for r in rows if r["round"] == "0" and r["other"] == "mnist-lenet"]
    counts = {(r["encoding"], r["measure"]): int(r["hits"]) for r in own}
    # the base is shown its own champions: the target class is what its cells say
    study, results = opened(finished)
    campaigns = study.loop.nets[NetKey(0, "base", 1)].campaigns
    cells = {
        encoding: sum(row.confidence >= 0.5 for row in results.rows(campaign, ChampionRow))
        for encoding, campaign in campaigns.items()
    }
    for encoding in ("direct", "cppn"):
        assert counts[encoding, "target_50"] == cells[encoding]
        assert counts[encoding, "any_50"] >= counts[encoding, "target_50"]


def test_the_page_stands_alone(finished: Path) -> None:
    text = (finished / "report" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "style=" not in text
    assert "Trained on direct and cppn pictures" in text
    for name in re.findall(r'(?:src|srcset|href)="([^"]+)"', text):
        assert (finished / "report" / name).is_file(), name


def test_the_page_in_a_browser(finished: Path, browser: Any, eventually: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    context.set_default_timeout(600_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.goto((finished / "report" / "index.html").as_uri())
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
    eventually(page, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
    assert faults == []


HELD = """
import sys
from pathlib import Path
from evofool.experiments.engine.life import Options, begin
from evofool.experiments.retrain.study import RetrainStudy

run = Path(sys.argv[2])

def hold(progress):
    if list((run / "nets").glob("round-1-*.safetensors")):
        print("midway", flush=True)
        sys.stdin.read()  # until it is killed, however late that is

begin(RetrainStudy, sys.argv[1], run, options=Options(progress=hold))
"""


def test_a_killed_loop_goes_on_to_the_same_end(finished: Path, tmp_path: Path) -> None:
    written = tmp_path / "toy.yaml"
    written.write_text(json.dumps(config(others=["mnist-lenet"])))
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HELD, written, run], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"midway\n"
        process.kill()
    assert status(run)["status"] == "interrupted"
    resume(run)
    for name in ("retrain.csv", "curves.csv", "shown.csv"):
        assert table(run, name) == table(finished, name)
    name = "nets/round-2-all-1.safetensors"
    assert (run / name).read_bytes() == (finished / name).read_bytes()


def test_a_stop_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    calls = iter(range(100_000))
    options = Options(should_stop=lambda: next(calls) > 20)
    with pytest.raises(Interrupted, match="evofool resume"):
        begin(RetrainStudy, config(), tmp_path / "run", options=options)
    assert status(tmp_path / "run")["status"] == "interrupted"


def test_another_net_is_not_gone_on_with(finished: Path, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(finished, run)
    for kind in ("safetensors", "json"):
        shutil.copy(run / "nets" / f"round-1-all-1.{kind}", run / "nets" / f"round-2-all-1.{kind}")
    with pytest.raises(StoreError, match=r"round-2-all-1\.json is not what was made"):
        resume(run)
    wrong = [check.name for check in verify(run) if check.ok is False]
    assert "round 2: training on all" in wrong
    for kind in ("safetensors", "json"):
        (run / "nets" / f"round-2-all-1.{kind}").unlink()
    resume(run)
    name = "nets/round-2-all-1.safetensors"
    assert (run / name).read_bytes() == (finished / name).read_bytes()


def test_scratch_needs_no_weights_of_before(tmp_path: Path) -> None:
    sections = {"rounds": 1, "trained_on": ["direct"], "ascent": None}
    training = {"start": "scratch", "epochs": 1, "batch": 50}
    begin(RetrainStudy, config(**sections, training=training), tmp_path / "run")
    card = json.loads((tmp_path / "run" / "nets" / "round-1-direct-1.json").read_text())
    assert card["retrained"]["start"] == "scratch"
    row = table(tmp_path / "run")[1]
    assert float(row["clean_error"]) > 0.5  # two steps from new weights teach nothing


@pytest.mark.parametrize(
    ("sections", "where", "word"),
    [
        ({"base": f"{TOYS / 'exact.py'}:victim"}, "base", "cannot get another class"),
        ({"base": "fashion-lenet"}, "data.dataset", "other classes"),
        ({"base": "train/nothing"}, "base", "no such"),
        ({"images": {"first": 25}}, "images.first", "scores only 24"),
        ({"images": {"first": 24, "more": 25}}, "images.more", "lower it"),
        ({"images": {"first_share": 1.5}}, "images.first_share", "at most 1"),
        ({"trained_on": ["cpn"]}, "config", "allowed: direct, cppn, all"),
        ({"trained_on": ["all", "all"]}, "config", "twice"),
        ({"data": {"dataset": "mnist-sample"}}, "data.train", "no split"),
        ({"others": ["fashion-lenet"]}, "others[0]", "other labels"),
        ({"training": {"weight": 0}}, "training.weight", "above 0"),
        (
            {"evolution": {"encodings": ["nothing"]}, "trained_on": ["all"]},
            "encodings[0]",
            "nothing",
        ),
        ({"rounds": 0}, "rounds", "at least 1"),
        ({"kind": "attack"}, "kind", "evofool attack"),
    ],
)
def test_bad_configs(tmp_path: Path, sections: dict[str, Any], where: str, word: str) -> None:
    with pytest.raises(ConfigError) as info:
        begin(RetrainStudy, config(**sections), tmp_path / "run")
    assert where in str(info.value)
    assert word in str(info.value)
    assert not (tmp_path / "run").exists()


def test_resume_takes_nothing_that_would_make_another_run(finished: Path) -> None:
    with pytest.raises(UsageError, match=r"only scoring\.workers"):
        resume(finished, overrides=["rounds=5"])
    with pytest.raises(UsageError, match="--classifier"):
        resume(finished, classifier="other.safetensors")


def test_a_plan_counts_the_work() -> None:
    found = plan(RetrainStudy.load(config()))
    assert (found.trainings, found.evolutions, found.evolved) == (4, 10, 240)
    assert found.missing == ()
