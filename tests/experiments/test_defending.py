"""``evofool defend`` end to end on the digits that ship, with tiny strengths."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from evofool.classifiers import load_classifier
from evofool.data import DataSets, load_dataset
from evofool.errors import (
    ConfigError,
    EvofoolError,
    FolderError,
    Interrupted,
    StoreError,
    UsageError,
)
from evofool.experiments.defend.setup import load_pictures, plan
from evofool.experiments.defend.study import DefendStudy
from evofool.experiments.engine import Context, Results
from evofool.experiments.engine.life import Options, begin, redraw
from evofool.experiments.engine.life import resume as resume_study
from evofool.experiments.engine.progress import ExperimentProgress
from evofool.experiments.runs import kind_of, resume, status, verify
from evofool.experiments.works.answers import AnswerRow
from evofool.experiments.works.campaign import Campaign, EncodedCampaign
from evofool.experiments.works.defended import DefendedRow
from evofool.scoring import Scorer
from evofool.store import Result
from evofool.store.experiment import ExperimentFolder

TOYS = Path(__file__).parents[1] / "toys"


def defend(source: Any, out: Path, command: str | None = None, **options: Any) -> Result:
    return begin(DefendStudy, source, out, command=command, options=Options(**options))


def config(**sections: Any) -> dict[str, Any]:
    return {
        "kind": "defend",
        "base": "mnist-lenet",
        "defense": {"name": "bit-depth", "bits": 2},
        "data": {"dataset": "mnist-sample", "limit": 12, "start": 40},
        "threats": {
            "eps": "64/255", "step_size": 0.05, "steps": 20, "restarts": 1, "black_images": 8,
            "square_queries": 30, "substitute_initial": 10, "substitute_rounds": 1,
            "random_points": 4,
        },
        "evolution": {
            "encodings": ["direct"], "initial": 10, "children": 10, "generations": 2,
            "seeds": [1, 2],
        },
        **sections,
    }  # fmt: skip


COUNTED: Mapping[tuple[str, str], tuple[int, int, int]] = {
    ("undefended", "no attack"): (0, 12, 0),
    ("undefended", "FGSM"): (10, 24, 12),
    ("undefended", "R+FGSM"): (5, 24, 12),
    ("undefended", "PGD-20"): (12, 78, 42),
    ("undefended", "adaptive PGD-20"): (12, 72, 36),
    ("undefended", "substitute, FGSM"): (0, 22, 0),
    ("undefended", "Square"): (2, 218, 0),
    ("defended", "no attack"): (0, 12, 0),
    ("defended", "FGSM"): (0, 24, 12),
    ("defended", "R+FGSM"): (0, 24, 12),
    ("defended", "PGD-20"): (0, 252, 240),
    ("defended", "adaptive PGD-20"): (12, 76, 40),
    ("defended", "FGSM from mnist-lenet"): (11, 12, 0),
    ("defended", "PGD-20 from mnist-lenet"): (12, 12, 0),
    ("defended", "substitute, FGSM"): (2, 22, 0),
    ("defended", "Square"): (5, 173, 0),
}  # fmt: skip
"""Errors, queries and gradients of `config`, as they were before experiments had an engine."""


def table(run: Path) -> list[dict[str, str]]:
    with (run / "threats.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    return rows


def summary(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The red control, with evolution."""
    path = tmp_path_factory.mktemp("defend") / "run"
    defend(config(), path, command="evofool defend toy.yaml")
    return path


def test_it_leaves_what_people_look_for(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "config.yaml", "manifest.json", "run.sqlite", "victim.yaml", "summary.json",
        "threats.csv", "curves.csv", "evolution", "report",
    }  # fmt: skip
    assert {path.name for path in (finished / "evolution").iterdir()} == {
        f"{net}-direct-{seed}" for net in ("undefended", "defended") for seed in (1, 2)
    }
    assert kind_of(finished).name == "defend"
    found = status(finished)
    # the defended net; 7 + 9 threats, PGD on the base that makes all steps; campaigns,
    # diagnostics; of each net a surface and a first layer
    works = 1 + 7 + 9 + 1 + 4 + 1 + 2 + 2
    assert (found["status"], found["verdict"], found["defense"]) == ("finished", "red", "bit-depth")
    assert (found["works"], found["finished"], found["unused"]) == (works, works, 0)
    checks = list(verify(finished))
    assert all(check.ok for check in checks), [check for check in checks if not check.ok]
    assert {"threats.csv", "FGSM from mnist-lenet on the defended net, again"} <= {
        check.name for check in checks
    }


