"""EfficientNet-Lite0 on one CPU thread: evofool's engine onnxruntime beside torch.

Ready uint8 images, float conversion included on both sides; torch in inference_mode, as it is and
with what a careful user does (normalisations folded, channels_last).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from measuring import measure
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from evofool import Classifier, Scorer, load_classifier
from evofool.classifiers.nets.folding import fold_batchnorm
from evofool.experiments.bench import random_images

BATCHES = (1, 5, 25)
IMAGES = 25
"""A round, whatever the batch."""
TOLERANCE = 1e-5
"""Largest difference in confidence."""
GROUP = "Scoring EfficientNet-Lite0, one thread"

Predict = Callable[[NDArray[np.uint8]], torch.Tensor]


@pytest.fixture(scope="module")
def victim() -> Classifier:
    """The victim."""
    return load_classifier("imagenet-efficientnet-lite0")


@pytest.fixture(scope="module")
def images(victim: Classifier) -> NDArray[np.uint8]:
    """Noise."""
    return random_images(victim, IMAGES)


def eager(victim: Classifier) -> Predict:
    """torch as it is."""
    assert victim.module is not None
    return _predict(victim.module, torch.contiguous_format)


def tuned(victim: Classifier) -> Predict:
    """torch with folded normalisations and channels_last."""
    assert victim.module is not None
    module = fold_batchnorm(victim.module).to(memory_format=torch.channels_last)
    return _predict(module, torch.channels_last)


def _predict(module: nn.Module, layout: torch.memory_format) -> Predict:
    def predict(images: NDArray[np.uint8]) -> torch.Tensor:
        with torch.inference_mode():
            floats = torch.from_numpy(images).to(torch.float32, memory_format=layout).div_(255)
            outputs: torch.Tensor = module(floats).softmax(1)
            return outputs

    return predict


@pytest.mark.usefixtures("_one_thread")
def test_the_same_confidences(victim: Classifier, images: NDArray[np.uint8]) -> None:
    with Scorer(victim, engine="onnxruntime", batch=IMAGES, workers=1) as scorer:
        ours = scorer.confidence(images)
    for make in (eager, tuned):
        assert np.abs(ours - make(victim)(images).numpy()).max() <= TOLERANCE


@pytest.mark.parametrize("batch", BATCHES)
def test_onnxruntime(
    benchmark: BenchmarkFixture, victim: Classifier, images: NDArray[np.uint8], batch: int
) -> None:
    with Scorer(victim, engine="onnxruntime", batch=batch, workers=1) as scorer:
        measure(
            benchmark,
            lambda: scorer.confidence(images),
            group=GROUP,
            label=f"evofool, onnxruntime, batch {batch}",
            role="ours",
            units=IMAGES,
            unit="image",
            rounds=9,
            variant=f"batch {batch}",
        )


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(
    ("label", "make"),
    [("torch inference_mode", eager), ("torch, folded, channels_last", tuned)],
    ids=["eager", "tuned"],
)
@pytest.mark.usefixtures("_one_thread")
def test_torch(
    benchmark: BenchmarkFixture,
    victim: Classifier,
    images: NDArray[np.uint8],
    batch: int,
    label: str,
    make: Callable[[Classifier], Predict],
) -> None:
    predict = make(victim)
    measure(
        benchmark,
        lambda: [predict(images[i : i + batch]) for i in range(0, IMAGES, batch)],
        group=GROUP,
        label=f"{label}, batch {batch}",
        role="rival",
        units=IMAGES,
        unit="image",
        rounds=5,
        variant=f"batch {batch}",
    )
