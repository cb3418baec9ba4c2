"""Victims as people write them: what they keep, what they branch on, what they return.

Each of these gave plausible wrong numbers, or ended the run, when the scorer trusted its victim.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.attacks import PGD
from evofool.classifiers import Classifier, from_module, from_predict
from evofool.errors import ClassifierError, ScoringError
from evofool.scoring import Scorer

SHAPE = (1, 6, 6)
Images = NDArray[np.uint8]
GLOBAL: list[torch.Tensor] = []


@pytest.fixture
def pictures() -> Images:
    return np.random.default_rng(3).integers(0, 256, (256, *SHAPE), dtype=np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOFOOL_CACHE", str(tmp_path / "cache"))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first = nn.Linear(36, 64)
        self.second = nn.Linear(64, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.second(torch.tanh(self.first(images.flatten(1))))
        return outputs


def pause() -> None:
    """Lets other threads run, as any operator that releases the interpreter does."""
    torch.mm(torch.ones(64, 64), torch.ones(64, 64))


class KeepsInSelf(Net):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.hidden = torch.tanh(self.first(images.flatten(1)))
        pause()
        outputs: torch.Tensor = self.second(self.hidden)
        return outputs


class KeepsInGlobal(Net):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        GLOBAL[:] = [torch.tanh(self.first(images.flatten(1)))]
        pause()
        outputs: torch.Tensor = self.second(GLOBAL[0])
        return outputs


class Hooked(Net):
    """A list of features that a hook fills."""

    def __init__(self) -> None:
        super().__init__()
        features: list[torch.Tensor] = []
        self.first.register_forward_hook(lambda module, inputs, output: features.append(output))
        self.features = features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.features.clear()
        self.first(images.flatten(1))
        pause()
        outputs: torch.Tensor = self.second(torch.tanh(self.features[-1]))
        return outputs


class OneBuffer(Net):
    """Writes each answer into the same memory."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs = super().forward(images)
        if torch.is_grad_enabled():
            return outputs
        if not hasattr(self, "out") or len(self.out) < len(outputs):
            self.out = torch.empty_like(outputs)
        return self.out[: len(outputs)].copy_(outputs)


def expected_of(images: Images) -> NDArray[np.float32]:
    with torch.no_grad():
        outputs: NDArray[np.float32] = Net()(torch.from_numpy(images).float() / 255).numpy()
    return outputs


def victim_of(module: nn.Module, **options: Any) -> Classifier:
    return from_module(module.eval(), input_shape=SHAPE, name="theirs", keep=True, **options)


@pytest.mark.parametrize("make", [KeepsInSelf, KeepsInGlobal, Hooked, OneBuffer])
@pytest.mark.parametrize("workers", [1, 4])
def test_what_it_keeps_is_not_mixed_up(
    make: Callable[[], nn.Module], workers: int, pictures: Images
) -> None:
    victim = victim_of(make())
    with Scorer(victim, engine="torch", device="cpu", batch=8, workers=workers) as scorer:
        outputs = scorer.score(pictures).outputs
        assert outputs is not None
        assert np.abs(outputs - expected_of(pictures)).max() < 1e-5
        gradients = scorer.gradients(pictures, lambda out, rows: out[:, 0])
    with Scorer(victim_of(Net()), engine="torch", device="cpu", workers=1) as plain:
        true = plain.gradients(pictures, lambda out, rows: out[:, 0])
    assert np.abs(gradients.values - true.values).max() < 1e-5
    assert np.abs(gradients.outputs - true.outputs).max() < 1e-5


@pytest.mark.parametrize("make", [KeepsInSelf, Hooked])
def test_an_attack_on_it_succeeds_as_on_any(
    make: Callable[[], nn.Module], pictures: Images
) -> None:
    success = []
    for module in (Net(), make()):
        victim = victim_of(module)
        with Scorer(victim, engine="torch", device="cpu", batch=8, workers=4) as scorer:
            labels = scorer.labels(pictures)
            result = PGD(eps=32 / 255, step_size=8 / 255, steps=10)(scorer, pictures, labels)
            success.append(result.success)
    assert np.array_equal(*success)
    assert success[0].mean() > 0.9


def test_a_buffer_that_a_function_writes_into_again(pictures: Images) -> None:
    out = np.zeros((8, 5))

    def predict(images: Images) -> NDArray[np.float64]:
        out[: len(images)] = images.reshape(len(images), -1)[:, :5] / 255
        return out[: len(images)]

    victim = from_predict(predict, input_shape=SHAPE)
    with Scorer(victim, batch=8, workers=4) as scorer:
        outputs = scorer.score(pictures).outputs
    assert outputs is not None
    assert np.array_equal(outputs, pictures.reshape(len(pictures), -1)[:, :5] / 255)


