"""Victims from a module or a function, and their digests."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from evofool.classifiers import from_module, from_predict, probe
from evofool.images import UInt8Images

SHAPE = (3, 8, 8)


def brightness(images: UInt8Images) -> NDArray[np.float64]:
    share = images.mean(axis=(1, 2, 3)) / 255
    return np.stack([share, 1 - share], axis=1)


def test_a_module(net: nn.Module) -> None:
    classifier = from_module(net, input_shape=SHAPE, name="tiny")
    assert classifier.labels == ("0", "1", "2", "3")
    assert (classifier.output, classifier.link) == ("logits", "softmax")
    assert classifier.white_box
    assert classifier.preprocessing == "[0, 1] as it is"
    assert probe(classifier).n_classes == 4


def test_the_module_is_copied(net: nn.Module) -> None:
    classifier = from_module(net.train(), input_shape=SHAPE)
    assert classifier.module is not net
    assert net.training
    assert all(weight.requires_grad for weight in net.parameters())
    assert classifier.module is not None
    assert not any(part.training for part in classifier.module.modules())
    assert not any(weight.requires_grad for weight in classifier.module.parameters())


def test_keep_takes_the_module_itself(net: nn.Module) -> None:
    assert from_module(net, input_shape=SHAPE, keep=True).module is net
    assert not net.training


def test_mean_and_std_are_part_of_the_victim(net: nn.Module) -> None:
    net.eval()
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    classifier = from_module(net, input_shape=SHAPE, mean=mean, std=std)
    images = torch.rand(2, *SHAPE)
    scaled = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert classifier.module is not None
    with torch.no_grad():
        assert torch.allclose(classifier.module(images), net(scaled), atol=1e-6)
    assert classifier.digest != from_module(net, input_shape=SHAPE).digest
    assert "0.5" in classifier.preprocessing


def test_digest_follows_every_weight(net: nn.Module) -> None:
    digest = from_module(net, input_shape=SHAPE).digest
    assert digest == from_module(copy.deepcopy(net), input_shape=SHAPE, name="x").digest
    for key in ("fc.bias", "norm.running_var"):
        other = copy.deepcopy(net)
        with torch.no_grad():
            other.state_dict()[key][0] += 1e-6
        assert from_module(other, input_shape=SHAPE).digest != digest


def test_digest_of_half_precision_and_shared_weights() -> None:
    first = nn.Linear(4, 4).to(torch.bfloat16)
    from evofool.classifiers.nets.checkpoints import digest_module

    shared = nn.Sequential(first, first)
    assert len(digest_module(shared)) == 64
    assert digest_module(shared) != digest_module(first)


@pytest.mark.parametrize(
    ("output", "link", "expected"),
    [
        ("logits", None, "softmax"),
        ("logits", "sigmoid", "sigmoid"),
        ("logits", "identity", "identity"),
        ("log_probs", None, "softmax"),
        ("probs", None, "identity"),
    ],
)
def test_links(net: nn.Module, output: str, link: str | None, expected: str) -> None:
    last = {"logits": nn.Identity(), "log_probs": nn.LogSoftmax(1), "probs": nn.Softmax(1)}[output]
    classifier = from_module(
        nn.Sequential(net, last),
        input_shape=SHAPE,
        output=output,  # type: ignore[arg-type]
        link=link,  # type: ignore[arg-type]
    )
    assert classifier.link == expected


def test_a_predict_function() -> None:
    classifier = from_predict(brightness, input_shape=(1, 5, 6), labels=["light", "dark"])
    assert classifier.labels == ("light", "dark")
    assert (classifier.output, classifier.link) == ("probs", "identity")
    assert not classifier.white_box
    assert classifier.predict is brightness
    assert classifier.digest == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def test_labels_only() -> None:
    classifier = from_predict(
        lambda images: brightness(images).argmax(1),
        input_shape=(1, 5, 6),
        output="label",
        labels=["light", "dark"],
    )
    assert classifier.n_classes == 2


def test_topk_may_leave_gaps() -> None:
    def best(images: UInt8Images) -> NDArray[np.float64]:
        scores = brightness(images)
        scores[scores < 0.5] = np.nan
        return scores

    assert from_predict(best, input_shape=(1, 5, 6), output="topk").n_classes == 2


def test_a_predict_function_may_write_into_its_images() -> None:
    def careless(images: UInt8Images) -> NDArray[np.float64]:
        scores = brightness(images)
        images[:] = 0
        return scores

    assert from_predict(careless, input_shape=(1, 5, 6)).n_classes == 2


def test_a_module_without_parameters() -> None:
    class Corner(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, 0, 0, :4]

    assert from_module(Corner(), input_shape=SHAPE).n_classes == 4
