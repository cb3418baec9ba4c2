"""Conformance tests of defenses: ours pass, and each broken twin is told what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from evofool.classifiers import Classifier
from evofool.defenses.base import Defense
from evofool.defenses.detectors import Energy, MaxSoftmax
from evofool.defenses.transforms import BitDepth, Jpeg, MedianBlur, Transform
from evofool.images import UInt8Images
from evofool.scoring import Scorer
from evofool.testing import ConformanceError, check_defense

SHIFTED = Path(__file__).parents[2] / "docs" / "examples" / "shifted.py"


@pytest.mark.parametrize(
    "defense",
    [BitDepth, MedianBlur, Jpeg(quality=60), MaxSoftmax(false_alarms=0.1), Energy(2.0), "jpeg",
     f"{SHIFTED}:Shifted"],
    ids=str,
)  # fmt: skip
def test_ours_conform(defense: Any) -> None:
    check_defense(defense)


class Wrapped(nn.Module):
    """A net whose inputs and outputs a function may change."""

    def __init__(self, net: nn.Module, before: Any = None, after: Any = None) -> None:
        super().__init__()
        self.net, self.before, self.after = net, before, after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.net(x if self.before is None else self.before(x))
        return outputs if self.after is None else self.after(outputs)


@dataclass(frozen=True)
class Plain(Defense):
    """Does nothing, rightly."""

    name: ClassVar[str] = "plain"

    def module(self, base: Classifier) -> nn.Module:
        assert base.module is not None
        return Wrapped(base.module, self.before, self.after)

    def before(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def after(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs


class OneClassMore(Plain):
    def after(self, outputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([outputs, outputs[:, :1]], 1)


class NotFinite(Plain):
    def after(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs / 0


class Random(Plain):
    def before(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.5 * torch.rand_like(x)


class OfTheBatch(Plain):
    def before(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


class WritesInto(Plain):
    def before(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x.mul_(0.5).mul_(2).add_(1e-3)
        return x - 1e-3


class Flat(Plain):
    def before(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach() + 0 * x


class ChangesTheNet(Plain):
    def module(self, base: Classifier) -> nn.Module:
        assert base.module is not None
        with torch.no_grad():
            next(base.module.parameters()).mul_(2)
        return Wrapped(base.module)


class NoModule(Plain):
    def module(self, base: Classifier) -> nn.Module:
        return 3  # type: ignore[return-value]


class Adaptive(Wrapped):
    def adapted(self) -> nn.Module:
        return Wrapped(self.net, after=lambda outputs: outputs + 1)


class OtherAdapted(Plain):
    def module(self, base: Classifier) -> nn.Module:
        assert base.module is not None
        return Adaptive(base.module)


@dataclass(frozen=True)
class Learns(Plain):
    learns: ClassVar[bool] = True

    level: float = 0.0

    def fit(self, clean: UInt8Images, scorer: Scorer) -> Any:
        return replace(self, level=float(np.random.default_rng().random()))


class LearnsNothing(Learns):
    def fit(self, clean: UInt8Images, scorer: Scorer) -> Any:
        return None


@dataclass(frozen=True)
class Unplain(Plain):
    level: Any = 1j


def test_what_does_nothing_conforms() -> None:
    check_defense(Plain)


@pytest.mark.parametrize(
    ("defense", "fault"),
    [
        (OneClassMore, "the defended net does not give one output per class"),
        (NotFinite, "the defended net does not give one output per class"),
        (Random, "it gives different outputs the second time"),
        (OfTheBatch, "the output of a picture depends on the others"),
        (WritesInto, "it changes the pictures it is given"),
        (Flat, "an attack that knows it has no gradient to climb"),
        (ChangesTheNet, "it changes the undefended net"),
        (NoModule, "it does not go around the net"),
        (OtherAdapted, "the version for an attack that knows the defense gives other outputs"),
        (Learns, "it learns something else from the same pictures"),
        (LearnsNothing, "it learns nothing"),
        (Unplain, "it raises TypeError"),
        ("nothing.py:X", "it cannot be loaded"),
        (int, "int is not a defense"),
    ],
)
def test_broken_twins_are_told_what_is_wrong(defense: Any, fault: str) -> None:
    with pytest.raises(ConformanceError) as info:
        check_defense(defense)
    assert any(found.what.startswith(fault) for found in info.value.faults), str(info.value)
    assert "to fix: " in str(info.value)


def test_a_transform_whose_pictures_are_none_is_found() -> None:
    @dataclass(frozen=True)
    class Floats(Transform):
        name: ClassVar[str] = "floats"

        def apply(self, pictures: UInt8Images) -> UInt8Images:
            return pictures[:, :, :-1]

    with pytest.raises(ConformanceError):
        check_defense(Floats())