# branches


class Trigger(Net):
    """A backdoor: class 3 wherever the corner is white. `looks` is how Python gets to know."""

    def __init__(self, looks: Callable[[torch.Tensor], bool]) -> None:
        super().__init__()
        self.looks = looks

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs = super().forward(images)
        hit = images[:, 0, :2, :2].mean((1, 2)) > 0.99
        if self.looks(hit):
            outputs = outputs + 50 * hit[:, None] * torch.eye(5)[3]
        return outputs


LOOKS: dict[str, Callable[[torch.Tensor], bool]] = {
    "any": lambda hit: bool(hit.any()),
    "item": lambda hit: hit.sum().item() > 0,
    "equal": lambda hit: not torch.equal(hit, torch.zeros_like(hit)),
    "allclose": lambda hit: not torch.allclose(hit.float(), torch.zeros(len(hit))),
    "is_nonzero": lambda hit: torch.is_nonzero(hit.any()),
    "tolist": lambda hit: any(hit.tolist()),
    "numpy": lambda hit: bool(hit.numpy().any()),
    "nonzero": lambda hit: hit.nonzero().shape[0] > 0,
    "numel": lambda hit: hit[hit].numel() > 0,
}


@pytest.mark.parametrize("looks", LOOKS.values(), ids=LOOKS.keys())
def test_a_branch_on_values_is_not_lost(
    looks: Callable[[torch.Tensor], bool], pictures: Images
) -> None:
    pictures[::16, :, :2, :2] = 255
    module = Trigger(looks)
    victim = victim_of(module)
    with torch.no_grad():
        expected = module(torch.from_numpy(pictures).float() / 255).argmax(1).numpy()
    assert (expected[::16] == 3).all()
    with Scorer(victim, device="cpu", batch=16) as scorer:
        assert scorer.engine == "torch"
        assert "a graph cannot represent what its code does" in scorer.note
        assert np.array_equal(scorer.labels(pictures), expected)


def test_a_branch_taken_by_bright_pictures_only(pictures: Images) -> None:
    """The tracer is silent here, and noise does not show it: white pictures do."""

    class Guard(Net):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            outputs = super().forward(images)
            if torch.onnx.is_in_onnx_export():
                return outputs
            return torch.where(images.mean((1, 2, 3))[:, None] > 0.9, -outputs, outputs)

    with Scorer(victim_of(Guard()), device="cpu") as scorer:
        assert scorer.engine == "torch"
        assert "does not agree" in scorer.note


def test_code_without_branches_is_exported(pictures: Images) -> None:
    with Scorer(victim_of(Net()), device="cpu") as scorer:
        assert (scorer.engine, scorer.note) == ("onnxruntime", "")


# what it returns


def test_a_softmax_at_the_end_is_seen(pictures: Images) -> None:
    module = nn.Sequential(Net(), nn.Softmax(1))
    victim = from_module(module, input_shape=SHAPE)
    assert (victim.output, victim.link) == ("probs", "identity")
    with Scorer(victim, device="cpu") as scorer:
        found = scorer.confidence(pictures)
    logits = torch.from_numpy(expected_of(pictures)).double()
    assert np.abs(found - logits.softmax(1).numpy()).max() < 1e-6
    with pytest.raises(ClassifierError, match=r"ends in a softmax.*set output: probs"):
        from_module(module, input_shape=SHAPE, output="logits")


def test_confidences_of_sigmoids_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    victim = from_module(nn.Sequential(Net(), nn.Sigmoid()), input_shape=SHAPE)
    assert victim.output == "logits"
    assert "if they are confidences, set output: probs" in caplog.text
    caplog.clear()
    from_module(Net(), input_shape=SHAPE)
    assert caplog.text == ""


def test_masked_classes_load() -> None:
    class Masked(Net):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            outputs = super().forward(images)
            return outputs.masked_fill(torch.arange(5) == 4, -torch.inf)

    assert victim_of(Masked()).n_classes == 5
    assert victim_of(nn.Sequential(Masked(), nn.LogSoftmax(1)), output="log_probs").n_classes == 5


