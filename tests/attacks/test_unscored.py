"""A victim that gives NaN for some pictures: they are no successes, and the attack goes on."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from evofool.attacks import PGD
from evofool.attacks.job import Job
from evofool.attacks.query.black_box import progress
from evofool.attacks.registry import grid
from evofool.attacks.result import NONE
from evofool.attacks.runs import rows as stored
from evofool.classifiers import Classifier, from_module, from_predict
from evofool.errors import ScoringError
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life
from evofool.gallery import build
from evofool.scoring import Scorer, Scores
from evofool.store.experiment import ExperimentFolder

attack, resume_attacks, verify_attacks = (
    partial(life.begin, AttackStudy),
    partial(life.resume, AttackStudy),
    partial(life.verify, AttackStudy),
)

SHAPE = (1, 6, 6)
CLASSES = 5
RNG = np.random.default_rng(5)
WEIGHTS = RNG.normal(size=(36, CLASSES)).astype(np.float32)
IMAGES = RNG.integers(60, 196, (12, *SHAPE), dtype=np.uint8)
IMAGES[0, 0, 0, 0] = 198  # the least noise crosses the line
LABELS = (IMAGES.reshape(12, -1) / 255.0 @ WEIGHTS).argmax(axis=1)


class Patchy(nn.Module):
    """Linear, and NaN for pictures of which one corner is bright; the clean ones are not."""

    def __init__(self, value: float = float("nan")) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(WEIGHTS))
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = x.flatten(1) @ self.weight
        bright = x[:, 0, 0, 0] > 199 / 255
        return torch.where(bright[:, None], torch.full_like(outputs, self.value), outputs)


def _predict(images: np.ndarray[Any, Any]) -> Any:
    scores = (images.reshape(len(images), -1) / 255.0) @ WEIGHTS
    scores[images[:, 0, 0, 0] > 199] = np.nan
    return scores


@pytest.fixture(scope="module")
def white() -> Classifier:
    return from_module(Patchy(), input_shape=SHAPE, name="patchy", probe="none",
                       labels=list("abcde"))  # fmt: skip


@pytest.fixture(scope="module")
def black() -> Classifier:
    return from_predict(_predict, input_shape=SHAPE, output="logits", name="patchy", probe="none",
                        labels=list("abcde"))  # fmt: skip


def _run(victim: Classifier, name: str, images: Any = IMAGES, **options: Any) -> Any:
    (one,) = grid(name, options)
    with Scorer(victim, workers=1, batch=5, engine="auto" if victim.predict else "torch") as scorer:
        return one(scorer, images, LABELS)


def _check(result: Any) -> int:
    """No success without an answer, and how many pictures have none."""
    missing = result.predicted == NONE
    assert not result.success[missing].any()
    assert np.isnan(result.confidence[missing]).all()
    assert (result.success[~missing] == (result.predicted != LABELS)[~missing]).all()
    return int(missing.sum())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fgsm", {"eps": 0.5}),
        ("pgd", {"eps": 0.5, "steps": 5, "step_size": 0.2}),
        ("deepfool", {}),
        ("carlini-wagner", {"steps": 30}),
    ],
)
def test_gradient_attacks(white: Classifier, name: str, options: dict[str, Any]) -> None:
    result = _run(white, name, **options)
    missing = _check(result)
    assert any("non-finite" in note for note in result.notes) >= bool(missing)
    assert result.success.any()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("square", {"eps": 0.5, "queries": 20}),
        ("square", {"eps": 1.5, "norm": "l2", "queries": 20}),
        ("nes", {"eps": 0.5, "queries": 60, "samples": 10}),
        ("one-pixel", {"population": 10, "generations": 4, "pixels": 3}),
        ("foolbox:LinfAdditiveUniformNoiseAttack", {"eps": 0.4}),
        ("foolbox:HopSkipJumpAttack", {"steps": 1}),
    ],
)
def test_query_attacks(black: Classifier, name: str, options: dict[str, Any]) -> None:
    if name.startswith("foolbox"):
        pytest.importorskip("foolbox")
    result = _run(black, name, **options)
    _check(result)
    assert result.success.any()
    assert any("non-finite scores" in note for note in result.notes)


def test_a_targeted_attack(white: Classifier) -> None:
    (jsma,) = grid("jsma-simplified", {})
    with Scorer(white, workers=1, engine="torch") as scorer:
        result = jsma(scorer, IMAGES, LABELS, targets=(LABELS + 1) % CLASSES)
    assert result.success.any()
    assert (result.success == (result.predicted == result.targets)).all()


def test_a_clean_picture_without_scores(white: Classifier, black: Classifier) -> None:
    images = IMAGES.copy()
    images[0, 0, 0, 0], images[3, 0, 0, 0] = 100, 255
    for victim, name, options in (
        (white, "pgd", {"eps": 0.02, "steps": 3, "step_size": 0.01}),
        (black, "square", {"eps": 0.02, "queries": 5}),
    ):
        result = _run(victim, name, images, **options)
        assert not result.success[3]
        assert result.predicted[3] == NONE
        assert any("of 1 of 12 images" in note for note in result.notes)


def test_where_all_gradients_are_lost_it_says_so(white: Classifier) -> None:
    images = IMAGES.copy()
    images[:, 0, 0, 0] = 255
    with Scorer(white, workers=1, engine="torch") as scorer:
        result = PGD(eps=0.1, steps=3, step_size=0.05)(scorer, images, LABELS)
        assert not result.success.any()
        assert any("of 12 of 12 images" in note for note in result.notes)
        # whoever asks the scorer itself gets an error that names the picture
        with pytest.raises(ScoringError, match=r"not finite \(image 0 of 12\)"):
            scorer.gradients(images, lambda outputs, rows: outputs[:, 0])
        with pytest.raises(ScoringError, match=r"non-finite scores \(image 0 of 12\)"):
            scorer.score(images)


def test_progress_of_masked_classes_and_of_nothing(black: Classifier) -> None:
    low, nan = -np.inf, np.nan
    with Scorer(black) as scorer:
        away = Job(scorer, IMAGES[:3], [0, 0, 0], None, None, 0)
        towards = Job(scorer, IMAGES[:2], [0, 0], [1, 1], None, 0)
    odds = np.array([[0.0, 1, low, low, low], [low, 1, 0, 0, 0], [nan] * 5])
    near = progress(away, np.arange(3), Scores(odds))
    assert np.isfinite(near[0])
    assert near.tolist()[1:] == [np.inf, low]
    assert progress(towards, np.arange(2), Scores(odds[1:])).tolist() == [1, low]


VICTIM = """
import numpy as np
from evofool.classifiers import from_predict
W = np.random.default_rng(5).normal(size=(36, 5))

