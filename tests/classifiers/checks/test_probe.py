"""The probe: how much a victim is asked, what is noticed, and what the messages blame."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import from_module, from_predict, load_classifier
from evofool.classifiers.checks.probe import SMALL, Probed, probe, probe_source
from evofool.classifiers.checks.probe_pictures import probe_pictures
from evofool.errors import ClassifierError

SHAPE = (3, 8, 8)
Images = NDArray[np.uint8]


class Paid:
    """A service that is paid by the picture."""

    def __init__(self) -> None:
        self.pictures = 0

    def __call__(self, images: Images) -> NDArray[np.float64]:
        self.pictures += len(images)
        means = images.reshape(len(images), -1).mean(1) / 255
        return np.stack([means, 1 - means], 1)


@pytest.mark.parametrize(("level", "most"), [("none", 0), ("small", SMALL), ("full", 40)])
def test_pictures_are_counted(level: Any, most: int) -> None:
    service = Paid()
    probed = probe_source("service", SHAPE, "probs", n_labels=2, predict=service, level=level)
    assert probed == Probed(2, "probs", service.pictures)
    assert service.pictures <= most
    assert (service.pictures == 0) == (level == "none")


def test_a_function_is_sent_few_pictures_even_when_it_is_refused() -> None:
    service = Paid()
    with pytest.raises(ClassifierError, match="second time"):
        from_predict(
            lambda images: service(images) * (1 if service.pictures < 5 else 0.5),
            input_shape=SHAPE,
        )
    assert service.pictures <= SMALL


def test_without_a_probe_labels_are_needed() -> None:
    with pytest.raises(ClassifierError, match="number of classes is unknown; set labels"):
        from_predict(Paid(), input_shape=SHAPE, probe="none")
    victim = from_predict(Paid(), input_shape=SHAPE, labels=["dark", "bright"], probe="none")
    assert victim.n_classes == 2


def test_the_config_says_how_much(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(
        "import numpy as np\n"
        "def make():\n"
        "    def predict(images):\n"
        "        raise RuntimeError('not before I am paid')\n"
        "    return predict\n"
    )
    spec = {"name": "service.py:make", "input_shape": SHAPE, "labels": ["a", "b"]}
    with pytest.raises(ClassifierError, match="not before I am paid"):
        load_classifier(spec, base=tmp_path)
    victim = load_classifier({**spec, "probe": "none"}, base=tmp_path)
    with pytest.raises(ClassifierError, match="not before I am paid"):
        probe(victim)
    with pytest.raises(ClassifierError, match="probe cannot be set for"):
        load_classifier({"name": "mnist-lenet", "probe": "none"})


def test_pictures_are_unlike_each_other() -> None:
    for shape in (SHAPE, (1, 1, 1), (1, 28, 28), (3, 5, 64)):
        pictures = probe_pictures(shape)
        assert pictures.shape == (8, *shape)
        assert pictures.dtype == np.uint8
        assert np.array_equal(pictures, probe_pictures(shape))
    pictures = probe_pictures((3, 32, 32)).reshape(8, -1).astype(float)
    assert len({picture.tobytes() for picture in pictures}) == 8
    assert {0.0, 255.0} <= set(pictures.mean(1))


def test_answers_that_depend_on_what_came_before() -> None:
    class Follows(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            outputs = images.flatten(1)[:, :4].clone()
            outputs[0] += getattr(self, "last", 0.0)
            self.last = outputs[-1].detach().clone()
            return outputs

    with pytest.raises(ClassifierError, match=r"second time|depends on the other images"):
        from_module(Follows(), input_shape=SHAPE)


def test_threads_that_get_in_each_others_way_are_noticed() -> None:
    """A module that passes for harmless code of a library, and is not."""
    meeting = threading.Barrier(2)

    class Shared(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.kept = images.flatten(1)[:, :4]
            if threading.current_thread() is not threading.main_thread():
                meeting.wait(600)  # until another thread has written into it, too
            return self.kept

    Shared.__module__ = "torch.nn.modules.shared"
    with pytest.raises(ClassifierError, match="when several threads call it at once"):
        from_module(Shared(), input_shape=SHAPE)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "is input_shape right\\?$"),
        (RuntimeError("expected scalar type Float but found Double"), "float32 images"),
        (RuntimeError("Input type (float) and bias type (c10::Half) should be the same"), "float3"),
        (RuntimeError("Can't call numpy() on Tensor that requires grad."), "scores.detach"),
        (RuntimeError("Expected all tensors to be on the same device"), "the same device"),
        (ModuleNotFoundError("No module named 'clip'", name="clip"), "install clip$"),
        (ConnectionRefusedError(111, "Connection refused"), "does the service .* answer\\?$"),
        (TimeoutError(), "does the service .* answer\\?$"),
        (FileNotFoundError(2, "No such file", "w.pth"), "cannot open a file"),
        (SystemExit(0), "not end the process"),
        (AttributeError("no attribute 'fc3'"), "its own code$"),
        (KeyError(), "\\(KeyError\\)$"),
        (ValueError("quota is used up"), "quota is used up\\)$"),
    ],
)  # fmt: skip
def test_messages_blame_what_is_to_blame(error: BaseException, message: str) -> None:
    def predict(images: Images) -> NDArray[np.float64]:
        raise error

    with pytest.raises(ClassifierError, match=message) as caught:
        from_predict(predict, input_shape=SHAPE)
    assert ("is input_shape right" in str(caught.value)) == ("input_shape" in message)


@pytest.mark.parametrize(
    "make",
    [
        lambda images: images.requires_grad_().flatten(1)[:, :4],
        lambda images: images.flatten(1)[:, :4].half(),
        lambda images: images.flatten(1)[:, :4].bfloat16(),
        lambda images: images.flatten(1)[:, :4].to_sparse(),
    ],
)
def test_kinds_of_tensors(make: Callable[[torch.Tensor], torch.Tensor]) -> None:
    victim = from_predict(
        lambda images: make(torch.from_numpy(images).float() / 255),  # type: ignore[arg-type, return-value]
        input_shape=SHAPE,
    )
    assert victim.n_classes == 4


def test_scores_next_to_nothing_are_compared_with_those_of_other_pictures() -> None:
    """A black picture gives a bias-free net rounding noise, which batch shapes may change."""

    class Rounding(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :4] + 1e-7 * len(images)

    assert from_module(Rounding(), input_shape=SHAPE).n_classes == 4
