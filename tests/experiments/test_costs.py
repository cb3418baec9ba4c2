"""``kind: costs`` end to end on a data set that is learnt in a second."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from halves import load_halves

from evofool.attacks.query.noise import noise_images
from evofool.classifiers import from_module
from evofool.errors import ConfigError, FolderError, Interrupted, UsageError
from evofool.experiments.costs.study import CostsStudy
from evofool.experiments.engine.life import Options, begin
from evofool.experiments.runs import kind_of, resume, status, verify
from evofool.experiments.works.noise import REACH, float_noise, noise_net
from evofool.images import to_uint8
from evofool.training import loop


def config(**sections: Any) -> dict[str, Any]:
    return {
        "kind": "costs",
        "training": {"dataset": "mnist", "epochs": 3, "batch": 20},
        "nets": [
            "cross-entropy",
            {"loss": "rbf", "optimiser": {"name": "adam", "lr": 0.001, "weight_decay": 0}},
        ],
        "seeds": [1, 2],
        "images": 20,
        "eps": "32/255",
        "rubbish": {"images": 30},
        "evolution": {"encodings": ["direct"], "initial": 8, "children": 8, "generations": 2},
        **sections,
    }


@pytest.fixture(autouse=True, scope="module")
def halves() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "load_dataset", load_halves)
        patch.setattr("evofool.data.load.load_dataset", load_halves)
        yield


@pytest.fixture(scope="module")
def finished(halves: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("costs") / "run"
    begin(CostsStudy, config(), path, command="evofool defend toy.yaml")
    return path


def table(run: Path) -> list[dict[str, str]]:
    with (run / "costs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_leaves_what_people_look_for(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {"run.sqlite", "nets", "evolution", "costs.csv", "curves.csv", "report"}
    assert {path.name for path in (finished / "evolution").iterdir()} == {
        f"{loss}-{seed}-direct" for loss in ("cross-entropy", "rbf") for seed in (1, 2)
    }
    assert kind_of(finished).name == "costs"
    found = status(finished)
    works = 4 + 4 * 4 + 4  # trainings, measures, campaigns
    assert (found["status"], found["works"], found["finished"]) == ("finished", works, works)
    checks = list(verify(finished))
    assert all(check.ok for check in checks), checks


def test_rates_are_pooled_over_seeds(finished: Path) -> None:
    rows = {(row["loss"], row["measure"]): row for row in table(finished)}
    for loss in ("cross-entropy", "rbf"):
        assert rows[loss, "no attack"]["n"] == "192"
        assert rows[loss, "FGSM"]["n"] == "40"
        assert rows[loss, "noise N(0, I)"]["n"] == "60"
        assert rows[loss, "evolution, direct, share of cells >= 0.5"]["n"] == "4"
        assert ("evolution, direct, median confidence") in {m for name, m in rows if name == loss}
    for row in rows.values():
        assert float(row["low"]) <= float(row["rate"]) <= float(row["high"])
        assert float(row["least_of_seeds"]) <= float(row["most_of_seeds"])
    # of two classes, a softmax is always above a half of one of them
    assert float(rows["cross-entropy", "noise N(0, I)"]["rate"]) == 1
    summary = json.loads((finished / "summary.json").read_text(encoding="utf-8"))
    net = summary["nets"][1]
    assert net["loss"] == "rbf"
    assert net["measures"]["noise N(0, I)"]["seeds"] == [
        pytest.approx(x) for x in net["measures"]["noise N(0, I)"]["seeds"]
    ]
    assert net["measures"]["no attack"]["hits"] <= 20  # it has learnt


def test_the_page_stands_alone(finished: Path) -> None:
    text = (finished / "report" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "style=" not in text
    assert "98.35 %" in text
    assert "Noise N(0, I), as drawn: some class is claimed: from" in text
    for name in re.findall(r'(?:src|srcset)="([^"]+)"', text):
        assert (finished / "report" / name).is_file(), name
    for name in re.findall(r'href="([^"]+)"', text):
        assert (finished / "report" / name).is_file(), name
    assert text.count("<figure>") == 4  # two losses, two classes


@pytest.mark.parametrize("stops", [12, 40, 75])
def test_what_was_stopped_goes_on_to_the_same_table(
    finished: Path, tmp_path: Path, stops: int
) -> None:
    calls = iter(range(10_000))
    with pytest.raises(Interrupted, match="continue with: evofool resume"):
        begin(
            CostsStudy,
            config(),
            tmp_path / "run",
            options=Options(should_stop=lambda: next(calls) >= stops),
        )
    assert status(tmp_path / "run")["status"] == "interrupted"
    before = status(tmp_path / "run")
    resume(tmp_path / "run")
    assert status(tmp_path / "run")["finished"] == 24 >= before["finished"]
    assert table(tmp_path / "run") == table(finished)


def test_a_finished_run_is_not_done_again(finished: Path) -> None:
    nets = {path: path.stat().st_mtime_ns for path in (finished / "nets").iterdir()}
    resume(finished)
    assert {path: path.stat().st_mtime_ns for path in (finished / "nets").iterdir()} == nets


def test_float_noise_is_the_noise_that_pictures_cut() -> None:
    from torch import nn

    noise = float_noise((1, 16, 16), 5, 3)
    drawn = (noise - 0.5) * 2 * REACH
    assert abs(float(drawn.mean())) < 0.1
    assert 0.9 < float(drawn.std()) < 1.1
    pictures = noise_images("normal", (1, 16, 16), 5, 3)
    assert np.abs(to_uint8(np.clip(drawn, 0, 1)).astype(int) - pictures).max() <= 1
    net = from_module(
        nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), input_shape=(1, 16, 16), name="linear"
    )
    whole = noise_net(net)
    import torch

    with torch.no_grad():
        assert net.module is not None
        assert whole.module is not None
        wanted = net.module(torch.from_numpy(drawn))
        assert torch.allclose(whole.module(torch.from_numpy(noise)), wanted, atol=1e-5)


def test_damage_is_found(finished: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    text = (copy / "costs.csv").read_text(encoding="utf-8")
    (copy / "costs.csv").write_text(text.replace("FGSM", "fgsm", 1), encoding="utf-8")
    checks = {check.name: check.ok for check in verify(copy)}
    assert checks["costs.csv"] is False
    assert checks["database"]


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"nets": ["softmax"]}, "nets", "squared-error"),
        ({"nets": ["sigmoid", "sigmoid"]}, "nets", "names one twice"),
        ({"seeds": []}, "seeds", "must have at least 1 item"),
        ({"rubbish": {"threshold": 1}}, "rubbish.threshold", "must be below 1"),
        ({"temperature": 3}, "temperature", "unknown key"),
    ],
)
def test_bad_configs(changes: dict[str, Any], place: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CostsStudy.load(config(**changes))
    assert place in str(caught.value)
    assert message in str(caught.value)


def test_other_runs_and_changes_are_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="trains its own nets"):
        resume(finished, classifier="mnist-lenet")
    with pytest.raises(UsageError, match=r"only scoring\.workers"):
        resume(finished, overrides=["eps=0.1"])
    with pytest.raises(FolderError, match="holds a run"):
        begin(CostsStudy, config(), finished)
    with pytest.raises(ConfigError, match=r"evolution\.encodings"):
        begin(CostsStudy, config(evolution={"encodings": ["nosuch"]}), tmp_path / "run")
