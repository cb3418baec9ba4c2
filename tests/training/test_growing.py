"""One class more: the old answers stay, and a weight counts as it says."""

from __future__ import annotations

import pytest
import torch

from evofool.classifiers.nets import architectures
from evofool.classifiers.nets.architectures import ARCHITECTURES, build_architecture
from evofool.errors import UsageError
from evofool.training.fitting import initial
from evofool.training.growing import grown, weighted


@pytest.mark.parametrize("name", ["lenet", "mnist-d", "cifar-resnet"])
def test_the_old_classes_answer_as_before(name: str) -> None:
    shape = ARCHITECTURES[name].input_shape
    old = initial(lambda: build_architecture(name, shape, 10), 1).eval()
    new = grown(name, shape, 10, old.state_dict(), 2).eval()
    images = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = old(images), new(images)
    assert after.shape == (3, 11)
    assert torch.allclose(after[:, :10], before, atol=1e-6)
    again = grown(name, shape, 10, old.state_dict(), 2)
    other = grown(name, shape, 10, old.state_dict(), 3)
    assert all(torch.equal(a, b) for a, b in zip(new.parameters(), again.parameters(), strict=True))
    assert any(
        not torch.equal(a, b) for a, b in zip(new.parameters(), other.parameters(), strict=True)
    )


def test_a_head_of_a_fixed_size_cannot_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    lenet = ARCHITECTURES["lenet"]
    fixed = dataclasses.replace(lenet, build=lambda shape, _: lenet.build(shape, 10))
    monkeypatch.setitem(architectures.ARCHITECTURES, "lenet", fixed)
    state = lenet.build((1, 28, 28), 10).state_dict()
    with pytest.raises(UsageError, match="head of lenet cannot grow from 10 to 11"):
        grown("lenet", (1, 28, 28), 10, state, 1)
    with pytest.raises(UsageError, match="cannot grow"):
        grown("mnist-d", (1, 28, 28), 10, state, 1)


def test_weights_count_as_they_say() -> None:
    outputs = torch.tensor([[1.0, 0.0, 2.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([0, 2, 2])
    plain = weighted(2, 1.0, 0.5)(outputs, labels)
    assert torch.allclose(
        plain, torch.nn.functional.cross_entropy(outputs, labels, reduction="none")
    )
    heavy = weighted(2, 7.0, 0.5)(outputs, labels) / plain
    assert float(heavy[1] / heavy[0]) == pytest.approx(7)
    assert heavy[1] == pytest.approx(float(heavy[2]))
    assert float(heavy[0] + heavy[1]) / 2 == pytest.approx(1)  # the mean over the whole set