def test_both_nets_stand_in_the_matrix(finished: Path) -> None:
    rows = {(row["net"], row["threat"]): row for row in table(finished)}
    assert ("defended", "FGSM from mnist-lenet") in rows
    assert ("undefended", "FGSM from mnist-lenet") not in rows  # from itself nothing transfers
    assert rows["undefended", "PGD-20"]["errors"] == "12"
    assert rows["defended", "PGD-20"]["errors"] == "0"  # its gradient is zero
    assert rows["defended", "adaptive PGD-20"]["errors"] == "12"  # and BPDA walks around that
    assert rows["defended", "Square"]["n"] == "8"
    for row in rows.values():
        assert float(row["low"]) <= float(row["rate"]) <= float(row["high"])
        assert float(row["rate"]) == int(row["errors"]) / int(row["n"])


def test_the_matrix_is_what_it_always_was(finished: Path) -> None:
    counted = {
        (row["net"], row["threat"]): tuple(
            int(row[key]) for key in ("errors", "queries", "backward_images")
        )
        for row in table(finished)
    }
    assert counted == COUNTED
    assert list(counted) == list(COUNTED)


def test_the_verdict_is_red_for_reasons_that_stand_beside_their_bars(finished: Path) -> None:
    found = summary(finished)
    verdict = found["verdict"]
    assert verdict["colour"] == "red"
    findings = {f["key"]: f for f in verdict["findings"]}
    assert len(findings) == 9
    assert findings["dead_gradients"]["value"] == 1
    assert findings["dead_gradients"]["colour"] == "red"
    assert (findings["dead_gradients"]["amber"], findings["dead_gradients"]["red"]) == (0.02, 0.1)
    assert "Athalye" in findings["unbounded"]["source"]
    # black box against white box is counted on the same images
    black = findings["black_minus_white"]
    study = DefendStudy.make(DefendStudy.load(finished / "config.yaml"))
    first = {}
    with ExperimentFolder.open(finished) as run:
        for threat in study.evaluation.nets[1].threats:
            rows = Results(run, study.plan).rows(threat.work, AnswerRow)[:8]
            assert len(rows) == 8
            first[threat.name] = (threat.group, sum(row.is_error for row in rows) / 8)
    best = max(rate for group, rate in first.values() if group in ("transfer", "black"))
    assert black["value"] == best - max(r for g, r in first.values() if g == "white")


def test_the_defended_net_is_a_victim(finished: Path) -> None:
    victim = load_classifier(str(finished / "victim.yaml"))
    assert victim.digest == summary(finished)["victim"]["digest"]
    assert victim.digest != load_classifier("mnist-lenet").digest


