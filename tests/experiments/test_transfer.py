"""``evofool transfer`` end to end: one net in four shapes, so that what must come out is known."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from evofool.attacks import StepLL
from evofool.attacks.runs.statistics import wilson
from evofool.classifiers import load_classifier
from evofool.classifiers.pictures import fitted
from evofool.data import load_dataset
from evofool.errors import ConfigError, Interrupted
from evofool.experiments.engine import Scoring
from evofool.experiments.engine.life import Options, begin
from evofool.experiments.runs import kind_of, resume, status, verify
from evofool.experiments.sections import EncodingEntry, EvolutionBudget
from evofool.experiments.transfer.lines import plan_lines
from evofool.experiments.transfer.plots import shown, wrapped
from evofool.experiments.transfer.study import TransferStudy, plan
from evofool.experiments.transfer.works import ranks_of
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.nets import GivenNet
from evofool.images import encode_png, read_picture
from evofool.render.masks import Mask
from evofool.scoring import Scorer
from evofool.store.experiment import ExperimentFolder

NETS = """
import torch
from torch import nn

from evofool.classifiers import Classifier, from_module, from_predict, load_classifier

DIGITS = [str(k) for k in range(10)]


class Around(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.before, self.net, self.after = before, load_classifier("mnist-lenet").module, after

    def forward(self, images):
        return self.net(self.before(images))[:, self.after]


def turned() -> Classifier:
    net = Around(nn.Identity(), list(reversed(range(10))))
    return from_module(net, input_shape=(1, 28, 28), name="turned", labels=DIGITS[::-1])


def small() -> Classifier:
    net = Around(nn.Upsample(scale_factor=2), list(range(10)))
    return from_module(net, input_shape=(1, 14, 14), name="small", labels=DIGITS)


def black() -> Classifier:
    module = load_classifier("mnist-lenet").module

    def predict(images):
        with torch.no_grad():
            return torch.softmax(module(torch.from_numpy(images / 255.0).float()), 1).numpy()

    return from_predict(predict, input_shape=(1, 28, 28), name="black", labels=DIGITS)


def animals() -> Classifier:
    net = Around(nn.Identity(), list(range(3)))
    return from_module(net, input_shape=(1, 28, 28), name="animals", labels=["ape", "bat", "cat"])


def unnamed() -> Classifier:
    net = Around(nn.Identity(), list(range(9)))
    return from_module(net, input_shape=(1, 28, 28), name="unnamed")
"""
PICTURES = 40
LENET = "mnist-lenet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("transfer")
    (path / "nets.py").write_text(NETS)
    return path


def config(folder: Path, **sections: Any) -> dict[str, Any]:
    nets = folder / "nets.py"
    return {
        "kind": "transfer",
        "sources": [LENET, f"{nets}:black"],
        "targets": [LENET, f"{nets}:turned", f"{nets}:small"],
        "evolution": {
            "encodings": ["direct"], "initial": 30, "children": 30, "generations": 2,
            "seeds": [1, 2],
        },
        "noise": 20,
        "images": {"dataset": "mnist-sample", "limit": PICTURES},
        "attacks": [{"name": "step-ll", "eps": 0.3}, {"name": "r-step-ll", "eps": 0.3}],
        **sections,
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    begin(TransferStudy, config(folder), folder / "run", command="evofool transfer toy.yaml")
    return folder / "run"


def table(run: Path) -> dict[tuple[str, str, str, str], dict[str, str]]:
    with (run / "transfer.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["method"], row["measure"], row["source"], row["target"]): row
            for row in csv.DictReader(file)
        }


def hits(run: Path, *cell: str) -> tuple[int, int]:
    row = table(run)[cell]  # type: ignore[index]
    return int(row["hits"]), int(row["n"])


def test_it_leaves_what_people_look_for(finished: Path) -> None:
    assert kind_of(finished).name == "transfer"
    found = status(finished)
    # clean, attacks on the one white box, their cells, noise, campaigns, champions
    works = 3 + 2 + 2 * 3 + 3 + 2 * 2 + 2 * 2 * 3
    assert (found["status"], found["works"], found["finished"]) == ("finished", works, works)
    checks = list(verify(finished))
    assert all(check.ok for check in checks), checks
    assert sum("get the stored answers" in check.detail for check in checks) > 15
    latex = (finished / "report" / "transfer.tex").read_text()
    assert latex.count(r"\begin{tabular}") == 4 + 2 * 2
    page = (finished / "report" / "index.html").read_text(encoding="utf-8")
    for name in re.findall(r'(?:src|srcset|href)="([^"#]+)"', page):
        assert (finished / "report" / name).is_file(), name


def test_no_natural_picture_leaves_the_database(finished: Path) -> None:
    stored: dict[str, set[bytes | None]] = {"champion": set(), "answer": set()}
    with ExperimentFolder.open(finished) as run:
        for address in run.works():
            for kind, pngs in stored.items():
                pngs |= {run.png(address, kind, k) for k, _ in run.contents(address, kind)}
    assert len(stored["answer"]) == 2 * PICTURES
    shown = {file.read_bytes() for file in (finished / "report" / "champions").iterdir()}
    assert shown <= stored["champion"]
    size = load_classifier(LENET).input_shape[1:]
    for file in finished.rglob("*.png"):
        if file.parent.name != "champions" and "evolution" not in file.parts:
            assert read_picture(file).size != size, file


def test_a_cell_is_what_the_attack_gives_when_it_is_run_by_hand(finished: Path) -> None:
    data = load_dataset("mnist-sample", "test")
    images, labels = data.images[:PICTURES], data.labels[:PICTURES]
    net = load_classifier(LENET)
    assert net.module is not None
    with Scorer(net, batch=100) as scorer:
        made = StepLL(eps=0.3, seed=1)(scorer, images, labels).pixels
    with torch.no_grad():
        logits = net.module(torch.from_numpy(made / 255.0).float()).numpy()
    order = np.argsort(-logits, axis=1)
    top1 = int((order[:, 0] != labels).sum())
    top5 = int((order[:, :5] != labels[:, None]).all(axis=1).sum())
    assert 0 < top5 < top1
    for target in (LENET, "turned"):  # the same net under another order of its classes
        assert hits(finished, "step-ll eps 0.3", "top-1 error", LENET, target) == (top1, PICTURES)
        assert hits(finished, "step-ll eps 0.3", "top-5 error", LENET, target) == (top5, PICTURES)
    row = table(finished)["step-ll eps 0.3", "top-1 error", LENET, LENET]
    assert (float(row["low"]), float(row["high"])) == pytest.approx(wilson(top1, PICTURES))
    clean = hits(finished, "step-ll eps 0.3", "top-1 error", "clean", LENET)[0]
    assert clean < top1


def test_champions_are_what_their_own_campaign_says_and_keep_their_class(finished: Path) -> None:
    confidences = []
    with ExperimentFolder.open(finished) as run:
        for work in run.works().values():
            if work.kind == "campaign":
                rows = run.contents(work.address, "champion")
                confidences.append([json.loads(content)["confidence"] for _, content in rows])
    assert len(confidences) == 4
    for bar in (0.5, 0.9, 0.99):
        reached = [sum(c >= bar for c in one) for one in confidences]
        cells = [
            hits(finished, "direct", f"its class >= {bar:g}", source, LENET)
            for source in (LENET, "black")
        ]
        # the black box is the same net: its champions are the same pictures
        assert cells == [(sum(reached) // 2, 20)] * 2
        assert hits(finished, "direct", f"its class >= {bar:g}", LENET, "turned") == cells[0]
    assert 0 < hits(finished, "direct", "its class >= 0.5", LENET, LENET)[0] < 20
    assert hits(finished, "direct", "any class >= 0.5", "noise", LENET)[1] == 20


def test_what_needs_gradients_is_left_out_of_a_black_box_and_it_says_so(finished: Path) -> None:
    assert not [cell for cell in table(finished) if cell[0] != "direct" and "black" in cell[2]]
    told = json.loads((finished / "summary.json").read_text(encoding="utf-8"))
    notes = [
        f"{attack} on black is left out: it needs gradients, which the net does not give"
        for attack in ("step-ll eps 0.3", "r-step-ll eps 0.3")
    ]
    assert told["notes"] == notes
    page = (finished / "report" / "index.html").read_text(encoding="utf-8")
    assert all(note in page for note in notes)


@pytest.mark.parametrize("stops", [3, 15, 40])
def test_what_was_stopped_goes_on_to_the_same_table(
    folder: Path, finished: Path, tmp_path: Path, stops: int
) -> None:
    calls = iter(range(100_000))
    with pytest.raises(Interrupted):
        begin(
            TransferStudy,
            config(folder),
            tmp_path / "run",
            options=Options(should_stop=lambda: next(calls) >= stops),
        )
    resume(tmp_path / "run")
    assert (tmp_path / "run" / "transfer.csv").read_bytes() == (
        finished / "transfer.csv"
    ).read_bytes()


def test_another_run_takes_over_the_cells_that_it_shares(
    folder: Path, finished: Path, tmp_path: Path
) -> None:
    nets = folder / "nets.py"
    fewer = config(folder, sources=[LENET], targets=[LENET, f"{nets}:turned"])
    begin(TransferStudy, fewer, tmp_path / "run", options=Options(reuse=(finished,)))
    for cell, row in table(tmp_path / "run").items():
        assert row == table(finished)[cell]


def test_evolution_for_some_classes_only(folder: Path, finished: Path, tmp_path: Path) -> None:
    nets = folder / "nets.py"
    sections = config(folder, images=None, attacks=[], sources=[LENET],
                      targets=[LENET, f"{nets}:turned"])  # fmt: skip
    sections["evolution"] |= {"classes": ["8-9", 3], "seeds": [1]}
    begin(TransferStudy, sections, tmp_path / "run")
    assert hits(tmp_path / "run", "direct", "its class >= 0.5", LENET, LENET)[1] == 3
    with ExperimentFolder.open(tmp_path / "run") as run:
        (campaign,) = [work for work in run.works().values() if work.kind == "campaign"]
        assert [item for item, _ in run.contents(campaign.address, "champion")] == [3, 8, 9]
        shown = [work for work in run.works().values() if work.kind == "champions-shown"]
        aims = [
            [json.loads(content)["aim"] for _, content in run.contents(work.address, "aim")]
            for work in shown
        ]
    # another order of the classes, not of what they are
    assert sorted(aims) == [[3, 8, 9], [6, 1, 0]]
    assert all(check.ok for check in verify(tmp_path / "run"))
    names = {path.name for path in (tmp_path / "run" / "report" / "champions").iterdir()}
    assert names == {f"mnist-lenet-direct-{k:04d}.png" for k in (3, 8, 9)}


def test_evolution_on_a_part_of_a_picture(folder: Path, tmp_path: Path) -> None:
    disc = {"shape": "disc", "size": 0.6}
    sticker = {"name": "masked", "called": "sticker", "inner": "direct", "mask": disc}
    evolution = {"encodings": [sticker], "initial": 20, "children": 20, "generations": 1}
    nets = {"sources": [LENET], "targets": [f"{folder / 'nets.py'}:small"]}
    wanted = config(folder, evolution={**evolution, "seeds": [1]}, attacks=[], noise=5, **nets)
    begin(TransferStudy, {**wanted, "images": None}, tmp_path / "run")
    assert any("sticker" in cell[0] for cell in table(tmp_path / "run"))
    files = sorted((tmp_path / "run" / "evolution").rglob("images/*.png"))
    outside = ~Mask.model_validate(disc).raster((28, 28))
    pictures = np.stack([np.asarray(read_picture(file)) for file in files])
    assert (pictures[:, outside] == 128).all()


def test_an_encoding_with_options_has_an_address_without_paths(
    folder: Path, tmp_path: Path
) -> None:
    """And none of its own where it has no options: addresses stay as they were."""
    addresses = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "street.png").write_bytes(encode_png(np.zeros((1, 28, 28), np.uint8)))
        entry = EncodingEntry.model_validate(
            {"name": "masked", "inner": "direct", "mask": {"shape": "disc"},
             "background": {"picture": str(tmp_path / name / "street.png")}}
        )  # fmt: skip
        net = GivenNet("ab" * 32)
        campaign = Campaign.of(net, entry, EvolutionBudget(), 10, Scoring(100, "cpu"), 1)
        addresses.append(campaign.address)
        assert campaign.config({})["encoding"] == {"name": "masked", **entry.options}
    assert addresses[0] == addresses[1]
    plain = Campaign.of(
        net, EncodingEntry.model_validate("direct"), EvolutionBudget(), 10, Scoring(100, "cpu"), 1
    )
    assert type(plain) is Campaign


def test_all_classes_in_a_list_are_the_campaign_of_all_classes(folder: Path) -> None:
    def addresses(classes: Any) -> set[str]:
        sections = config(folder)
        sections["evolution"] |= {"classes": classes}
        planned = TransferStudy.make(TransferStudy.load(sections)).matrix.planned()
        return {one.work.address for one in planned}

    assert addresses("all") == addresses(list(range(10)))
    assert addresses("all") != addresses(["0-8"])


def test_a_net_and_the_same_under_transforms_have_names_of_their_own(folder: Path) -> None:
    seen = {"name": LENET, "transforms": {"k": 2, "brightness": 0.1}}
    matrix = TransferStudy.make(TransferStudy.load(config(folder, targets=[LENET, seen]))).matrix
    assert [net.name for net in matrix.targets] == [LENET, f"{LENET} under 2 transforms"]


def test_a_dry_run_counts_the_works_and_says_what_is_left_out(folder: Path) -> None:
    lines = plan_lines(plan(TransferStudy.load(config(folder))))
    assert lines[-1] == "# ready"
    assert lines[-3].startswith("# 30 works: 9 ranked, 2 attacked, 3 noise, 4 campaign")
    assert sum("is left out: it needs gradients" in line for line in lines) == 2


def test_a_dry_run_says_what_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOFOOL_DATA", str(tmp_path))
    sections = config(folder, sources=[{"train": "train/mnist-b"}], images={"dataset": "mnist"})
    lines = plan_lines(plan(TransferStudy.load(sections)))
    assert any(line.startswith("# not ready: data set mnist: not found") for line in lines)
    assert lines[-1].startswith("# nets of the matrix: 4")


def message(folder: Path, **sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        TransferStudy.make(TransferStudy.load(config(folder, **sections)))
    return str(caught.value)


def test_nets_without_common_classes_are_refused_by_both_their_names(folder: Path) -> None:
    nets = folder / "nets.py"
    told = message(folder, sources=["fashion-lenet"], targets=[LENET])
    assert "targets[0]: fashion-lenet and mnist-lenet share no classes ('T-shirt/" in told
    told = message(folder, sources=[LENET], targets=[LENET, f"{nets}:animals"])
    assert "targets[1]: mnist-lenet and animals share no classes" in told
    told = message(folder, sources=[LENET], targets=[f"{nets}:unnamed"])
    assert "mnist-lenet and unnamed share 9 of 10 classes only" in told


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"evolution": None, "attacks": [], "images": None}, "nothing to show"),
        ({"images": None}, "attacks without images"),
        ({"attacks": []}, "images without attacks"),
        ({"images": {"noise": "uniform"}}, "their own labels"),
        ({"attacks": [{"name": "step-ll", "targets": "random"}]}, "remove targets"),
        ({"attacks": ["step-l"]}, "attacks[0]: no attack is called 'step-l'"),
        ({"attacks": ["ascent"]}, "attacks[0]: "),
        ({"attacks": ["fgsm", "fgsm"]}, "attacks[1]: fgsm occurs twice"),
        ({"sources": [LENET, LENET]}, "names one twice"),
        ({"sources": [{"train": "train/mnist-bb"}]}, "sources[0].train"),
        ({"sources": [{"train": "train/mnist-b", "epochs": 0}]}, "epochs"),
        ({"sources": ["mnist-lenett"]}, "sources[0]"),
        ({"evolution": {"encodings": ["direkt"]}}, "evolution.encodings[0]"),
        ({"evolution": {"classes": [3, "ten"]}}, "evolution.classes[1]: "),
        ({"images": {"dataset": "cifar"}}, "images.dataset"),
    ],
)
def test_bad_configs_are_refused_at_their_place(
    folder: Path, sections: dict[str, Any], told: str
) -> None:
    assert told in message(folder, **sections)


def test_pictures_of_another_size_cover_the_input() -> None:
    images = np.zeros((1, 1, 28, 28), np.uint8)
    images[..., 14:] = 255
    (small,) = fitted(images, (3, 14, 14))
    assert small.shape == (3, 14, 14)
    assert small[:, :, :6].max() == 0
    assert small[:, :, 8:].min() == 255
    assert fitted(images, (1, 28, 28)) is images


def test_ranks_count_the_classes_before_a_picture_s_own() -> None:
    odds = np.array([[0.0, 2.0, 1.0], [1.0, 1.0, 1.0], [np.nan] * 3, [-np.inf, np.inf, 0.0]])
    ranks = [ranks_of(odds, np.full(4, k)).tolist() for k in range(3)]
    assert ranks == [[2, 0, 3, 2], [0, 1, 3, 0], [1, 2, 3, 1]]


def test_numbers_and_names_fit_their_cells() -> None:
    values = (0, 0.0004, 0.0031, 0.5, 0.996, 0.9996, 1)
    assert [shown(v) for v in values] == ["0", "<0.1", "0.3", "50", "99.6", ">99.9", "100"]
    assert wrapped("imagenet-efficientnet-lite0") == "imagenet-\nefficientnet-\nlite0"
    assert all(len(line) <= 14 for line in wrapped("x" * 90).split("\n"))


def test_the_config_in_the_run_folder_is_whole(finished: Path) -> None:
    written = yaml.safe_load((finished / "config.yaml").read_text())
    assert TransferStudy.load(written).config.noise == 20
