"""``evofool defend`` with a denoiser: trained into the run first, resumed, judged, used again."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evofool.classifiers import inspect_classifier, load_classifier
from evofool.errors import ConfigError, EvofoolError, Interrupted
from evofool.experiments.defend.preparing import denoiser_attacks
from evofool.experiments.defend.setup import plan
from evofool.experiments.defend.study import DefendStudy
from evofool.experiments.engine.progress import ExperimentProgress
from evofool.experiments.library import defend
from evofool.experiments.runs import resume, verify

TOYS = Path(__file__).parents[1] / "toys"
DENOISER = {
    "name": "denoiser", "width": 2, "levels": 2, "epochs": 2, "batch": 20, "images": 30,
    "attacks": [{"name": "fgsm", "eps": ["32/255", "64/255"]}], "device": "cpu",
}  # fmt: skip


def config(**sections: Any) -> dict[str, Any]:
    return {
        "kind": "defend",
        "base": "mnist-lenet",
        "defense": DENOISER,
        "data": {"dataset": "mnist-sample", "limit": 8, "start": 20},
        "threats": {
            "eps": "64/255", "step_size": 0.05, "steps": 5, "restarts": 1, "black_images": 4,
            "square_queries": 10, "substitute_initial": 10, "substitute_rounds": 1,
            "random_points": 2,
        },
        **sections,
    }  # fmt: skip


def table(run: Path) -> list[dict[str, str]]:
    with (run / "threats.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    return rows


def stopping_at(step: str) -> tuple[Callable[[ExperimentProgress], None], Callable[[], bool]]:
    """`progress` and `should_stop`, once a step begins with `step`."""
    seen: list[str] = []
    return lambda p: seen.append(p.step), lambda: any(each.startswith(step) for each in seen)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("denoiser") / "run"
    defend(config(), path)
    return path


def test_the_matrix_has_oblivious_and_adaptive_rows(finished: Path) -> None:
    rows = {(row["net"], row["threat"]): row for row in table(finished)}
    for threat in ("FGSM from mnist-lenet", "PGD-5 from mnist-lenet"):
        assert rows["defended", threat]["group"] == "transfer"
        assert ("undefended", threat) not in rows
    assert rows["defended", "adaptive PGD-5"]["group"] == "adaptive"
    assert int(rows["defended", "adaptive PGD-5"]["backward_images"]) > 0
    assert all(check.ok for check in verify(finished))
    page = (finished / "report" / "index.html").read_text(encoding="utf-8")
    assert "A denoiser" in page
    assert "PGD-5 from mnist-lenet" in page


def test_the_card_says_how_it_was_made(finished: Path) -> None:
    card = json.loads((finished / "training" / "denoiser.json").read_text(encoding="utf-8"))
    assert (card["pictures"], card["images"], card["dataset"]) == (90, 30, "mnist-sample")
    assert [attack["eps"] for attack in card["attacks"]] == [32 / 255, 64 / 255]
    assert card["base"]["digest"] == load_classifier("mnist-lenet").digest
    assert card["recipe"]["loss"] == "logits"


def test_killed_while_it_is_trained_it_ends_the_same(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    progress, should_stop = stopping_at("training, epoch 2")
    with pytest.raises(Interrupted, match="evofool resume"):
        defend(config(), path, progress=progress, should_stop=should_stop)
    assert (path / "training" / "denoiser.checkpoint.json").is_file()
    resume(path)
    assert table(path) == table(finished)
    for name in ("training/denoiser.safetensors", "victim.yaml"):
        assert (path / name).read_bytes() == (finished / name).read_bytes()
    assert not list(path.glob("training/*checkpoint*"))


def test_its_file_serves_again_and_the_folder_can_move(finished: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(finished, moved)
    victim = load_classifier(str(moved / "victim.yaml"))
    known = json.loads((finished / "summary.json").read_text(encoding="utf-8"))["victim"]
    assert victim.digest == known["digest"]
    weights = str(moved / "training" / "denoiser.safetensors")
    again = tmp_path / "again"
    defend(config(defense={"name": "denoiser", "weights": weights}), again)
    assert table(again) == table(finished)
    # and what is not there is said before anything is loaded
    Path(weights).unlink()
    assert "denoiser.safetensors: no such file" in inspect_classifier(
        str(moved / "victim.yaml")
    ).missing  # fmt: skip
    with pytest.raises(EvofoolError, match="no such file"):
        load_classifier(str(moved / "victim.yaml"))


def test_a_denoiser_of_another_net_is_refused(finished: Path, tmp_path: Path) -> None:
    weights = str(finished / "training" / "denoiser.safetensors")
    defense = {"name": "denoiser", "weights": weights}
    with pytest.raises(ConfigError, match=r"defense: .*trained for mnist-lenet .*not for fashion"):
        defend(config(base="fashion-lenet", defense=defense), tmp_path / "run")
    (tmp_path / "victim.yaml").write_text(
        f"base: fashion-lenet\ndefense: {{name: denoiser, weights: {weights}}}\n"
    )
    with pytest.raises(EvofoolError, match="trained for mnist-lenet"):
        load_classifier(str(tmp_path / "victim.yaml"))
    assert not (tmp_path / "run").exists()


def test_attacks_are_those_of_the_threats_unless_given() -> None:
    loaded = DefendStudy.load(config(defense={"name": "denoiser"}))
    found = denoiser_attacks(loaded)
    eps = 64 / 255
    assert [(a.name, a.eps) for a in found] == [  # type: ignore[attr-defined]
        ("fgsm", eps / 2), ("fgsm", eps), ("i-fgsm", eps / 2), ("i-fgsm", eps),
    ]  # fmt: skip
    assert not any(getattr(attack, "early_stop", False) for attack in found)
    assert plan(loaded).missing == ()


@pytest.mark.parametrize(
    ("defense", "where", "word"),
    [
        ({"loss": "logit"}, "defense.loss", "logits"),
        ({"width": 0}, "defense.width", "1"),
        ({"levels": 9}, "defense.levels", "5"),
        ({"attacks": []}, "defense.attacks", "1 item"),
        ({"attacks": [{"name": "fgms"}]}, "defense.attacks[0]", "fgsm"),
        ({"attacks": ["fgsm", {"name": "pgd", "epss": 1}]}, "defense.attacks[1]", "eps"),
        ({"attacks": [{"name": "fgsm", "eps": 25}]}, "defense.attacks[0]", "fractions of 1"),
        ({"attacks": ["jsma"]}, "defense.attacks[0]", "untargeted"),
        ({"sources": ["fashion-lenet"]}, "defense.sources[0]", "other labels"),
        ({"weights": "nothing.safetensors"}, "defense.weights", "no such file"),
        ({"weights": "net.pth"}, "defense.weights", "safetensors"),
        ({"weights": "a.safetensors", "epochs": 3}, "defense", "leave out epochs"),
    ],
)
def test_bad_configs(tmp_path: Path, defense: dict[str, Any], where: str, word: str) -> None:
    with pytest.raises(ConfigError) as info:
        defend(config(defense={"name": "denoiser", **defense}), tmp_path / "run")
    assert where in str(info.value)
    assert word in str(info.value)
    assert not (tmp_path / "run").exists()


def test_too_small_pictures_and_flat_nets(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "from evofool.classifiers import from_module\n"
        "def small():\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))\n"
        "    return from_module(net, input_shape=(3, 4, 4))\n"
        "def flat():\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
        "    return from_module(net, input_shape=(1, 28, 28), labels=[str(i) for i in range(10)])\n"
    )
    for name, defense, message in (
        ("small", {}, r"defense: .*4 x 4 pixels are too small"),
        ("flat", {"loss": "feature"}, r"defense: .*needs a convolution"),
    ):
        with pytest.raises(ConfigError, match=message):
            defend(
                config(
                    base=f"{tmp_path / 'net.py'}:{name}",
                    defense={"name": "denoiser", "levels": 2, **defense},
                ),
                tmp_path / "run",
            )
