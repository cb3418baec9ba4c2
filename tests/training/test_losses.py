"""Cost functions, distillation and penalties: what they are, and that a training uses them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from evofool.classifiers import load_classifier
from evofool.errors import Interrupted, UsageError
from evofool.scoring import Scorer
from evofool.training import Penalty, TrainConfig, TrainProgress, fit, train
from evofool.training.batches import Batches
from evofool.training.losses import COSTS, rbf, softmax_binary, tempered

from .conftest import load_halves


def config(dataset: str, **changes: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {"name": "net", "dataset": dataset, "epochs": 4, "batch": 20, **changes}
    )


def test_losses_are_what_their_papers_say() -> None:
    outputs = torch.tensor([[0.3, -1.2, 2.0], [-0.1, -2.0, -0.4]], dtype=torch.float64)
    labels = torch.tensor([2, 0])
    p = outputs.softmax(1)
    s = outputs.sigmoid()
    for row, label in enumerate(labels.tolist()):
        others = [k for k in range(3) if k != label]
        wanted = {
            "cross-entropy": -math.log(p[row, label]),
            "sigmoid": -math.log(s[row, label]) - sum(math.log(1 - s[row, k]) for k in others),
            "softmax-binary": -math.log(p[row, label])
            - sum(math.log(1 - p[row, k]) for k in others),
            "squared-error": (1 - float(p[row, label])) ** 2
            + sum(float(p[row, k]) ** 2 for k in others),
        }
        for name, value in wanted.items():
            assert float(COSTS[name].losses(outputs, labels)[row]) == pytest.approx(value)
        # the same loss, once from logits and once from log-confidences
        logs = nn.functional.logsigmoid(outputs)
        assert float(rbf(logs, labels)[row]) == pytest.approx(wanted["sigmoid"])
    shares = nn.functional.one_hot(labels, 3).double()
    for cost in COSTS.values():
        at = -outputs.abs()
        assert torch.allclose(cost.losses(at, labels), cost.losses(at, shares))


def test_a_binary_loss_over_a_softmax_loses_nothing_near_one() -> None:
    """1 - p of the largest class is a sum of small confidences, not a difference from 1."""
    outputs = torch.tensor([[0.0, 40.0, 1.0], [200.0, 0.0, 0.0], [3.0, 3.0, -9.0]])
    outputs.requires_grad_(True)
    losses = softmax_binary(outputs, torch.tensor([0, 0, 0]))
    wanted = []
    for z in outputs.tolist():  # by hand: the label is class 0
        total = math.fsum(math.exp(each) for each in z)
        p = [math.exp(each) / total for each in z]
        rest = [math.fsum(p[:j] + p[j + 1 :]) for j in range(3)]
        wanted.append(-math.log(p[0]) - math.log(rest[1]) - math.log(rest[2]))
    assert wanted[0] > 78  # 1 - p is 4e-18 here, and 0 in float32 arithmetic
    assert losses.tolist() == pytest.approx(wanted, rel=1e-5, abs=1e-30)
    torch.autograd.backward(losses.sum())
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    exact = torch.tensor([[0.3, 2.0, -1.0], [9.0, 0.1, 0.2]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda z: softmax_binary(z, torch.tensor([0, 2])), (exact.requires_grad_(True),)
    )


def test_the_rbf_loss_and_its_slope_are_finite_on_a_centre_and_far_away() -> None:
    logs = torch.tensor([[0.0, -1e4], [-1e4, 0.0], [-1e-9, -1e-9]], requires_grad=True)
    losses = rbf(logs, torch.tensor([0, 0, 1]))
    torch.autograd.backward(losses.sum())
    assert losses.isfinite().all()
    assert losses.tolist()[0] == 0
    assert losses.tolist()[1] > 1e4
    assert logs.grad is not None
    assert logs.grad.isfinite().all()


def test_temperature_divides_the_outputs() -> None:
    outputs, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    own = COSTS["cross-entropy"].losses
    assert torch.equal(tempered(7.0)(outputs, labels), own(outputs / 7, labels))
    with pytest.raises(ValueError, match="temperature must be a positive number, not 0"):
        tempered(0)


@pytest.mark.parametrize("loss", ["sigmoid", "softmax-binary", "squared-error", "rbf"])
def test_a_net_of_each_loss_learns_and_is_scored_by_its_own_confidences(
    halves: str, tmp_path: Path, loss: str
) -> None:
    architecture = "lenet-rbf" if loss == "rbf" else "lenet"
    rates = {"name": "adam", "lr": 0.001, "weight_decay": 0} if loss == "rbf" else {}
    settings = config(halves, loss=loss, architecture=architecture, epochs=6, optimiser=rates)
    result = train(settings, None, tmp_path)
    assert result.test_accuracy > 0.95
    card = json.loads(result.card.read_text(encoding="utf-8"))
    net = load_classifier(str(result.weights))
    assert (card["output"], card["link"]) == (net.output, net.link)
    assert (net.output, net.link) == (COSTS[loss].output, COSTS[loss].link)
    named = load_classifier(
        {"name": architecture, "weights": str(result.weights), "input_shape": [1, 16, 16]}
    )
    assert named.output == net.output  # an RBF net is one without a card, too
    test_set = load_halves("halves", "test", None)
    with Scorer(net) as scorer:
        right = (scorer.labels(test_set.images) == test_set.labels).mean()
        confidence = scorer.confidence(test_set.images)
    assert right == result.test_accuracy
    sums = confidence.sum(1)
    assert np.allclose(sums, 1) == (loss in ("softmax-binary", "squared-error"))


def weak(halves: str, **changes: object) -> TrainConfig:
    rates = {"name": "sgd", "lr": 0.5, "weight_decay": 0}
    return config(halves, distillation={"temperature": 10}, optimiser=rates, **changes)


def test_a_student_is_taught_by_its_teacher(halves: str, tmp_path: Path) -> None:
    seen: list[TrainProgress] = []
    result = train(weak(halves), None, tmp_path, seen.append)
    assert [p.teacher for p in seen] == [True] * 20 + [False] * 20
    assert result.test_accuracy > 0.95
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "net-teacher.json", "net-teacher.safetensors", "net.json", "net.safetensors",
    ]  # fmt: skip
    card = json.loads(result.card.read_text(encoding="utf-8"))
    teacher = json.loads((tmp_path / "net-teacher.json").read_text(encoding="utf-8"))
    assert card["teacher"] == {"name": "net-teacher", "sha256": teacher["sha256"]}
    assert teacher["config"]["temperature"] == 10
    # a teacher's card says how to make it alone
    alone = train(TrainConfig.model_validate(teacher["config"]), None, tmp_path / "alone")
    assert alone.sha256 == teacher["sha256"]
    assert alone.sha256 != result.sha256


@pytest.mark.parametrize("steps", [7, 20, 29])
def test_a_stopped_distillation_goes_on_to_the_same_bytes(
    halves: str, tmp_path: Path, steps: int
) -> None:
    whole = train(weak(halves), None, tmp_path / "whole")
    calls = iter(range(1000))
    with pytest.raises(Interrupted, match="the same command continues"):
        train(weak(halves), None, tmp_path / "a", should_stop=lambda: next(calls) >= steps)
    seen: list[TrainProgress] = []
    again = train(weak(halves), None, tmp_path / "a", seen.append)
    assert again.sha256 == whole.sha256
    assert seen[0].teacher == (steps < 20)  # a finished teacher is not trained again


def test_another_teacher_is_refused(halves: str, tmp_path: Path) -> None:
    calls = iter(range(1000))
    with pytest.raises(Interrupted):
        train(weak(halves), None, tmp_path, should_stop=lambda: next(calls) >= 25)
    other = config(halves, name="net-teacher", seed=2)
    with pytest.raises(UsageError, match=r"net-teacher\.safetensors already exists"):
        train(other, None, tmp_path)
    train(other, None, tmp_path, fresh=True)
    with pytest.raises(UsageError, match=r"belongs to another training: teacher is .*--fresh"):
        train(weak(halves), None, tmp_path)
    assert train(weak(halves), None, tmp_path, fresh=True).test_accuracy > 0.95


def test_penalties_are_the_squared_slopes() -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 8)
    net = nn.Sequential(nn.Flatten(), nn.Linear(8, 3, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(weight)
    shown = torch.rand(4, 2, 2, 2, requires_grad=True)
    outputs = net(shown)
    losses = outputs[:, 0] * torch.tensor([1.0, 2, 3, 4])
    draws = torch.Generator().manual_seed(1)
    found = Penalty("smoothing", 0.5)(shown, outputs, losses, draws)
    lengths = float((weight[0] ** 2).sum())
    assert found.item() == pytest.approx(0.5 * lengths * (1 + 4 + 9 + 16) / 4, rel=1e-5)
    many = [
        float(Penalty("contractive", 1)(shown, net(shown), losses, draws).detach())
        for _ in range(400)
    ]
    assert np.mean(many) == pytest.approx(float((weight**2).sum()), rel=0.05)
    torch.autograd.backward(found)
    assert net[1].weight.grad is not None


@pytest.mark.parametrize("kind", ["smoothing", "contractive"])
@pytest.mark.parametrize("adversary", [None, {"kind": "fgsm", "eps": 0.1}])
def test_a_penalty_flattens_a_net_that_still_learns(
    halves: str, tmp_path: Path, kind: str, adversary: object
) -> None:
    plain = train(config(halves, adversary=adversary), None, tmp_path / "plain")
    settings = config(halves, adversary=adversary, penalty={"kind": kind, "weight": 3})
    result = train(settings, None, tmp_path / "penalised")
    assert result.test_accuracy > 0.9
    images = load_halves("halves", "test", None).images

    def slope(path: Path) -> float:
        net = load_classifier(str(path))
        with Scorer(net) as scorer:
            found = scorer.gradients(images, lambda z, _: z[:, 0] - z[:, 1])
        return float(np.square(found.values).sum())

    assert slope(result.weights) < 0.8 * slope(plain.weights)


def test_a_penalised_training_repeats_itself_and_goes_on(halves: str, tmp_path: Path) -> None:
    settings = config(halves, penalty={"kind": "contractive", "weight": 0.1})
    whole = train(settings, None, tmp_path / "whole")
    calls = iter(range(1000))
    with pytest.raises(Interrupted):
        train(settings, None, tmp_path / "a", should_stop=lambda: next(calls) >= 8)
    assert train(settings, None, tmp_path / "a").sha256 == whole.sha256


def test_the_default_is_the_cross_entropy_bit_for_bit() -> None:
    data = load_halves("halves", "train", None)
    nets = [nn.Sequential(nn.Flatten(), nn.Linear(256, 2)) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    for net, loss in zip(nets, (None, COSTS["cross-entropy"].losses), strict=True):
        fit(net, data.images, data.labels, epochs=1, batch=20, loss=loss)
    assert torch.equal(nets[0][1].weight, nets[1][1].weight)
    assert Batches(data.images, data.labels, 20, 1).steps == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distillation": {"temperature": 0}}, "greater than 0"),
        ({"distillation": {"temperature": -2}}, "greater than 0"),
        ({"temperature": 0}, "greater than 0"),
        ({"distillation": {"temperature": 40}, "loss": "sigmoid"}, "needs loss cross-entropy"),
        ({"distillation": {"temperature": 40}, "temperature": 2}, "only in distillation"),
        ({"loss": "rbf"}, "rbf and architecture lenet-rbf go together"),
        ({"architecture": "lenet-rbf"}, "rbf and architecture lenet-rbf go together"),
        ({"penalty": {"kind": "smoothing", "weight": 0}}, "greater than 0"),
        ({"penalty": {"kind": "smooth", "weight": 1}}, "'smoothing' or 'contractive'"),
        ({"penalty": {"kind": "smoothing", "weight": 1}, "gpus": 2}, "set gpus: 1"),
    ],
)
def test_bad_keys(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config("halves", **changes)
