"""What is done for CUDA, held on the CPU: lighter copies, recordings, modes. No device is needed:
a stand-in records by calling again.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import Classifier, from_module, with_crops
from evofool.scoring import Scorer, cuda
from evofool.scoring.cuda import Modes, forward_of, lighter, recorded
from evofool.scoring.torch_engine import TorchEngine

Images = NDArray[np.uint8]
SHAPE = (3, 8, 8)
LONG = 600.0
"""Seconds until a test gives up on an event; none is waited for when all is well."""


def replaying(
    work: Callable[[], torch.Tensor],
) -> tuple[Callable[[], None], torch.Tensor]:
    """As a CUDA graph does: the same memory in, the same memory out."""
    outputs = work()

    def replay() -> None:
        outputs.copy_(work())

    return replay, outputs


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(),
        nn.Linear(216, 5),
    )  # fmt: skip
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    return net.eval().requires_grad_(False)


@pytest.fixture
def victim(net: nn.Module) -> Classifier:
    return from_module(net, input_shape=SHAPE, name="small")


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(2).integers(0, 256, (4, *SHAPE), dtype=np.uint8)


def test_a_lighter_copy_is_folded_and_leaves_the_module_alone(net: nn.Module) -> None:
    before = copy.deepcopy(net.state_dict())
    found = lighter(net, "cpu", SHAPE, "softmax")
    assert found is not net
    assert not any(isinstance(part, nn.BatchNorm2d) for part in found.modules())
    weight = found.get_parameter("0.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    x = torch.rand(3, *SHAPE)
    assert torch.allclose(found(x), net(x), atol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("fault", ["shifts", "raises", "nan"])
def test_a_copy_that_disagrees_is_left_out(
    net: nn.Module, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def fold(module: nn.Module) -> nn.Module:
        if fault == "raises":
            raise RuntimeError("cannot be copied")
        folded = copy.deepcopy(module)
        bias = folded.get_parameter("4.bias")
        bias[0] += 0.01 if fault == "shifts" else float("nan")
        return folded

    monkeypatch.setattr("evofool.classifiers.nets.folding.fold_batchnorm", fold)
    assert lighter(net, "cpu", SHAPE, "softmax") is net


def test_a_recording_gives_what_the_module_gives(net: nn.Module, images: Images) -> None:
    forward = forward_of(net, "cpu", "float32")
    made = recorded(forward, "cpu", images.shape, replaying)
    assert made is not None
    assert made.shape == images.shape
    batches = [torch.from_numpy(images), torch.from_numpy(255 - images)]
    first, second = (made(batch) for batch in batches)  # the second overwrites no first
    assert torch.equal(first, forward(batches[0]))
    assert torch.equal(second, forward(batches[1]))


class Moody(nn.Module):
    """Its outputs change from call to call, as no recording shows."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        outputs: torch.Tensor = self.net(images) + self.calls
        return outputs


def test_what_cannot_be_recorded_is_not(net: nn.Module, images: Images) -> None:
    def failing(work: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    def frozen(work: Any) -> Any:
        outputs = work()
        return lambda: None, outputs

    forward = forward_of(net, "cpu", "float32")
    assert recorded(forward, "cpu", images.shape, failing) is None
    assert recorded(forward, "cpu", images.shape, frozen) is None
    moody = forward_of(Moody(net), "cpu", "float32")
    assert recorded(moody, "cpu", images.shape, replaying) is None
    assert recorded(forward, "cpu", images.shape) is None  # a real one, without a device


@pytest.mark.parametrize("crops", [1, 10])
def test_the_engine_replays_whole_micro_batches_only(
    victim: Classifier, monkeypatch: pytest.MonkeyPatch, crops: int
) -> None:
    replays = 0

    def counting(work: Any) -> Any:
        replay, outputs = replaying(work)

        def again() -> None:
            nonlocal replays
            replays += 1
            replay()

        return again, outputs

    monkeypatch.setattr(cuda, "record_cuda_graph", counting)
    hit = with_crops(victim, crops)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (8, *hit.input_shape), dtype=np.uint8)
    with Scorer(hit, engine="torch", batch=4 * crops, workers=2, pad=True) as scorer:
        expected = scorer.score(pictures).log_odds
        engine = scorer._engine
        assert isinstance(engine, TorchEngine)
        assert engine.way == scorer.way == ""
        engine._hasten(hit, 4 * crops)
        assert engine.way == "batch norm folded, channels last, recorded"
        replays = 0
        found = [part.log_odds for part in scorer.map(lambda p=p: p for p in (pictures[:4],) * 6)]
        assert replays == 6
        for part in found:
            assert np.array_equal(part, found[0])
            assert np.abs(part - expected[:4]).max() < 1e-4
        scorer.score(pictures[:3])  # filled up
        assert replays == 7
        scorer.halve()
        assert np.abs(scorer.score(pictures).log_odds - expected).max() < 1e-4
        assert replays == 7
        gradient = scorer.gradients(pictures, lambda outputs, rows: outputs[:, 0])
        assert engine._plain is hit.module  # that of gradients
        assert np.isfinite(gradient.values).all()


def test_floats_and_levels_score_the_same(victim: Classifier, images: Images) -> None:
    engine = TorchEngine(victim, "cpu")
    engine._hasten(victim, 0)
    floats = images.astype(np.float32) / np.float32(255)
    assert np.array_equal(engine.forward(images), engine.forward(floats))


def test_a_module_in_another_precision_only_screens(victim: Classifier, images: Images) -> None:
    plain = TorchEngine(victim, "cpu")
    engine = TorchEngine(victim, "cpu", precision="bf16")
    assert np.array_equal(engine.forward(images), plain.forward(images))
    difference = np.abs(engine.screen(images) - plain.forward(images)).max()
    assert 0 < difference < 0.1
    assert engine.screen(images).dtype == np.float32


def flags() -> tuple[bool, bool, bool]:
    backends = torch.backends
    return backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32, backends.cudnn.deterministic


def test_modes_are_shared_by_who_wants_the_same_and_waited_for_by_others() -> None:
    modes = Modes()
    before = flags()
    inside, leave, changed = threading.Event(), threading.Event(), threading.Event()
    seen: list[tuple[bool, bool, bool]] = []

    def exact() -> None:
        with modes.use("float32"):
            inside.set()
            assert leave.wait(LONG)
            seen.append(flags())

    def fast() -> None:
        with modes.use("tf32"):
            seen.append(flags())
            changed.set()

    first = threading.Thread(target=exact)
    first.start()
    assert inside.wait(LONG)
    with modes.use("bf16"), modes.use("float32"):  # shared: neither waits
        assert flags() == (False, False, True)
    assert flags() == (False, False, True)  # the thread is inside still
    second = threading.Thread(target=fast)
    second.start()
    assert not changed.is_set()
    leave.set()
    first.join(LONG)
    second.join(LONG)
    assert seen == [(False, False, True), (True, True, True)]
    assert flags() == before


def test_modes_survive_an_exception() -> None:
    modes, before = Modes(), flags()
    with pytest.raises(KeyError), modes.use("tf32"):
        raise KeyError
    assert flags() == before
    with modes.use("float32"):
        assert flags()[:2] == (False, False)
