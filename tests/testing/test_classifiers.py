"""`check_classifier` finds deliberate faults, each by its own name, and lets a correct one pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from evofool.classifiers import Classifier, from_predict
from evofool.testing import ConformanceError, check_classifier

TOYS = Path(__file__).parents[1] / "toys"
SHAPE = (3, 6, 6)
LABELS = ("ant", "bee", "cat", "dog")


class Net(nn.Module):
    """A correct white box of a third party: normalisation inside, four classes."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.body = nn.Sequential(
            nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(80, 4)
        )
        for parameter in self.body.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body((x - 0.5) / 0.25)  # type: ignore[no-any-return]


class Dropout(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.dropout(x, 0.5, training=True))


class BatchStatistics(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward((x - x.mean()) / (x.std() + 1e-3))


class ByPlace(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + torch.arange(len(x))[:, None] * torch.eye(4)[0]


class Remembers(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        drift = self.__dict__.get("last", torch.zeros(()))
        self.__dict__["last"] = x.mean()
        return super().forward(x) * (1 + drift)


class InPlace(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.mul_(0.5)) if not x.requires_grad else super().forward(x * 0.5)


class OwnDeviation(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward((x - 0.5) / x.flatten(1).std(1)[:, None, None, None])


class Detached(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.detach())


class Masked(Net):
    """Rounds, and hands the gradient on as if it had not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x + ((x * 3).round() / 3 - x).detach())


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return -gradient


class WrongSign(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(_Reversed.apply(x))  # type: ignore[no-untyped-call]


class OneRow(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).mean(0)


def white_box(net: nn.Module | None = None, **changes: Any) -> Classifier:
    """A victim that no probe has seen."""
    given: dict[str, Any] = {
        "name": "toy", "labels": LABELS, "input_shape": SHAPE, "digest": "0" * 64,
        "module": Net() if net is None else net,
    }  # fmt: skip
    return Classifier(**{**given, **changes})


def predict(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A correct black box: softmax over the means of four patches."""
    means = images.astype(np.float64).reshape(len(images), 4, -1).mean(axis=2) / 32
    powers = np.exp(means - means.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def black_box(function: Callable[..., Any] = predict, **changes: Any) -> Classifier:
    made = from_predict(predict, input_shape=SHAPE, labels=LABELS, name="box", probe="none")
    return dataclasses.replace(made, predict=function, **changes)


def darkens(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    scores = predict(images)
    images //= 2
    return scores


def noisy(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return predict(images) * np.random.default_rng().uniform(0.9, 1, (len(images), 1))


TWINS = [
    ("dropout", white_box(Dropout()), "it gives different scores for the same pictures"),
    ("batch statistics", white_box(BatchStatistics()), "the scores of a picture depend on the oth"),
    ("by place", white_box(ByPlace()), "the scores of a picture depend on the others"),
    ("remembers", white_box(Remembers()), "it gives different scores|.*asked before"),
    ("in place", white_box(InPlace()), "it writes into its input"),
    ("divides by 0", white_box(OwnDeviation()), "it gives NaN or infinite scores"),
    ("train mode", white_box(Net().train()), "it is in train mode"),
    ("detached", white_box(Detached()), "its gradients do not reach the picture"),
    ("masked", white_box(Masked()), "its gradients are not those of finite differences"),
    ("wrong sign", white_box(WrongSign()), "its gradients are not those of finite differences"),
    ("one row", white_box(OneRow()), "it does not give one row of scores per picture"),
    ("too few labels", white_box(labels=LABELS[:3]), "it does not have one label per class"),
    ("a label twice", white_box(labels=("a", "a", "b", "c")), "it does not have one label per"),
    ("logits as probs", white_box(output="probs"), "its scores are not probs"),
    ("logits as logs", white_box(output="log_probs"), "its scores are not log_probs"),
    ("darkens", black_box(darkens), "it writes into its input"),
    ("noisy", black_box(noisy), "it gives different scores for the same pictures"),
    ("per cent", black_box(lambda images: predict(images) * 100), "its scores are not probs"),
    ("labels outside", black_box(lambda x: predict(x).argmax(1) + 1, output="label"),
     "it does not have one label per class"),
    ("raises", black_box(lambda images: predict(images[:3])[len(images) - 1]),
     "it does not give one row|it raises IndexError"),
]  # fmt: skip


@pytest.mark.parametrize(
    "victim",
    [
        white_box(),
        white_box(nn.Sequential(Net(), nn.LogSoftmax(1)).eval(), output="log_probs"),
        black_box(),
        black_box(lambda images: predict(images).argmax(axis=1), output="label"),
        f"{TOYS / 'linear.py'}:named",
        f"{TOYS / 'exact.py'}:victim",
        {"name": "mnist-lenet"},
    ],
    ids=["white", "log_probs", "black", "labels", "file", "black file", "bundled"],
)
def test_correct_ones_pass(victim: Any) -> None:
    check_classifier(victim)


@pytest.mark.parametrize(
    ("victim", "what"), [twin[1:] for twin in TWINS], ids=[twin[0] for twin in TWINS]
)
def test_a_broken_twin_is_found(victim: Classifier, what: str) -> None:
    with pytest.raises(ConformanceError, match=rf"does not conform: .*\n\n\d\. ({what})") as caught:
        check_classifier(victim)
    assert all(fault.mend for fault in caught.value.faults)
    assert len(caught.value.faults) == 1, str(caught.value)


def test_a_net_in_train_mode_is_not_run() -> None:
    net = Net().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ConformanceError, match="train mode"):
        check_classifier(white_box(net))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_gradients_that_are_an_approximation_on_purpose_may_be_left_out() -> None:
    check_classifier(white_box(Masked()), gradients=False)


def test_own_images() -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
    check_classifier(white_box(OwnDeviation()), images, gradients=False)
    check_classifier(white_box(), images / 255)


def test_a_black_box_is_sent_few_pictures() -> None:
    sent = []

    def counting(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        sent.append(len(images))
        return predict(images)

    check_classifier(black_box(counting))
    assert sum(sent) <= 50


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConformanceError, match=r"it cannot be loaded\s+.*no such file"):
        check_classifier(str(tmp_path / "gone.py:victim"))


def test_a_message_shows_what_was_seen() -> None:
    with pytest.raises(AssertionError) as caught:
        check_classifier(white_box(WrongSign()))
    text = str(caught.value)
    assert "relative difference 2 (at most 0.02)" in text
    assert "by autograd: [" in text
    assert "to fix: let every step be differentiable" in text
