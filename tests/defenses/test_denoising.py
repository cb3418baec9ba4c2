"""Training a denoiser: four losses, a net that stays frozen, exact resume, files that are held."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from evofool.attacks import FGSM, IFGSM
from evofool.classifiers import Classifier, from_module
from evofool.classifiers.nets.checkpoints import digest_module
from evofool.data import load_dataset
from evofool.defenses.denoiser import load_denoiser
from evofool.defenses.denoising import Pairs, Recipe, make_pairs, sources_said, train_denoiser
from evofool.defenses.guides import GUIDES, Features, Guide, guide_loss
from evofool.defenses.victims import DenoiserConfig, VictimConfig, defend
from evofool.errors import Interrupted, UsageError
from evofool.scoring import Scorer
from evofool.training import TrainProgress, initial

RECIPE = Recipe(guide="logits", width=2, levels=2, epochs=3, batch=16, lr=0.01, device="cpu")
FACTS = {"dataset": "mnist-sample"}


class Tiny(nn.Module):
    """Registered in another order than pictures pass it, with batch statistics."""

    def __init__(self, inputs: int = 1) -> None:
        super().__init__()
        self.last = nn.Conv2d(3, 4, 3, stride=4)
        self.norm = nn.BatchNorm2d(3)
        self.first = nn.Conv2d(inputs, 3, 3, stride=3)
        self.head = nn.Linear(16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.norm(self.first(images)))
        outputs: torch.Tensor = self.head(self.last(hidden).flatten(1))
        return outputs


def victim(module: nn.Module | None = None, name: str = "tiny") -> Classifier:
    return from_module(
        module or initial(Tiny, 3), input_shape=(1, 28, 28), name=name, keep=True
    )  # fmt: skip


@pytest.fixture(scope="module")
def base() -> Classifier:
    return victim()


@pytest.fixture(scope="module")
def pairs(base: Classifier) -> Pairs:
    sample = load_dataset("mnist-sample")
    attacks = (FGSM(eps=0.2), IFGSM(eps=0.2, steps=2, early_stop=False))
    other = victim(initial(Tiny, 4), "other")
    return make_pairs(
        sample.images[:20],
        sample.labels[:20],
        attacks,
        (base, other),
        lambda net: Scorer(net, engine="torch", batch=20, workers=1),
    )


def test_pairs_are_the_clean_ones_and_each_attack_on_each_source(pairs: Pairs) -> None:
    assert pairs.pictures.shape == (100, 1, 28, 28)  # 1 + 2 x 2
    assert np.array_equal(pairs.pictures[:20], pairs.clean)
    assert np.array_equal(pairs.index, np.tile(np.arange(20), 5))
    moved = np.abs(pairs.pictures.astype(int) - pairs.clean[pairs.index]).max(axis=(1, 2, 3))
    assert (moved[:20] == 0).all()
    assert (moved[20:] > 0).all()
    assert moved.max() <= round(0.2 * 255)
    assert not np.array_equal(pairs.pictures[20:40], pairs.pictures[60:80])  # another source


@pytest.mark.parametrize("guide", GUIDES)
def test_the_loss_falls_and_the_net_stays_as_it_was(
    guide: Guide, base: Classifier, pairs: Pairs, tmp_path: Path
) -> None:
    assert base.module is not None
    before = digest_module(base.module)
    losses: list[float] = []
    recipe = Recipe(guide, width=2, levels=2, epochs=4, batch=20, lr=0.01, device="cpu")
    path = tmp_path / "net.safetensors"
    train_denoiser(base, pairs, recipe, path, FACTS, lambda p: losses.append(p.loss))
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert digest_module(base.module) == before  # batch statistics are part of it
    assert not any(part.training for part in base.module.modules())
    assert all(weight.grad is None for weight in base.module.parameters())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.json", "net.safetensors"]


def test_losses_by_hand(base: Classifier) -> None:
    assert base.module is not None
    clean, noisy = torch.rand(3, 1, 28, 28), torch.rand(3, 1, 28, 28)
    labels = torch.tensor([1, 2, 3])

    def loss(guide: Guide) -> torch.Tensor:
        assert base.module is not None
        return guide_loss(guide, base, base.module)(noisy, clean, labels)

    assert torch.allclose(loss("pixel"), (noisy - clean).abs().mean((1, 2, 3)))
    apart = (base.module(noisy) - base.module(clean)).abs().mean(1)
    assert torch.allclose(loss("logits"), apart)
    logs = base.module(noisy).log_softmax(1)
    assert torch.allclose(loss("class"), -logs[torch.arange(3), labels])
    features = Features(base.module, base)(clean)
    assert features.shape == (3, 4, 2, 2)  # of `last`, which was registered first
    assert torch.allclose(
        base.module.get_submodule("head")(features.flatten(1)), base.module(clean)
    )
    before = Features(base.module, base)(noisy)
    assert torch.allclose(loss("feature"), (before - features).abs().mean((1, 2, 3)))


def test_a_guide_that_the_net_cannot_give() -> None:
    flat = victim(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    assert flat.module is not None
    with pytest.raises(UsageError, match=r"needs a convolution.*loss: logits"):
        guide_loss("feature", flat, flat.module)
    probs = from_module(
        nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Softmax(1)),
        input_shape=(1, 28, 28),
        output="probs",
    )
    assert probs.module is not None
    for guide in ("logits", "class"):
        with pytest.raises(UsageError, match=r"needs softmax logits.*pixel or feature"):
            guide_loss(guide, probs, probs.module)


def stopping_after(step: int) -> tuple[Callable[[TrainProgress], None], Callable[[], bool]]:
    """`progress` and `should_stop`."""
    seen: list[int] = []
    return lambda p: seen.append(p.step), lambda: seen[-1] == step


def test_it_goes_on_to_the_same_bytes(base: Classifier, pairs: Pairs, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole" / "net.safetensors", tmp_path / "cut" / "net.safetensors"
    train_denoiser(base, pairs, RECIPE, whole, FACTS)
    for stop in (4, 16):  # within an epoch, twice
        with pytest.raises(Interrupted, match=f"after step {stop} of 21"):
            train_denoiser(base, pairs, RECIPE, cut, FACTS, *stopping_after(stop))
        assert not cut.exists()
    steps: list[TrainProgress] = []
    train_denoiser(base, pairs, RECIPE, cut, FACTS, steps.append)
    assert (steps[0].step, steps[0].resumed_at) == (17, 16)
    assert cut.read_bytes() == whole.read_bytes()
    cards = [json.loads(path.with_suffix(".json").read_text()) for path in (whole, cut)]
    assert cards[0]["last_loss"] == cards[1]["last_loss"]
    assert cards[0]["sha256"] == hashlib.sha256(whole.read_bytes()).hexdigest()


def test_a_checkpoint_of_another_base_is_not_gone_on_with(
    base: Classifier, pairs: Pairs, tmp_path: Path
) -> None:
    path = tmp_path / "net.safetensors"
    with pytest.raises(Interrupted):
        train_denoiser(base, pairs, RECIPE, path, FACTS, None, lambda: True)
    with pytest.raises(UsageError, match="to another training: base"):
        train_denoiser(victim(initial(Tiny, 9)), pairs, RECIPE, path, FACTS)


@pytest.fixture(scope="module")
def trained(base: Classifier, pairs: Pairs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "net.safetensors"
    facts = sources_said((FGSM(eps=0.2),), (base,))
    train_denoiser(base, pairs, RECIPE, path, facts)
    return path


@pytest.fixture
def written(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    for suffix in (".safetensors", ".json"):
        shutil.copy(trained.with_suffix(suffix), tmp_path)
    return tmp_path / trained.name


def test_the_victim_answers_as_its_parts(base: Classifier, written: Path, pairs: Pairs) -> None:
    net = defend(base, DenoiserConfig(name="denoiser", weights=written.name), written.parent)
    front, _ = load_denoiser(written, base)
    assert (net.labels, net.output, net.input_shape) == (base.labels, "logits", (1, 28, 28))
    assert net.digest != base.digest
    assert base.module is not None
    with Scorer(net, engine="torch", batch=20) as scorer, torch.no_grad():
        images = pairs.pictures[::10]
        x = torch.from_numpy(images.astype(np.float32) / 255)
        assert np.allclose(scorer.logits(images), base.module(front(x)), atol=1e-5)
        assert not np.allclose(scorer.logits(images), base.module(x), atol=1e-3)
        # white box, end to end
        found = FGSM(eps=0.1)(scorer, images, pairs.labels[pairs.index[::10]])
        assert not any("exactly zero" in note for note in found.notes)
    # the digest is of what it is, not of where it lies
    moved = written.parent / "elsewhere"
    moved.mkdir()
    for suffix in (".safetensors", ".json"):
        (moved / f"a{suffix}").write_bytes(written.with_suffix(suffix).read_bytes())
    again = defend(base, DenoiserConfig(name="denoiser", weights="a.safetensors"), moved)
    assert again.digest == net.digest
    assert VictimConfig.model_validate(
        {"base": "x", "defense": {"name": "denoiser", "weights": "a.safetensors"}}
    )


def _card(**changes: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        beside = path.with_suffix(".json")
        beside.write_text(json.dumps({**json.loads(beside.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.with_suffix(".json").unlink(), "has no card"),
        (lambda path: path.with_suffix(".json").write_text("{"), "not the card of a denoiser"),
        (lambda path: path.with_suffix(".json").write_text("[]"), "not the card of a denoiser"),
        (_card(kind="other"), "not the card of a denoiser"),
        (_card(input_shape=[1, 28]), "not the card of a denoiser"),
        (_card(width="2"), "not the card of a denoiser"),
        (_card(width=10**9), "not those that its card describes"),
        (_card(levels=5), "do not fit|levels"),
        (_card(levels=99), "levels must be 2 to 5"),
        (_card(input_shape=[1, 32, 32]), "trained on 1 x 32 x 32 .*takes 1 x 28 x 28"),
        (_card(base={"name": "b", "digest": "0" * 64}), "trained for b .*not for tiny"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\1"), "is not the file that"),
        (lambda path: path.write_bytes(b"cos\nsystem\n(S'true'\ntR."), "is not the file that"),
    ],
)
def test_files_that_are_refused(
    base: Classifier, written: Path, change: Callable[[Path], None], message: str
) -> None:
    change(written)
    with pytest.raises(UsageError, match=message):
        load_denoiser(written, base)


@pytest.mark.parametrize("content", [b"cos\nsystem\n(S'true'\ntR.", b"\xff" * 64, b""])
def test_no_safetensors_whatever_the_card_says(
    base: Classifier, written: Path, content: bytes
) -> None:
    written.write_bytes(content)
    _card(sha256=hashlib.sha256(content).hexdigest())(written)
    with pytest.raises(UsageError, match="cannot be read"):
        load_denoiser(written, base)
    pickled = written.with_suffix(".pth")
    pickled.write_bytes(content)
    with pytest.raises(UsageError, match=r"must end in \.safetensors"):
        load_denoiser(pickled, base)
