"""Victims whose confidences do not know of each other: sigmoids, and log-confidences of an RBF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from evofool.attacks import FGSM, PGD, Square
from evofool.classifiers import Classifier, from_module
from evofool.classifiers.nets.rbf import LeNetRbf
from evofool.errors import ClassifierError, ScoringError
from evofool.evolution.campaign import evolve
from evofool.experiments.runs import verify
from evofool.scoring import Scorer
from evofool.scoring.ranking import log_probability_log_odds, sigmoid, to_scores
from evofool.training.adversary import static_source


@pytest.fixture(scope="module")
def rbf() -> Classifier:
    torch.manual_seed(1)
    return from_module(
        LeNetRbf((1, 16, 16), 4), input_shape=(1, 16, 16), output="log_probs", link="identity"
    )


@pytest.fixture(scope="module")
def sigmoids() -> Classifier:
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 4))
    return from_module(net, input_shape=(1, 16, 16), link="sigmoid")


@pytest.fixture(params=["rbf", "sigmoids"])
def victim(request: pytest.FixtureRequest) -> Classifier:
    found: Classifier = request.getfixturevalue(request.param)
    return found


def pictures(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 1, 16, 16), dtype=np.uint8)


def test_log_odds_lose_neither_tail() -> None:
    u = np.array([[-1e-300, -1e-12, -np.log(2), -50.0, -1e5, -np.inf, 0.0]])
    odds = log_probability_log_odds(u)[0]
    assert odds[2] == pytest.approx(0)
    assert odds[1] == pytest.approx(-np.log(1e-12))
    assert odds[0] == pytest.approx(-np.log(1e-300))
    assert odds[3] == pytest.approx(-50)
    assert odds[4] == -1e5
    assert (odds[5], odds[6]) == (-np.inf, np.inf)
    assert np.allclose(sigmoid(log_probability_log_odds(u)), np.exp(u))
    with pytest.raises(ScoringError, match="above 0"):
        log_probability_log_odds(np.array([[0.5]]))


def test_crops_average_confidences() -> None:
    p = np.array([[0.2, 0.9], [0.4, 0.1]])
    found = to_scores(np.log(p), "log_probs", "identity", 2).confidence
    assert np.allclose(found, p.mean(0))


def test_a_link_that_makes_no_sense_is_refused(rbf: Classifier) -> None:
    assert rbf.module is not None
    with pytest.raises(ClassifierError, match="allowed: softmax, identity"):
        from_module(rbf.module, input_shape=(1, 16, 16), output="log_probs", link="sigmoid")


def test_confidences_are_the_nets_own(victim: Classifier) -> None:
    assert victim.module is not None
    images = pictures(5)
    with torch.no_grad():
        outputs = victim.module(torch.from_numpy(images.astype(np.float32) / 255))
    own = outputs.exp() if victim.output == "log_probs" else outputs.sigmoid()
    with Scorer(victim, engine="torch") as scorer:
        confidence = scorer.confidence(images)
        assert (scorer.labels(images) == outputs.argmax(1).numpy()).all()
    assert np.allclose(confidence, own.numpy(), rtol=1e-4)
    assert not np.allclose(confidence.sum(1), 1)


@pytest.mark.parametrize(
    "attack",
    [
        FGSM(eps=0.3),
        PGD(eps=0.3, step_size=0.05, steps=20),
        PGD(eps=0.3, step_size=0.05, steps=20, loss="margin"),
        Square(eps=0.3, queries=100),
    ],
    ids=["fgsm", "pgd", "pgd-margin", "square"],
)
def test_attacks_lower_the_label_and_say_what_is_true(
    victim: Classifier, attack: FGSM | PGD | Square
) -> None:
    images, rows = pictures(6), np.arange(6)
    with Scorer(victim, engine="torch") as scorer:
        labels = scorer.labels(images)
        result = attack(scorer, images, labels)
        before, after = (scorer.score(x).log_odds for x in (images, result.pixels))
        assert (result.success == (scorer.labels(result.pixels) != labels)).all()
    lead = []
    for odds in (before, after):
        others = odds.copy()
        others[rows, labels] = -np.inf
        lead.append(float((odds[rows, labels] - others.max(1)).mean()))
    assert lead[1] < lead[0]


def test_the_cross_entropy_of_a_source_is_minus_log_confidence(victim: Classifier) -> None:
    images, labels = pictures(3), torch.tensor([0, 1, 3])
    source = static_source(victim)
    outputs = source.net(torch.from_numpy(images.astype(np.float32) / 255))
    with Scorer(victim, engine="torch") as scorer:
        confidence = scorer.confidence(images)
    wanted = -np.log(confidence[range(3), labels.numpy()])
    assert np.allclose(source.losses(outputs, labels).detach().numpy(), wanted, rtol=1e-4)


def test_evolution_ranks_an_rbf_net(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "from evofool.classifiers import from_module\n"
        "from evofool.classifiers.nets.rbf import LeNetRbf\n"
        "def net():\n"
        "    torch.manual_seed(1)\n"
        "    return LeNetRbf((1, 16, 16), 4)\n",
        encoding="utf-8",
    )
    result = evolve(
        {
            "classifier": {
                "name": str(tmp_path / "net.py:net"), "input_shape": [1, 16, 16],
                "output": "log_probs", "link": "identity",
            },
            "encoding": {"name": "direct"},
            "evolution": {"algorithm": "map_elites", "initial": 10, "children": 10},
            "stop": {"generations": 3},
            "seed": 1,
        },
        tmp_path / "run",
    )  # fmt: skip
    assert 0 < result.summary["confidence"]["max"] < 1
    assert all(check.ok for check in verify(tmp_path / "run"))
