"""Ensembles in ``evofool transfer``, some of whose members are trained first."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from halves import load_halves

from evofool.classifiers import from_members, load_classifier
from evofool.errors import ConfigError, Interrupted
from evofool.evolution.outputs import read_table
from evofool.experiments.engine.life import Options, begin
from evofool.experiments.runs import resume, status, verify
from evofool.experiments.transfer.lines import result_lines
from evofool.experiments.transfer.matrix import Matrix
from evofool.experiments.transfer.plots import heat_map
from evofool.experiments.transfer.study import TransferStudy
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.nets import EnsembleNet, GivenNet
from evofool.experiments.works.trained import Trained
from evofool.files import read_file
from evofool.images import decode_png
from evofool.report.tables import Estimate
from evofool.report.theme import LIGHT
from evofool.scoring import Scorer
from evofool.store import CampaignFolder, Result
from evofool.store.experiment import ExperimentFolder
from evofool.training import loop

NETS = """
import torch
from torch import nn

from evofool.classifiers import Classifier, from_module


def net(name: str, seed: int) -> Classifier:
    generator = torch.Generator().manual_seed(seed)
    linear = nn.Linear(256, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(2, 256, generator=generator))
        linear.bias.zero_()
    return from_module(nn.Sequential(nn.Flatten(), linear), input_shape=(1, 16, 16), name=name,
                       labels=["right", "left"])


def slope() -> Classifier:
    return net("slope", 1)


def unseen() -> Classifier:
    return net("unseen", 2)


def cut() -> Classifier:
    return net("cut", 3)


def cats() -> Classifier:
    return from_module(nn.Sequential(nn.Flatten(), nn.Linear(256, 2)), input_shape=(1, 16, 16),
                       name="cats", labels=["cat", "dog"])
