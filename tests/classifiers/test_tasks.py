"""Nets of one logit, and nets that claim several classes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from evofool.classifiers import Classifier, from_members, load_classifier
from evofool.classifiers.tasks import with_task
from evofool.errors import ClassifierError
from evofool.scoring import Scorer

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 1, 4, 4), dtype=np.uint8)
CODE = """
import numpy as np
import torch
from torch import nn
from evofool.classifiers import from_module

class Net(nn.Module):
    def __init__(self, outputs, squeeze=False):
        super().__init__()
        torch.manual_seed(3)
        self.fc, self.squeeze = nn.Linear(16, outputs), squeeze

    def forward(self, images):
        out = self.fc(images.flatten(1) * 4)
        return out[:, 0] if self.squeeze else out

def one(): return Net(1)
def flat(): return Net(1, squeeze=True)
def sure(): return nn.Sequential(Net(1), nn.Sigmoid())
def three(): return Net(3)
class Pair(Net):
    def forward(self, images): return super().forward(images), images
def pair(): return Pair(1)
def each(): return nn.Sequential(Net(3), nn.Sigmoid())
def ready(): return from_module(Net(3), input_shape=(1, 4, 4))
def asked():
    net = Net(1)
    return lambda images: net(torch.from_numpy(images) / 255).sigmoid()[:, 0].detach().numpy()
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("own") / "own.py"
    path.write_text(CODE)
    return str(path)


def loaded(code: str, function: str, **options: Any) -> Classifier:
    name = {"name": f"{code}:{function}", "input_shape": [1, 4, 4]}
    return load_classifier({**name, **options})


def logits(outputs: int) -> torch.Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = nn.Linear(16, outputs)
    result: torch.Tensor = net(torch.from_numpy(IMAGES).flatten(1) / 255 * 4).detach()
    return result


@pytest.mark.parametrize(
    ("function", "options"),
    [("one", {}), ("flat", {}), ("sure", {"output": "probs"}), ("asked", {})],
)
def test_one_logit_is_two_classes(code: str, function: str, options: dict[str, Any]) -> None:
    victim = loaded(code, function, task="binary", labels=["no", "yes"], **options)
    p = logits(1).double().sigmoid().numpy()[:, 0]
    confidence = Scorer(victim, device="cpu").confidence(IMAGES)
    assert np.allclose(confidence, np.stack([1 - p, p], 1), atol=1e-6)
    assert victim.labels == ("no", "yes")
    assert victim.white_box == (function != "asked")


def test_a_net_of_one_logit_has_the_gradient_of_its_logit(code: str) -> None:
    victim = loaded(code, "one", task="binary")
    taken = Scorer(victim, device="cpu").gradients(IMAGES, lambda out, _: out[:, 1] - out[:, 0])
    weight = victim.module.net.fc.weight  # type: ignore[union-attr]
    assert np.allclose(taken.values.reshape(4, -1), 4 * weight.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("one", {}, r"gives 3 x 1 for 3 images, .* set task: binary"),
        ("flat", {}, r"gives 3 for 3 images, .* set task: binary"),
        (
            "three",
            {"task": "binary"},
            "give one value per picture, and this one gives 3 x 3; leave",
        ),
        ("one", {"task": "binary", "labels": ["a", "b", "c"]}, "gives 2 classes but has 3 labels"),
        ("ready", {"task": "binary", "input_shape": None}, "task cannot be set, since the"),
        ("one", {"task": "binary", "link": "sigmoid"}, "determines the link, .* leave link away"),
        ("one", {"task": "binary", "output": "log_probs"}, "not output 'log_probs'; set output"),
        ("asked", {"task": "binary", "output": "label"}, "not output 'label'; set output: logits"),
        ("pair", {"task": "binary"}, "gives a tuple, not one matrix"),
        ("three", {"task": "several"}, "must be one of binary, multi-label"),
        ("three", {"task": "multi-label", "crops": 10}, "claims several"),
        ("three", {"task": "multi-label", "answers": 2}, "are of nets that choose one class"),
        ("three", {"task": "multi-label", "transforms": {"k": 2}}, "transforms are for nets that"),
    ],
)
def test_what_does_not_fit_a_task(
    code: str, function: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClassifierError, match=message):
        loaded(code, function, **options)


def test_a_bundled_net_has_more_than_one_logit() -> None:
    with pytest.raises(ClassifierError, match="task cannot be set for a bundled victim"):
        load_classifier({"name": "mnist-lenet", "task": "binary"})


@pytest.mark.parametrize(("function", "options"), [("three", {}), ("each", {"output": "probs"})])
def test_each_class_of_several_has_its_own_confidence(
    code: str, function: str, options: dict[str, Any]
) -> None:
    victim = loaded(code, function, task="multi-label", **options)
    assert victim.multi_label
    confidence = Scorer(victim, device="cpu").confidence(IMAGES)
    assert np.allclose(confidence, logits(3).sigmoid().numpy(), atol=1e-6)


def test_a_finished_classifier_may_be_said_to_claim_several(code: str) -> None:
    assert loaded(code, "ready", task="multi-label", input_shape=None).multi_label


def test_an_ensemble_has_no_member_of_several_classes(code: str) -> None:
    several = loaded(code, "three", task="multi-label")
    with pytest.raises(ClassifierError, match="may claim several classes"):
        from_members([several, load_classifier("mnist-lenet")])
    assert with_task(several, None) is several


def test_labels_alone_name_one_class(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import numpy as np\ndef f(): return lambda images: np.zeros(len(images), np.int64)"
    )
    spec = {
        "name": "own.py:f", "input_shape": [1, 4, 4], "output": "label", "labels": ["a", "b"],
        "task": "multi-label",
    }  # fmt: skip
    with pytest.raises(ClassifierError, match="not output 'label'; set output: logits or probs"):
        load_classifier(spec, base=tmp_path)
