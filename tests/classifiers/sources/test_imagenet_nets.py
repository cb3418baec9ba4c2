"""Nets of other families, brought as a user brings them: right answers, gradients, same classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from imagenet1000 import every_16th_class

from evofool.classifiers import load_classifier
from evofool.classifiers.labels import shipped_labels
from evofool.images import to_float

VICTIMS = Path(__file__).parents[2] / "victims"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "side", "right", "share"),
    [
        # right: measured; share: of all 1000 pictures, as stated with the weights
        ("squeezenet.py:squeezenet", 227, 41, 0.601),
        ("mobilenet.py:mobilenet_v1", 224, 39, 0.552),
        pytest.param("mobilenet.py:mobilenet_v2", 224, 58, 0.879, marks=pytest.mark.slow),
    ],
)
def test_what_the_nets_get_right_and_their_gradients(
    name: str, side: int, right: int, share: float, real_data: Path
) -> None:
    victim = load_classifier(f"{VICTIMS / name}")
    assert victim.input_shape == (3, side, side)
    assert victim.labels == shipped_labels("imagenet")
    assert victim.module is not None
    pixels, truth = every_16th_class(real_data, victim)
    images = torch.from_numpy(to_float(pixels))
    with torch.inference_mode():
        now = int((victim.module(images).argmax(1).numpy() == truth).sum())
    assert now == right
    # 63 pictures cannot tell more: the share lies within two standard errors
    assert abs(now / 63 - share) < 2 * (share * (1 - share) / 63) ** 0.5
    few = images[:4].requires_grad_()
    logits = victim.module(few)
    assert logits.shape == (4, 1000)
    torch.autograd.backward(torch.nn.functional.cross_entropy(logits, torch.from_numpy(truth[:4])))
    assert few.grad is not None
    gradients = few.grad.numpy()
    assert np.isfinite(gradients).all()
    assert (np.abs(gradients).reshape(4, -1).max(1) > 0).all()
