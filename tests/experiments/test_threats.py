"""The rows of the threat matrix, against errors counted by hand on tiny victims."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from evofool.attacks import Square
from evofool.classifiers import Classifier, from_module, load_classifier
from evofool.data import load_dataset
from evofool.defenses.victims import MaxSoftmaxConfig, defend
from evofool.errors import UsageError
from evofool.experiments.threats import Ground, Strength, threats
from evofool.scoring import Scorer
from evofool.store import ThreatRow

EPS = 20 / 255
STRENGTH = Strength(
    eps=EPS,
    step_size=5 / 255,
    steps=8,
    restarts=2,
    black_images=3,
    square_queries=80,
    substitute_initial=4,
    substitute_rounds=2,
)
MEANS = (130, 140, 150, 120, 100, 160)
"""Levels that the pictures are full of; the net calls those above 127.5 class 1, else 0."""
LABELS = (1, 1, 1, 0, 0, 0)
"""The last is wrong from the start."""


class Bright(nn.Module):
    """Class 1 where the mean is above .5: an attack moves the mean by eps at most."""

    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        lead = 20 * (images.flatten(1).mean(1) - 0.5) * self.sign
        return torch.stack([-lead, lead], 1)


class Unsure(nn.Module):
    """The same with a third class, "no answer", within 15 levels of the border."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = Bright()(images)
        reject = torch.full((len(outputs), 1), 20 * 15 / 255)
        return torch.cat([outputs, reject], 1)


def victim(module: nn.Module, **changes: object) -> Classifier:
    labels = ("dark", "bright", "rejected")[: 3 if isinstance(module, Unsure) else 2]
    made = from_module(module, input_shape=(1, 6, 6), name=type(module).__name__, labels=labels)
    return dataclasses.replace(made, **changes)


@pytest.fixture(scope="module")
def ground() -> Ground:
    rng = np.random.default_rng(1)
    images = np.stack([np.full((1, 6, 6), mean, np.uint8) for mean in MEANS])
    start = rng.integers(60, 200, (4, 1, 6, 6), dtype=np.uint8)
    other = victim(Bright(-1.0), name="other", digest="1" * 64)
    return Ground(images, np.array(LABELS, np.int64), start, (other,))


def matrix(net: Classifier, ground: Ground) -> dict[str, ThreatRow]:
    def make(classifier: Classifier) -> Scorer:
        return Scorer(classifier, engine="torch", batch=4, workers=1)

    return {each.name: each.run() for each in threats("defended", net, ground, STRENGTH, make)}


def test_errors_are_those_that_eps_allows(ground: Ground) -> None:
    rows = matrix(victim(Bright(), digest="0" * 64), ground)
    # by hand: eps of 20 levels takes 130, 140 and 120 across 127.5, and not 150 and 100
    assert rows["no attack"].outcomes == ".....x"
    assert rows["FGSM"].outcomes == "xx.x.x"
    assert rows["PGD-8"].outcomes == "xx.x.x"
    assert rows["adaptive PGD-8"].outcomes == "xx.x.x"
    # half of R+FGSM's eps is spent on noise of mean about 0: 130 and 120 are within the other
    assert rows["R+FGSM"].outcomes == "x..x.x"
    # the other net's gradient points away from the border
    assert rows["FGSM from other"].outcomes == ".....x"
    assert rows["PGD-8 from other"].outcomes == ".....x"
    assert rows["FGSM"].rate == pytest.approx(4 / 6)
    assert rows["FGSM"].rate_of_first(3) == pytest.approx(2 / 3)
    assert (rows["FGSM"].n, rows["FGSM"].errors, rows["FGSM"].rejected) == (6, 4, 0)


def test_black_rows_find_no_more_than_eps_allows(ground: Ground) -> None:
    rows = matrix(victim(Bright()), ground)
    square = rows["Square"]
    assert square.n == STRENGTH.black_images
    assert square.outcomes[2] == "."
    assert square.outcomes[0] == "x"  # 3 levels away
    assert square.backward_images == 0
    assert square.queries <= 3 * (STRENGTH.square_queries + 2)
    taught = rows["substitute"]
    assert taught.backward_images == 0
    assert taught.outcomes[2] == taught.outcomes[4] == "."
    assert taught.outcomes[5] == "x"
    # 4 pictures, at most 4 more in the second round, and the judging of 6
    assert 4 + 6 <= taught.queries <= 8 + 6
    assert "rounds" in taught.detail


def test_what_is_rejected_is_no_error(ground: Ground) -> None:
    rows = matrix(victim(Unsure(), reject=2), ground)
    clean = rows["no attack"]
    assert clean.outcomes == "rr.r.x"
    assert (clean.errors, clean.rejected) == (1, 3)
    # eps reaches 110, beyond the rejection; 120 and 140, which are within; 130, and 120 again
    adaptive = rows["adaptive PGD-8"].outcomes
    assert adaptive[0] == adaptive[5] == "x"
    assert adaptive[1] == adaptive[3] == "r"
    assert "x" not in (adaptive[2], adaptive[4])


def test_white_rows_count_gradients_and_a_net_is_no_source_to_itself(ground: Ground) -> None:
    net = victim(Bright(), digest="1" * 64)  # that of the source
    rows = matrix(net, ground)
    assert not any("other" in name for name in rows)
    assert rows["FGSM"].backward_images == 6
    assert rows["no attack"].queries == 6
    assert all(row.net == "defended" for row in rows.values())
    assert [row.group for row in rows.values()] == [
        "clean", "white", "white", "white", "adaptive", "black", "black",
    ]  # fmt: skip


def test_a_matrix_of_nothing_is_refused(ground: Ground) -> None:
    with pytest.raises(UsageError, match="at least one image"):
        Ground(ground.images[:0], ground.labels[:0], ground.start, ())


def test_rows_name_files_by_their_last_part(ground: Ground) -> None:
    def called(*names: str) -> list[str]:
        nets = tuple(victim(Bright(), name=name) for name in names)
        found = dataclasses.replace(ground, sources=nets)
        return [found.called(net) for net in nets]

    assert called("a", "/x/b.safetensors") == ["a", "b.safetensors"]
    assert called("/x/b.safetensors", "/y/b.safetensors")[1] == "/y/b.safetensors"


def test_transferred_pictures_make_all_steps(ground: Ground) -> None:
    """A source that is fooled by the first step is climbed on all the same: eps is spent."""
    wide = victim(Bright(), name="wide", digest="3" * 64)
    rows = matrix(victim(Unsure(), reject=2), dataclasses.replace(ground, sources=(wide,)))
    # 3 levels of 20 cross the source's border; 130 - 20 is beyond the 15 of the rejection
    assert rows["PGD-8 from wide"].outcomes == rows["FGSM from wide"].outcomes
    assert rows["PGD-8 from wide"].outcomes[0] == "x"


def test_square_does_not_run_into_the_rejection() -> None:
    """A detector stands between the classes: an attack that took it for a goal would stay there."""
    sample = load_dataset("mnist-sample")
    base = load_classifier("mnist-lenet")
    net = defend(base, MaxSoftmaxConfig(name="max-softmax", threshold=1.0))
    with Scorer(net, engine="torch", batch=50) as scorer:
        result = Square(eps=0.3, queries=200)(scorer, sample.images[::10], sample.labels[::10])
    assert result.success.mean() >= 0.3
    assert not (result.predicted[result.success] == net.reject).any()