def test_evolution_has_the_same_budget_on_both_nets(finished: Path) -> None:
    with (finished / "curves.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for net in ("undefended", "defended"):
        own = [row for row in rows if row["net"] == net]
        assert [row["evaluations"] for row in own] == ["10", "20", "30"]
        for row in own:
            assert float(row["low"]) <= float(row["median_confidence"]) <= float(row["high"])
        assert own[0]["seeds"] == "2"


def test_the_page_stands_alone(finished: Path) -> None:
    text = (finished / "report" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "style=" not in text  # which the policy would not let through
    assert "http" not in re.sub(r"http-equiv|<svg[^>]*>", "", text)
    assert "Red: This net hides its gradients" in text
    assert "amber at 0.02, red at 0.1 or more" in text
    for name in re.findall(r'(?:src|srcset)="([^"]+)"', text):
        assert (finished / "report" / name).is_file(), name
    for name in re.findall(r'href="([^"]+)"', text):
        assert (finished / "report" / name).is_file(), name


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark")])
def test_the_page_in_a_browser(
    finished: Path, browser: Any, eventually: Any, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.set_default_timeout(600_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.goto((finished / "report" / "index.html").as_uri())
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager' })")
    eventually(page, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("tbody tr:not(.group)").count() == 9 + 1
    shown = page.locator("img[src='surfaces.png']").evaluate("i => i.currentSrc")
    assert shown.endswith("surfaces-dark.png" if scheme == "dark" else "surfaces.png")
    context.close()
    assert faults == []


def test_pictures_that_may_not_be_published_stay_off_the_page(tmp_path: Path) -> None:
    """The licence of many data sets does not allow it."""
    tried = config(defense="none", evolution=None, pictures=False)
    path = defend(tried, tmp_path / "run").path
    text = (path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Before and after" not in text
    assert not (path / "report" / "examples").exists()
    assert "Loss around a picture" in text


class Stopped(Exception):
    """Instead of SIGKILL: nothing is tidied up after it."""


@pytest.mark.parametrize("after", ["PGD-20 on the defended", "evolution, direct, defended"])
def test_a_killed_run_goes_on_to_the_same_end(finished: Path, tmp_path: Path, after: str) -> None:
    def stop(progress: ExperimentProgress) -> None:
        if progress.step.startswith(after) and progress.share_done > 0:
            raise Stopped

    path = tmp_path / "run"
    with pytest.raises(Stopped):
        defend(config(), path, progress=stop)
    assert status(path)["status"] == "interrupted"
    assert 7 < status(path)["finished"] < 27
    seen: list[str] = []
    resume(path, progress=lambda p: seen.append(p.step))
    assert "FGSM on the undefended net" not in seen  # what is done is not done again
    assert table(path) == table(finished)
    same = ("verdict", "evolution", "defense", "data", "eps")
    assert {k: summary(path)[k] for k in same} == {k: summary(finished)[k] for k in same}
    assert status(path)["status"] == "finished"


def test_a_stop_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    calls = iter(range(10_000))
    with pytest.raises(Interrupted, match="evofool resume"):
        defend(config(), tmp_path / "run", should_stop=lambda: next(calls) > 12)
    assert status(tmp_path / "run")["status"] == "interrupted"


def test_no_defense_is_green(tmp_path: Path) -> None:
    path = tmp_path / "run"
    strengths = {**config()["threats"], "square_queries": 100, "random_points": 20}
    defend(config(defense="none", evolution=None, threats=strengths), path)
    found = summary(path)
    assert found["verdict"]["colour"] == "green", found["verdict"]["reason"]
    assert {row["net"] for row in found["threats"]} == {"undefended"}
    assert found["evolution"] == []
    assert "Green: No sign" in (path / "report" / "index.html").read_text(encoding="utf-8")


def test_a_detector_is_calibrated_and_rejects(tmp_path: Path) -> None:
    path = tmp_path / "run"
    detector = {"name": "max-softmax", "false_alarms": 0.25}
    evolution = {**config()["evolution"], "seeds": [1], "generations": 1}
    defend(config(defense=detector, evolution=evolution), path)
    victim = load_classifier(str(path / "victim.yaml"))
    assert victim.reject == 10
    rows = {(row["net"], row["threat"]): row for row in table(path)}
    assert all(row["rejected"] == "0" for (net, _), row in rows.items() if net == "undefended")
    assert int(rows["defended", "FGSM"]["rejected"]) > 0
    # the threshold lies where a quarter of the pictures it was set on are rejected
    loaded = DefendStudy.load(path / "config.yaml")
    _, start = load_pictures(loaded, load_classifier("mnist-lenet"), DataSets())
    with Scorer(victim) as scorer:
        assert (scorer.labels(start.images) == 10).sum() == 10
    # and stands in a row of the work that made the net, which owns the queries for it
    study = DefendStudy.make(loaded)
    with ExperimentFolder.open(path) as run:
        results = Results(run, study.plan)
        row = results.only(study.evaluation.defended, DefendedRow)
        assert results.cost(study.evaluation.defended).queries == 40
    assert f"threshold: {row.options['threshold']}" in (path / "victim.yaml").read_text()
    # "rejected" is no class that evolution is asked for
    assert victim.n_classes == 11
    written = path / "evolution" / "defended-direct-1" / "elites.csv"
    classes = [line.split(",")[0] for line in written.read_text().splitlines()[1:]]
    assert classes == [str(c) for c in range(10)]


@pytest.fixture
def trained(tmp_path: Path) -> Mapping[str, Any]:
    """A training config on whatever `sample_data` gives, of a few steps."""
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "kind: train\nname: tiny\narchitecture: lenet\ndataset: mnist\nepochs: 1\nbatch: 50\n"
        "adversary: {kind: fgsm, eps: 0.2, check: 20}\ndevice: cpu\n"
    )
    return {"name": "trained", "train": str(path)}


@pytest.fixture
def _small_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample in place of MNIST's two splits."""
    import dataclasses

    from evofool.training import loop

    sample = load_dataset("mnist-sample")

    def load(name: str, split: str, data: Path | None = None) -> Any:
        return dataclasses.replace(sample, name=name, split=split)

    monkeypatch.setattr(loop, "load_dataset", load)
    monkeypatch.setattr("evofool.data.load.load_dataset", load)


@pytest.mark.usefixtures("_small_mnist")
def test_a_defense_is_trained_first(trained: Mapping[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "run"
    steps: list[str] = []
    defend(config(defense=trained, evolution=None), path, progress=lambda p: steps.append(p.step))
    assert any(step.startswith("training, epoch 1/1") for step in steps)
    text = (path / "victim.yaml").read_text()
    assert "training/tiny.safetensors" in text
    assert str(tmp_path) not in text  # so the folder can be moved
    assert load_classifier(str(path / "victim.yaml")).white_box
    # killed between the training and the first row, it is not trained again
    with sqlite3.connect(path / "run.sqlite") as database:
        database.execute("UPDATE works SET finished = 0 WHERE kind = 'trained'")
        database.execute("DELETE FROM meta WHERE key = 'rows_sha256'")  # as whoever means it would
    steps.clear()
    resume(path, progress=lambda p: steps.append(p.step))
    assert "training" in steps  # its weights are looked at again
    assert not any(step.startswith("training, epoch") for step in steps)
    # its clean errors are its own
    rows = {(row["net"], row["threat"]): row for row in table(path)}
    assert int(rows["defended", "no attack"]["errors"]) > 0


@pytest.mark.usefixtures("_small_mnist")
def test_a_training_that_diverges_names_its_step(
    trained: Mapping[str, Any], tmp_path: Path
) -> None:
    with Path(trained["train"]).open("a") as file:
        file.write("optimiser: {name: sgd, lr: 10, momentum: 0.99}\n")
    text = Path(trained["train"]).read_text().replace("epochs: 1\n", "epochs: 200\n")
    Path(trained["train"]).write_text(text)
    with pytest.raises(EvofoolError, match=r"defense\.train: .*step \d+"):
        defend(config(defense=trained, evolution=None), tmp_path / "run")


def test_evolution_takes_an_encoding_with_options() -> None:
    options = {"inner": {"name": "direct"}, "mask": {"shape": "disc", "size": 0.5}}
    evolution = {
        "encodings": [{"name": "masked", "called": "sticker", **options}, "direct"],
        "initial": 10, "children": 10, "generations": 2, "seeds": [1],
    }  # fmt: skip
    study = DefendStudy.make(DefendStudy.load(config(evolution=evolution)))
    campaigns = [one for one in study.plan.order if isinstance(one.work, Campaign)]
    assert [one.called for one in campaigns if isinstance(one.work, EncodedCampaign)] == [
        "undefended-sticker-1", "defended-sticker-1"
    ]  # fmt: skip
    for one in campaigns:
        masked = isinstance(one.work, EncodedCampaign)
        written = {"name": "masked", **options} if masked else {"name": "direct"}
        assert one.work.config({})["encoding"] == written  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sections", "where", "word"),
    [
        ({"base": f"{TOYS / 'exact.py'}:victim"}, "base", "black box"),
        ({"base": "victim.yaml"}, "base", "defended"),
        ({"sources": ["fashion-lenet"]}, "sources[0]", "other labels"),
        ({"base": "fashion-lenet"}, "data.dataset", "other classes"),
        ({"base": f"{TOYS / 'linear.py'}:victim"}, "data.dataset", "28 x 28"),
        ({"defense": {"name": "jpg"}}, "defense.name", "jpeg"),
        ({"defense": {"name": "jpeg", "bits": 3}}, "defense.bits", "bit-depth"),
        ({"defense": {"name": "trained"}}, "defense", "weights"),
        ({"defense": {"name": "trained", "weights": "no.safetensors"}}, "defense", "no such file"),
        ({"defense": {"name": "trained", "train": "train/nothing"}}, "defense.train", "no such"),
        ({"defense": {"name": "energy", "threshold": 1.0, "false_alarms": 0.1}}, "defense", "both"),
        ({"data": {"dataset": "mnist-samples"}}, "data.dataset", "mnist-sample"),
        ({"data": {"dataset": "mnist-sample", "limit": None}}, "data.limit", "none is left"),
        ({"data": {"dataset": "mnist-sample", "split": "train"}}, "data.split", "test"),
        ({"threats": {"eps": 0.1, "alpha": 0.2}}, "threats", "below eps"),
        ({"evolution": {"encodings": ["nothing"]}}, "evolution.encodings[0]", "nothing"),
        ({"evolution": {"seeds": [1, 1]}}, "evolution.seeds", "twice"),
        ({"kind": "attack"}, "kind", "evofool attack"),
        ({"base": {"name": "mnist-lenet", "task": "multi-label"}}, "base", "into a victim.yaml"),
    ],
)
def test_bad_configs(tmp_path: Path, sections: dict[str, Any], where: str, word: str) -> None:
    with pytest.raises(ConfigError) as info:
        defend(config(**sections), tmp_path / "run")
    assert where in str(info.value)
    assert word in str(info.value)
    assert not (tmp_path / "run").exists()


def test_a_detector_wants_logits(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "from evofool.classifiers import from_module\n"
        "def victim():\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Sigmoid())\n"
        "    return from_module(net, input_shape=(1, 28, 28), output='probs', link='identity',\n"
        "                       labels=[str(i) for i in range(10)])\n"
    )
    with pytest.raises(ConfigError, match=r"defense: .*needs softmax logits"):
        defend(
            config(base=f"{tmp_path / 'net.py'}:victim", defense={"name": "energy"}),
            tmp_path / "run",
        )


def test_a_truncated_data_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        whole = gzip.compress(b"\0" * 4000)
        (tmp_path / "mnist" / f"{name}-ubyte.gz").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setenv("EVOFOOL_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match=r"data.dataset: .*t10k-images"):
        defend(config(data={"dataset": "mnist"}), tmp_path / "run")


def test_resume_takes_nothing_that_would_make_another_run(finished: Path) -> None:
    with pytest.raises(UsageError, match=r"only scoring\.workers"):
        resume(finished, overrides=["threats.steps=5"])
    with pytest.raises(UsageError, match="--classifier"):
        resume(finished, classifier="other.safetensors")
    with pytest.raises(FolderError, match="not defend"):
        resume_study(DefendStudy, finished / "evolution" / "defended-direct-1")


def test_another_victim_is_not_gone_on_with(finished: Path, tmp_path: Path) -> None:
    """Once it is out of the way it is made as it was, and rows that were measured on it stay."""
    path = tmp_path / "run"
    shutil.copytree(finished, path)
    text = (path / "victim.yaml").read_text()
    (path / "victim.yaml").write_text(text.replace("bits: 2", "bits: 3"))
    assert not {c.name: c.ok for c in verify(path)}["the defended net"]
    with pytest.raises(StoreError, match=r"victim\.yaml is not what was made"):
        resume(path)
    (path / "victim.yaml").unlink()
    steps: list[str] = []
    resume(path, progress=lambda p: steps.append(p.step))
    assert set(steps) == {"the defended net", "report"}
    assert (path / "victim.yaml").read_text() == text
    assert (path / "threats.csv").read_bytes() == (finished / "threats.csv").read_bytes()


def _edit(run: Path, key: str, value: object) -> None:
    data = yaml.safe_load((run / "config.yaml").read_text())
    *above, last = key.split(".")
    section = data
    for part in above:
        section = section[part]
    section[last] = value
    (run / "config.yaml").write_text(yaml.safe_dump(data))


def test_an_edited_config_keeps_what_it_shares(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(finished, path)
    _edit(path, "threats.square_queries", 20)
    (config_check,) = [check for check in verify(path) if check.name == "config"]
    assert config_check.ok is False
    assert "threats.square_queries was 30 and is 20" in config_check.detail
    steps: list[str] = []
    said: list[str] = []
    options = Options(progress=lambda p: steps.append(p.step), say=said.append)
    resume_study(DefendStudy, path, options=options)
    squares = [f"Square on the {net} net" for net in ("undefended", "defended")]
    assert set(steps) == {*squares, "report"}
    assert f"new: {', '.join(squares)}\n" in said[0]
    assert f"no longer used: {', '.join(squares)}" in said[0]
    found = status(path)
    assert (found["finished"], found["unused"]) == (27, 2)
    before, after = table(finished), table(path)
    changed = {row["threat"] for row, old in zip(after, before, strict=True) if row != old}
    assert changed == {"Square"}


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("threats.eps", 0.3, {"clean", "first-layer", "campaign", "defended"}),
        ("threats.steps", 10, {"clean", "first-layer", "campaign", "defended", "substitute"}),
        ("defense.bits", 3, {"clean", "first-layer", "attacked", "substitute", "campaign"}),
        ("data.limit", 13, {"campaign", "first-layer"}),
        ("evolution.generations", 3, {"clean", "attacked", "transferred", "diagnosed"}),
        ("evolution.seeds", [1, 2, 3], {"clean", "attacked", "diagnosed", "campaign"}),
        ("scoring.batch", 7, {"first-layer"}),
        ("scoring.workers", 1, None),
        ("seed", 4, {"first-layer"}),
    ],
)
def test_what_an_edited_key_makes_anew(key: str, value: object, kept: set[str] | None) -> None:
    written = config()
    section: Any = written
    *above, last = key.split(".")
    for part in above:
        section = section.setdefault(part, {})
    before = DefendStudy.make(DefendStudy.load(config())).plan
    section[last] = value
    after = DefendStudy.make(DefendStudy.load(written)).plan
    new = [planned for planned in after if planned.work.address not in before]
    if kept is None:  # not part of the result
        assert not new
        return
    assert new
    assert kept <= {p.work.kind for p in after if p.work.address in before}


def test_a_report_is_drawn_again_without_a_query(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pictures and surfaces are rows of works, which own the queries."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a net is asked")

    path = tmp_path / "run"
    shutil.copytree(finished, path)
    drawn = sorted(p.relative_to(path) for p in (path / "report").rglob("*") if p.is_file())
    shutil.rmtree(path / "report")
    (path / "threats.csv").unlink()
    monkeypatch.setattr(Context, "scorer", refuse)
    monkeypatch.setattr(Scorer, "score", refuse)
    redraw(DefendStudy, path)
    again = sorted(p.relative_to(path) for p in (path / "report").rglob("*") if p.is_file())
    assert again == drawn
    for name in ("threats.csv", "curves.csv", "summary.json", "report/index.html"):
        assert (path / name).read_bytes() == (finished / name).read_bytes()


def test_a_detector_needs_enough_clean_pictures(tmp_path: Path) -> None:
    few = {"dataset": "mnist-sample", "limit": 12, "start": 10}
    with pytest.raises(ConfigError, match=r"data\.start: 10 clean pictures .* at least 20"):
        defend(config(defense="energy", data=few), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_plan_counts_the_work() -> None:
    found = plan(DefendStudy.load(config()))
    assert (found.images, found.evolved) == (12, 2 * 2 * 30)
    assert found.classifier.ready
    assert found.missing == ()
