"""The rows of the threat matrix, against errors counted by hand on tiny victims."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from evofool.attacks import Square
from evofool.classifiers import Classifier, from_module, load_classifier
from evofool.data import DataSets, load_dataset
from evofool.defenses.victims import MaxSoftmaxConfig, defend
from evofool.errors import ConfigError
from evofool.experiments.defend.config import DefendConfig
from evofool.experiments.defend.matrix import Matrix, named_sources
from evofool.experiments.defend.setup import load_pictures
from evofool.experiments.defend.study import DefendStudy
from evofool.experiments.engine import Plan, Planned, run_plan
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.progress import Meter
from evofool.experiments.works.answers import AnswerRow
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.substitute import TaughtRow
from evofool.scoring import Scorer
from evofool.store.experiment import ExperimentFolder

BLACK, QUERIES = 3, 80
CONFIG = DefendConfig.model_validate(
    {
        "base": "mnist-lenet",
        "defense": "none",
        "data": {"dataset": "mnist-sample"},
        "threats": {
            "eps": 20 / 255, "step_size": 5 / 255, "steps": 8, "restarts": 2,
            "black_images": BLACK, "square_queries": QUERIES, "substitute_initial": 4,
            "substitute_rounds": 2,
        },
    }
)  # fmt: skip
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


@dataclass(frozen=True)
class Ground:
    """What a matrix is measured on."""

    pictures: Pictures
    start: Pictures
    sources: tuple[Classifier, ...]


@pytest.fixture(scope="module")
def ground() -> Ground:
    rng = np.random.default_rng(1)
    images = np.stack([np.full((1, 6, 6), mean, np.uint8) for mean in MEANS])
    start = rng.integers(60, 200, (4, 1, 6, 6), dtype=np.uint8)
    other = victim(Bright(-1.0), name="other", digest="1" * 64)
    return Ground(
        Pictures.of(images, np.array(LABELS, np.int64)),
        Pictures.of(start, np.full(4, -1, np.int64)),
        (other,),
    )


@dataclass(frozen=True)
class Line:
    """A row of the matrix, one letter a picture: right, wrong or rejected."""

    group: str
    outcomes: str
    queries: int
    backward_images: int
    labels_asked: int = field(default=0)

    @property
    def n(self) -> int:
        return len(self.outcomes)


@pytest.fixture
def matrix(tmp_path: Path) -> object:
    def made(net: Classifier, ground: Ground) -> dict[str, Line]:
        scoring = Scoring(4, "cpu")
        rows = Matrix(
            CONFIG, ground.pictures, ground.start, named_sources(ground.sources), scoring, 2
        )
        given = GivenNet.of(net, {"name": net.name})
        judged = rows.judged("defended", given, net.digest)
        plan = Plan([Planned(threat.name, threat.work) for threat in judged.threats])
        lines = {}
        manifest = {"kind": "defend", "run_id": "r", "seed": 1}
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        with ExperimentFolder.create(folder, {**manifest, **_victim(net)}, "") as run:
            results = run_plan(plan, run, Meter(None, None, 0.0))
            for threat in judged.threats:
                answers = results.rows(threat.work, AnswerRow)
                assert all((row.png is None) == (threat.group in ("clean", "transfer"))
                           for row in results.with_pictures(threat.work, AnswerRow))  # fmt: skip
                outcomes = "".join(
                    "x" if row.is_error else "r" if row.rejected else "." for row in answers
                )
                cost = results.cost(threat.work)
                taught = results.rows(threat.work, TaughtRow)
                lines[threat.name] = Line(
                    threat.group, outcomes, cost.queries, cost.backward_images,
                    taught[0].labels if taught else 0,
                )  # fmt: skip
        return lines

    return made


def _victim(net: Classifier) -> dict[str, object]:
    shape = list(net.input_shape)
    return {
        "classifier": {
            "name": net.name, "digest": net.digest, "input_shape": shape,
            "labels": list(net.labels),
        }
    }  # fmt: skip


def test_errors_are_those_that_eps_allows(ground: Ground, matrix: Any) -> None:
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
    assert (rows["FGSM"].n, rows["FGSM"].outcomes.count("x")) == (6, 4)


def test_black_rows_find_no_more_than_eps_allows(ground: Ground, matrix: Any) -> None:
    rows = matrix(victim(Bright()), ground)
    square = rows["Square"]
    assert square.n == BLACK
    assert square.outcomes[2] == "."
    assert square.outcomes[0] == "x"  # 3 levels away
    assert square.backward_images == 0
    assert square.queries <= 3 * (QUERIES + 2)
    taught = rows["substitute, FGSM"]
    assert taught.backward_images == 0
    assert taught.outcomes[2] == taught.outcomes[4] == "."
    assert taught.outcomes[5] == "x"
    # 4 pictures, at most 4 more in the second round, and the judging of 6
    assert 4 + 6 <= taught.queries <= 8 + 6
    # what is done to the substitute itself is nobody's query
    assert taught.labels_asked == taught.queries - 6


def test_what_is_rejected_is_no_error(ground: Ground, matrix: Any) -> None:
    rows = matrix(victim(Unsure(), reject=2), ground)
    clean = rows["no attack"]
    assert clean.outcomes == "rr.r.x"
    # eps reaches 110, beyond the rejection; 120 and 140, which are within; 130, and 120 again
    adaptive = rows["adaptive PGD-8"].outcomes
    assert adaptive[0] == adaptive[5] == "x"
    assert adaptive[1] == adaptive[3] == "r"
    assert "x" not in (adaptive[2], adaptive[4])


def test_white_rows_count_gradients_and_a_net_is_no_source_to_itself(
    ground: Ground, matrix: Any
) -> None:
    net = victim(Bright(), digest="1" * 64)  # that of the source
    rows = matrix(net, ground)
    assert not any("other" in name for name in rows)
    assert rows["FGSM"].backward_images == 6
    assert rows["no attack"].queries == 6
    assert [row.group for row in rows.values()] == [
        "clean", "white", "white", "white", "adaptive", "black", "black",
    ]  # fmt: skip


def test_a_matrix_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from evofool.experiments.defend import setup

    whole = load_dataset("mnist-sample")
    none = dataclasses.replace(whole, images=whole.images[:0], labels=whole.labels[:0])
    loaded = DefendStudy.load(CONFIG)
    monkeypatch.setattr(setup, "load_split", lambda *_: none)
    with pytest.raises(ConfigError, match=r"at least one image|none is left"):
        load_pictures(loaded, load_classifier("mnist-lenet"), DataSets())


def test_rows_name_files_by_their_last_part() -> None:
    def called(*names: str) -> list[str]:
        nets = tuple(victim(Bright(), name=name) for name in names)
        return [source.called for source in named_sources(nets)]

    assert called("a", "/x/b.safetensors") == ["a", "b.safetensors"]
    assert called("/x/b.safetensors", "/y/b.safetensors")[1] == "/y/b.safetensors"


def test_transferred_pictures_make_all_steps(ground: Ground, matrix: Any) -> None:
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
