"""Nets of one logit, and nets that claim several classes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from evofool.attacks import PGD
from evofool.classifiers import Classifier, from_members, load_classifier
from evofool.classifiers.tasks import with_task
from evofool.classifiers.transforms.pictures import Transformation
from evofool.errors import ClassifierError
from evofool.scoring import Scorer
from evofool.scoring.crops import ten_crops

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
def other():
    net = Net(3)
    with torch.no_grad(): net.fc.bias.add_(0.1).mul_(-1)
    return net
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


def linear(outputs: int) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Linear(16, outputs)


def logits(outputs: int) -> torch.Tensor:
    result: torch.Tensor = linear(outputs)(torch.from_numpy(IMAGES).flatten(1) / 255 * 4).detach()
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
        (
            "three",
            {"task": "multi-label", "answers": 2},
            "not listed would count as not claimed",
        ),
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


@pytest.mark.parametrize("rule", ["least", "mean"])
def test_an_ensemble_claims_what_its_members_claim_together(code: str, rule: Any) -> None:
    nets = [loaded(code, each, task="multi-label") for each in ("three", "other")]
    ensemble = from_members(nets, rule=rule)
    assert ensemble.multi_label
    both = np.stack([Scorer(net, device="cpu").score(IMAGES).log_odds for net in nets])
    expected = both.min(0) if rule == "least" else both.mean(0)
    scorer = Scorer(ensemble, device="cpu")
    assert np.allclose(scorer.score(IMAGES).log_odds, expected, atol=1e-6)
    away = PGD(eps=0.5, steps=20)(scorer, IMAGES, [0] * 4)
    claimed = scorer.confidence(away.images)[:, 0] > 0.5
    assert (away.success == ~claimed).all()
    assert away.success.any()


def test_members_of_an_ensemble_have_one_task(code: str) -> None:
    several = loaded(code, "three", task="multi-label")
    with pytest.raises(ClassifierError, match="give all members this task, or none"):
        from_members([several, loaded(code, "other")])
    spec = {"ensemble": [{"name": f"{code}:{each}", "input_shape": [1, 4, 4]} for each in
                         ("three", "other")], "task": "multi-label"}  # fmt: skip
    with pytest.raises(ClassifierError, match="give it to each net of an ensemble"):
        load_classifier(spec)
    assert with_task(several, None) is several


@pytest.mark.parametrize("output", ["logits", "probs"])
@pytest.mark.parametrize("combine", ["mean", "least"])
def test_transforms_combine_each_class_for_itself(code: str, output: str, combine: str) -> None:
    spec = {"k": 3, "brightness": 0.3, "combine": combine, "quantise": False}
    function = "three" if output == "logits" else "each"
    victim = loaded(code, function, task="multi-label", output=output, transforms=spec)
    assert victim.multi_label
    assert victim.transformed is not None
    seen = Transformation(victim.transformed.config, (1, 4, 4))(torch.from_numpy(IMAGES) / 255)
    z = linear(3)(seen.flatten(1) * 4).double().detach()
    each = z.sigmoid().reshape(4, 3, 3)
    expected = (each.mean(1) if combine == "mean" else each.amin(1)).numpy()
    scorer = Scorer(victim, device="cpu")
    assert np.allclose(scorer.confidence(IMAGES), expected, atol=1e-5)
    away = PGD(eps=0.5, steps=20)(scorer, IMAGES, [0] * 4)
    assert away.success.any()
    assert (away.success == (scorer.confidence(away.images)[:, 0] <= 0.5)).all()


@pytest.mark.parametrize("output", ["logits", "probs"])
def test_ten_crops_average_each_class_for_itself(code: str, output: str) -> None:
    function = "three" if output == "logits" else "each"
    victim = loaded(code, function, task="multi-label", output=output, crops=10)
    assert victim.input_shape == (1, 5, 5)
    images = np.random.default_rng(2).integers(0, 256, (3, 1, 5, 5), dtype=np.uint8)
    crops = torch.from_numpy(ten_crops(images, 4)) / 255
    expected = linear(3)(crops.flatten(1) * 4).sigmoid().reshape(3, 10, 3).mean(1)
    scorer = Scorer(victim, device="cpu")
    assert np.allclose(scorer.confidence(images), expected.detach().numpy(), atol=1e-6)
    away = PGD(eps=0.6, steps=20, loss="margin")(scorer, images, [0] * 3)
    assert away.success.any()
    assert (away.success == (scorer.confidence(away.images)[:, 0] <= 0.5)).all()


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