def predict(images):
    scores = (images.reshape(len(images), -1) / 255.0) @ W
    scores[images[:, 0, 0, 0] % 5 == 3] = np.nan
    return scores

def victim():
    return from_predict(predict, input_shape=(1, 6, 6), output="logits")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unscored")
    (folder / "v.py").write_text(VICTIM)
    config = {
        "classifier": f"{folder / 'v.py'}:victim",
        "images": {"noise": "uniform", "count": 20},
        "attacks": [{"name": "square", "eps": "61/255", "queries": 12}],
        "scoring": {"batch": 8, "workers": 2},
        "seed": 3,
    }
    attack(config, folder / "run")
    return folder / "run"


def test_a_run_of_attacks(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert any("of the clean images from 0 on; they are left out" in n for n in summary["notes"])
    assert any("non-finite" in note for note in summary["attacks"][0]["notes"])
    with ExperimentFolder.open(run) as folder:
        roles = folder.roles()
        images = stored.read_images(folder, roles[stored.IMAGES])
        rows = stored.read_results(folder, roles[stored.role_of(0)])
    left_out = [image for image in images if image.predicted == NONE]
    assert summary["left_out"] == len(left_out) > 0
    assert all(not image.used and image.confidence is None for image in left_out)
    assert summary["correct"] == summary["attacked"] == 20 - len(left_out) == len(rows)
    assert not any(row.success for row in rows if row.predicted == NONE)
    checks = list(verify_attacks(run))
    assert all(check.ok for check in checks), checks
    assert resume_attacks(run).summary["attacks"] == summary["attacks"]
    build([run])