def test_any_kind_of_array(pictures: Images) -> None:
    """A tensor with a gradient, half precision, a view, nested lists: in turn."""
    module = Net()
    turn = 0

    def predict(images: Images) -> object:
        nonlocal turn
        turn += 1
        outputs = module(torch.from_numpy(images).float() / 255).softmax(1)
        array = outputs.detach().numpy()
        kinds = (outputs, outputs.half(), array[:, ::-1][:, ::-1], array.tolist(), outputs.double(),
                 outputs.bfloat16())  # fmt: skip
        return kinds[turn % len(kinds)]

    victim = from_predict(predict, input_shape=SHAPE)  # type: ignore[arg-type]
    expected = torch.from_numpy(expected_of(pictures)).softmax(1).numpy()
    with Scorer(victim, batch=8) as scorer:
        assert np.abs(scorer.confidence(pictures) - expected).max() < 5e-3


def test_a_victim_that_ends_the_process(pictures: Images) -> None:
    calls = 0

    def predict(images: Images) -> NDArray[np.float64]:
        nonlocal calls
        calls += 1
        if calls > 4:
            sys.exit(0)
        return np.full((len(images), 5), 0.2)

    victim = from_predict(predict, input_shape=SHAPE, name="theirs")
    with (
        Scorer(victim, batch=8) as scorer,
        pytest.raises(ScoringError, match=r"theirs failed while scoring \(SystemExit: 0"),
    ):
        scorer.score(pictures)


def test_an_exception_without_a_text() -> None:
    def predict(images: Images) -> NDArray[np.float64]:
        raise KeyError

    with pytest.raises(ClassifierError, match=r"theirs: fails on a batch .* \(KeyError\)$"):
        from_predict(predict, input_shape=SHAPE, name="theirs")


class UnderGradients(Net):
    """Behaves, until gradients are asked for."""

    def __init__(self, change: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.change = change

    def forward(self, images: torch.Tensor) -> Any:
        outputs = super().forward(images)
        return self.change(outputs) if torch.is_grad_enabled() else outputs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda out: out[:-1], r"shape \(7, 5\), but floats of shape \(8, 5\)"),
        (lambda out: out[:, :3], r"shape \(8, 3\), but floats of shape \(8, 5\)"),
        (lambda out: (out, out), "gave a tuple, but gradients need a tensor"),
        (lambda out: out.argmax(1), r"torch.int64 of shape \(8,\)"),
        (lambda out: out.detach(), "gives no gradients: no path of differentiable operations"),
        (lambda out: torch.from_numpy(out.detach().numpy()), "gives no gradients"),
    ],
)
def test_under_gradients(change: Any, message: str, pictures: Images) -> None:
    victim = victim_of(UnderGradients(change))
    with (
        Scorer(victim, engine="torch", device="cpu", batch=8) as scorer,
        pytest.raises(ScoringError, match=f"theirs .*{message}"),
    ):
        scorer.gradients(pictures[:8], lambda out, rows: out[:, 0])


# the caller's PyTorch


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_under_another_default_dtype_and_device(engine: str, pictures: Images) -> None:
    from evofool.classifiers import load_classifier

    digits = np.random.default_rng(0).integers(0, 256, (4, 1, 28, 28), dtype=np.uint8)

    def run() -> tuple[Any, ...]:
        victim = load_classifier("mnist-lenet")
        with Scorer(victim, engine=engine, device="cpu", workers=2) as scorer:
            scores = scorer.score(digits)
            gradients = scorer.gradients(digits, lambda out, rows: out[:, 0])
            outputs = scorer.differentiable()(torch.zeros(1, 1, 28, 28, dtype=torch.float32,
                                                          device="cpu"))  # fmt: skip
        return victim.digest, scores.log_odds, gradients.values, outputs.detach().numpy()

    expected = run()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        found = run()
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_default_device().type == "meta"
        with torch.inference_mode():
            inside = run()
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    for result in (found, inside):
        assert result[0] == expected[0]
        for one, other in zip(result[1:], expected[1:], strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)


class HooksItself(Net):
    """A hook that closes over the module it is of."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[torch.Tensor] = []
        self.first.register_forward_hook(lambda module, inputs, out: self.kept.append(out))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.kept.clear()
        outputs = super().forward(images)
        for features in self.kept:  # of a copy: empty, since the hook fills the original's
            outputs = outputs + features[:, :5]
        return outputs


def test_a_hook_that_refers_to_its_module_is_not_lost_in_a_copy(pictures: Images) -> None:
    with pytest.raises(ClassifierError, match=r"cannot be copied \(a hook .*give keep=True"):
        from_module(HooksItself(), input_shape=SHAPE)
    module = HooksItself()
    victim = victim_of(module)
    with torch.no_grad():
        expected = module(torch.from_numpy(pictures).float() / 255).numpy()
    with Scorer(victim, engine="torch", device="cpu", batch=8, workers=4) as scorer:
        assert np.abs(scorer.logits(pictures) - expected).max() < 1e-5