"""


@pytest.fixture(autouse=True, scope="module")
def halves() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "load_dataset", load_halves)
        patch.setattr("evofool.data.load.load_dataset", load_halves)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("together")
    (path / "nets.py").write_text(NETS)
    recipe = {"kind": "train", "name": "halves", "dataset": "mnist", "epochs": 2, "batch": 20}
    (path / "train.yaml").write_text(yaml.safe_dump(recipe))
    return path


def config(folder: Path, **sections: Any) -> dict[str, Any]:
    slope, halves = f"{folder / 'nets.py'}:slope", {"train": str(folder / "train.yaml")}
    return {
        "kind": "transfer",
        "sources": [slope, {"ensemble": [slope, {**halves, "epochs": 1}], "rule": "least"}],
        "targets": [slope, {**halves, "epochs": 1}, f"{folder / 'nets.py'}:unseen"],
        "evolution": {
            "encodings": ["direct"], "initial": 8, "children": 8, "generations": 4, "seeds": [1, 2],
        },
        "noise": 10,
        **sections,
    }  # fmt: skip


TOGETHER = "least of slope, halves"


@pytest.fixture(scope="module")
def finished(halves: None, folder: Path) -> Path:
    begin(TransferStudy, config(folder), folder / "run", command="evofool transfer toy.yaml")
    return folder / "run"


def matrix(given: dict[str, Any]) -> Matrix:
    return TransferStudy.make(TransferStudy.load(given)).matrix


def table(run: Path) -> list[dict[str, str]]:
    with (run / "transfer.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_member_is_trained_once_for_the_ensemble_and_the_matrix(finished: Path) -> None:
    assert status(finished)["status"] == "finished"
    with ExperimentFolder.open(finished) as run:
        kinds = [work.kind for work in run.works().values()]
    assert (kinds.count("trained"), kinds.count("campaign")) == (1, 2 * 2)
    assert all(check.ok for check in verify(finished))


def test_champions_are_as_sure_as_the_member_that_is_hardest_to_convince(
    folder: Path, finished: Path
) -> None:
    (weights,) = (finished / "nets").glob("*.safetensors")
    members = [load_classifier(f"{folder / 'nets.py'}:slope"), load_classifier(str(weights))]
    together = from_members(members, rule="least")
    campaigns = sorted((finished / "evolution").glob("least-of-*"))
    assert len(campaigns) == 2
    for campaign in campaigns:
        manifest = json.loads((campaign / "manifest.json").read_text())["classifier"]
        assert manifest["digest"] == together.digest
        with CampaignFolder.open(campaign) as run:
            rows = list(read_table(run).values())
        assert rows
        for row in rows:
            image = decode_png(read_file(campaign / row["png"]))[None]
            least = 1.0
            for net in members:
                with Scorer(net, engine="torch") as scorer:
                    own = scorer.score(image).confidence[0]
                least = min(least, float(own[net.labels.index(row["label"])]))
            assert row["confidence"] == pytest.approx(least, abs=1e-5)


MEMBERS = {(TOGETHER, "slope"), (TOGETHER, "halves")}


def pooled(run: Path, measure: str, cells: set[tuple[str, str]]) -> tuple[int, float]:
    these = [
        c for c in table(run) if c["measure"] == measure and (c["source"], c["target"]) in cells
    ]
    assert len(these) == len(cells)
    n = sum(int(c["n"]) for c in these)
    return n, sum(int(c["hits"]) for c in these) / n


def test_members_are_marked_and_pooled_apart(finished: Path) -> None:
    for cell in table(finished):
        expected = (cell["source"], cell["target"]) in MEMBERS
        assert cell["member"] == ("yes" if expected else "no"), cell
    told = json.loads((finished / "summary.json").read_text(encoding="utf-8"))
    assert told["unseen"] == ["unseen"]
    for method in told["methods"]:
        found = {
            "own": {("slope", "slope")},
            "member": MEMBERS,
            "other": {("slope", "halves"), ("slope", "unseen"), (TOGETHER, "unseen")},
        }
        for name, cells in found.items():
            n, rate = pooled(finished, method["measure"], cells)
            assert (method[name]["n"], method[name]["rate"]) == (n, rate)
        for source in ("slope", TOGETHER):
            n, rate = pooled(finished, method["measure"], {(source, "unseen")})
            assert method["unseen"][source]["rate"] == rate
            assert method["unseen"][source]["n"] == n == 2 * 2


def test_page_and_terminal_name_the_unseen_nets(finished: Path) -> None:
    page = (finished / "report" / "index.html").read_text(encoding="utf-8")
    for said in (
        f"share a net with {TOGETHER}: slope, halves",
        "shown to nets that no picture was made on: unseen",
        "On the nets that no picture was made on: ",
    ):
        assert said in page
    summary = json.loads((finished / "summary.json").read_text(encoding="utf-8"))
    lines = "\n".join(result_lines(Result(finished, summary), ()))
    for said in (
        "members of the ensemble",
        "nets that are no member",
        f"unseen nets, from {TOGETHER}",
    ):
        assert said in lines


def test_a_matrix_without_ensembles_has_no_members(folder: Path) -> None:
    nets = [f"{folder / 'nets.py'}:{name}" for name in ("slope", "unseen")]
    made = matrix(config(folder, sources=nets, targets=None))
    assert (made.in_common, made.unseen) == (frozenset(), ())


def test_given_members_are_recognised_by_their_digests(folder: Path) -> None:
    slope, unseen, cut = (f"{folder / 'nets.py'}:{name}" for name in ("slope", "unseen", "cut"))
    together = {"ensemble": [slope, unseen]}
    made = matrix(config(folder, sources=[slope, together], targets=[together, unseen, cut]))
    name = made.sources[1].name
    assert made.in_common == {("slope", name), (name, "unseen")}
    assert made.unseen == ("cut",)


def test_the_frame_of_a_member_is_drawn() -> None:
    shares = [[Estimate(0.5, 0.4, 0.6)] * 2]

    def drawn(**options: Any) -> Any:
        return decode_png(heat_map(["a", "b"], ["t"], shares, LIGHT, about="", **options))

    plain, framed = drawn(), drawn(framed={("b", "t")})
    changed = np.flatnonzero((plain != framed).any(axis=(0, 1)))
    assert changed.size
    half = plain.shape[-1] // 2  # of the two cells, which lie right of the name
    assert changed.min() > half


def test_the_address_is_that_of_members_and_rule(folder: Path) -> None:
    def campaign(**changes: Any) -> Campaign:
        given = config(folder)
        given["sources"][1] |= changes
        made = matrix(given)
        return made.campaigns["direct", made.sources[1].name, 1]

    slope, halves = f"{folder / 'nets.py'}:slope", {"train": str(folder / "train.yaml")}
    first = campaign()
    assert isinstance(first.net, EnsembleNet)
    assert [work.kind for work in first.needs] == ["trained"]
    given, trained = first.net.members
    assert isinstance(given, GivenNet)
    assert isinstance(trained, Trained)
    assert json.loads(first.definition)["fields"]["net"] == {
        "is": "EnsembleNet",
        "members": [{"is": "GivenNet", "digest": given.digest}, {"work": trained.address}],
        "rule": "least",
    }
    assert campaign().address == first.address
    others = [
        campaign(rule="mean"),
        campaign(ensemble=[slope, {**halves, "epochs": 2}]),
        campaign(ensemble=[slope, {**halves, "epochs": 1, "seed": 5}]),
        campaign(ensemble=[f"{folder / 'nets.py'}:unseen", {**halves, "epochs": 1}]),
    ]
    assert len({work.address for work in (first, *others)}) == 5


def test_an_ensemble_of_given_nets_keeps_the_address_that_it_had(folder: Path) -> None:
    given = {"ensemble": [f"{folder / 'nets.py'}:{name}" for name in ("slope", "unseen")]}
    made = matrix(config(folder, sources=[given]))
    (source,) = made.sources
    assert source.net == GivenNet(source.classifier.digest)
    assert not made.campaigns["direct", source.name, 1].needs


def test_what_was_stopped_goes_on_where_the_folder_was_moved(
    folder: Path, finished: Path, tmp_path: Path
) -> None:
    """The campaign's config names the trained member by a path that no longer exists."""
    stops = []

    def stop() -> bool:  # in the midst of the last campaign, which is one of the ensemble
        places = list((tmp_path / "run" / "evolution").glob("least-of-*-2/manifest.json"))
        stops.append(bool(places))
        return sum(stops) > 3

    with pytest.raises(Interrupted):
        begin(TransferStudy, config(folder), tmp_path / "run", options=Options(should_stop=stop))
    (tmp_path / "run").rename(tmp_path / "moved")
    resume(tmp_path / "moved")
    assert (tmp_path / "moved" / "transfer.csv").read_bytes() == (
        finished / "transfer.csv"
    ).read_bytes()
    assert all(check.ok for check in verify(tmp_path / "moved"))


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (["{nets}:slope", {"train": "train/mnist-bb"}], "sources[0].ensemble[1].train"),
        (["{nets}:slope", {"train": "{train}", "epochs": 0}], "epochs"),
        (["{nets}:none", {"train": "{train}"}], "sources[0].ensemble[0]"),
        ([{"train": "{train}"}, {"train": "{train}"}], "names one twice"),
        (
            ["{nets}:cats", {"train": "{train}"}],
            "sources[0]: classifier least of cats, halves: cats and",
        ),
        ([{"train": "{train}"}, {"ensemble": ["{nets}:slope"]}], "holds another ensemble"),
    ],
)
def test_bad_members_are_refused_at_their_place(
    folder: Path, members: list[Any], told: str
) -> None:
    text = json.dumps(members).replace("{nets}", str(folder / "nets.py"))
    whole = json.loads(text.replace("{train}", str(folder / "train.yaml")))
    with pytest.raises(ConfigError, match=re.escape(told)):
        matrix(config(folder, sources=[{"ensemble": whole}]))
