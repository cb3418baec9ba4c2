"""``kind: search`` end to end on a tiny net; evaluations and ratios held to counting by hand."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evofool.classifiers import load_classifier
from evofool.config import load_campaign
from evofool.errors import ConfigError
from evofool.evolution.campaign import evolve
from evofool.experiments.curves import Curve
from evofool.experiments.engine.life import begin
from evofool.experiments.runs import verify
from evofool.experiments.search.classes import classes, leads
from evofool.experiments.search.config import Variant
from evofool.experiments.search.searched import Searched
from evofool.experiments.search.study import SearchStudy
from evofool.experiments.search.summary import Outcome, distances, elsewhere, fewer
from evofool.experiments.transfer.works import AimRow
from evofool.experiments.works.nearest import NearRow
from evofool.images import decode_png, encode_png
from evofool.scoring import Scorer

NET = """
import numpy as np
from evofool.classifiers import Classifier, from_predict


def tiny() -> Classifier:
    weights = np.stack([np.sin((3 * c + 1) * np.arange(64)) for c in range(4)])

    def predict(images):
        return images.reshape(len(images), -1) / 255.0 @ weights.T

    labels = ["ape", "bat", "<b>cat", "dog"]
    return from_predict(
        predict, input_shape=(1, 8, 8), output="logits", name="tiny", labels=labels
    )
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("search") / "net.py"
    path.write_text(NET)
    return f"{path}:tiny"


def config(net: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": "search",
        "victims": [net],
        "variants": [
            {"encoding": {"name": "cppn", "preset": "released"},
             "evolution": {"fitness": "probability"}},
            "direct",
            {"name": "gentle layers", "encoding": {"name": "layers", "gene_rate": 0.02},
             "evaluations": 60},
        ],
        "evaluations": 40,
        "initial": 10,
        "children": 10,
        "seeds": [1, 2],
        "medians": [0.3, 0.9999999],
        "scoring": {"batch": 10, "workers": 1},
        **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(net: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "search"
    begin(SearchStudy, config(net), path)
    return path


def test_every_variant_is_a_campaign_with_its_own_settings(run: Path, net: str) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (told,) = summary["nets"]
    assert [v["variant"] for v in told["variants"]] == ["cppn released", "direct", "gentle layers"]
    assert [v["evaluations"] for v in told["variants"]] == [40, 40, 60]
    folders = sorted(path.name for path in (run / "evolution").iterdir())
    assert len(folders) == 6
    (gentle,) = (run / "evolution").glob("*gentle-layers-2")
    resolved = load_campaign(gentle / "config.yaml").config
    assert resolved.encoding.options["gene_rate"] == 0.02
    assert resolved.seed == 2
    # the same as the campaign by itself
    alone = {
        "classifier": net,
        "encoding": {"name": "cppn", "preset": "released"},
        "evolution": {"initial": 10, "children": 10, "fitness": "probability"},
        "stop": {"generations": 3},
        "scoring": {"batch": 10, "workers": 1},
        "seed": 1,
    }
    median = evolve(alone, run.parent / "alone").summary["confidence"]["median"]
    assert told["variants"][0]["of_seeds"][0] == pytest.approx(median)


def elites(run: Path, variant: str, seed: int) -> list[dict[str, str]]:
    """The rows of a campaign's own table."""
    (folder,) = (run / "evolution").glob(f"*{variant.replace(' ', '-')}-{seed}")
    return list(csv.DictReader((folder / "elites.csv").open()))


def test_its_tables_are_about_the_same_numbers(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    curves = list(csv.DictReader((run / "curves.csv").open()))
    rows = list(csv.DictReader((run / "search.csv").open()))
    assert len(rows) == 3 * 2
    for variant in summary["nets"][0]["variants"]:
        own = [row for row in curves if row["variant"] == variant["variant"]]
        assert int(own[-1]["evaluations"]) == variant["evaluations"]
        assert float(own[-1]["median_confidence"]) == pytest.approx(variant["median_confidence"])
    never = [row for row in rows if row["to_median"] == "0.9999999"]
    assert all(row["needed"] == "" and row["ratio"] == "" for row in never)
    classes = list(csv.DictReader((run / "classes.csv").open()))
    assert len(classes) == 3 * 4
    sure = {(row["variant"], row["class"]): float(row["confidence"]) for row in classes}
    for variant in summary["nets"][0]["variants"]:
        each = [
            float(row["confidence"])
            for seed in (1, 2)
            for row in elites(run, variant["variant"], seed)
            if row["class_index"] == "2"
        ]
        assert sure[variant["variant"], "2"] == pytest.approx(np.median(each))
    page = (run / "report" / "index.html").read_text()
    assert "Who wins which classes?" in page
    assert "<b>cat" not in page
    assert "gentle layers" in page


SISTER = NET.replace("(3 * c + 1)", "(3 * c + 1.2)").replace("tiny", "sister")


@pytest.fixture(scope="module")
def seen(net: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose surest pictures are shown to a sister and held against natural ones."""
    folder = tmp_path_factory.mktemp("seen")
    (folder / "sister.py").write_text(SISTER)
    pictures = folder / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(5)
    for k in range(6):
        (pictures / f"{k}.png").write_bytes(encode_png(rng.integers(0, 255, (1, 8, 8), np.uint8)))
    more = {
        "shown_to": [f"{folder}/sister.py:sister"],
        "surest": 3,
        "images": {"folder": str(pictures)},
    }
    begin(SearchStudy, config(net, **more), folder / "run")
    return folder


def test_other_nets_and_natural_pictures_are_asked(seen: Path, net: str) -> None:
    """Both held to showing the pictures of one campaign by hand."""
    summary = json.loads((seen / "run" / "summary.json").read_text())
    (told,) = summary["nets"]
    cppn = told["variants"][0]
    (name,) = cppn["shown_to"]
    assert cppn["shown_to"][name]["pictures"] == 3
    sister = load_classifier(f"{seen}/sister.py:sister")
    natural = np.stack([decode_png(p.read_bytes()) for p in sorted(seen.glob("pictures/*.png"))])
    shares, far = [], []
    for seed in (1, 2):
        best = elites(seen / "run", "cppn released", seed)
        best.sort(key=lambda row: (-float(row["confidence"]), int(row["class_index"])))
        (folder,) = (seen / "run" / "evolution").glob(f"*cppn-released-{seed}")
        files = [folder / "images" / f"{int(row['class_index']):04d}.png" for row in best[:3]]
        images = np.stack([decode_png(file.read_bytes()) for file in files])
        with Scorer(sister) as scorer:
            labels = scorer.labels(images)
        wanted = [int(row["class_index"]) for row in best[:3]]
        shares.append(np.mean([a == b for a, b in zip(labels, wanted, strict=True)]))
        away = images[:, None].astype(float) - natural[None]
        far.append(np.median(np.sqrt((away**2).mean((2, 3, 4))).min(1)))
    assert cppn["shown_to"][name]["its_class"] == pytest.approx(np.median(shares))
    assert cppn["nearest"]["rms"] == pytest.approx(np.median(far))
    page = (seen / "run" / "report" / "index.html").read_text()
    assert "Do the pictures look like their classes?" in page
    assert [check for check in verify(seen / "run") if check.ok is False] == []


def test_it_verifies_and_is_resumed_to_nothing(run: Path) -> None:
    checks = list(verify(run))
    assert all(check.ok is not False for check in checks), [c for c in checks if c.ok is False]


def test_another_seed_adds_only_its_own_campaigns(run: Path, net: str, tmp_path: Path) -> None:
    begin(SearchStudy, config(net, seeds=[1, 2, 3]), tmp_path / "more", reuse=(run,))
    with closing(sqlite3.connect(tmp_path / "more" / "run.sqlite")) as connection:
        origins = [origin for (origin,) in connection.execute("select origin from works")]
    assert len(origins) == 9
    assert origins.count("") == 3


def outcome(name: str, *seeds: list[float]) -> Outcome:
    evaluations = np.arange(1, len(seeds[0]) + 1) * 100
    curve = Curve(name, "net", tuple(range(len(seeds))), evaluations, np.array(seeds))
    variant = Variant.model_validate({"name": name, "encoding": "cppn"})
    searched = Searched("net", None, variant, {})  # type: ignore[arg-type]
    return Outcome(searched, curve, [], [])


def test_how_many_times_fewer() -> None:
    slow = outcome("slow", [0.1, 0.2, 0.3, 0.4], [0.0, 0.1, 0.2, 0.3], [0.1, 0.1, 0.3, 0.3])
    fast = outcome("fast", [0.2, 0.4, 0.5, 0.6], [0.2, 0.4, 0.5, 0.6], [0.1, 0.4, 0.5, 0.6])
    assert slow.needed(0.2) == [200, 300, 300]
    assert fast.needed(0.2) == [100, 100, 200]
    told = fewer(slow, fast, 0.2)
    assert told["ratio"] == 3.0
    assert not told["at_least"]
    assert told["low"] >= 1.0
    assert told["high"] == 3.0
    assert fewer(slow, slow, 0.2)["ratio"] == 1.0
    beyond = fewer(slow, fast, 0.4)  # one seed of the slow one got there, at the end
    assert beyond["at_least"]
    assert beyond["ratio"] == 400 / 200
    assert fewer(fast, slow, 0.6)["ratio"] is None
    assert fewer(outcome("a", [0.1, 0.5]), outcome("b", [0.5, 0.6]), 0.5)["low"] is None


def test_the_area_is_the_mean_median_over_the_evaluations() -> None:
    assert outcome("a", [0.1, 0.2, 0.3, 0.4]).area == pytest.approx([0.25])
    assert outcome("a", [0.7]).area == pytest.approx([0.7])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variants": ["cppn", "cppn"]}, "two are called cppn"),
        ({"baseline": "fast"}, "no variant is called fast"),
        ({"variants": [{"encoding": "cppn", "evolution": {"children": 5}}]}, "same for all"),
        (
            {"variants": [{"encoding": "cppn", "evolution": {"lag": 3}}]},
            r"variants\[0\].evolution.*lag",
        ),
        (
            {"variants": [{"encoding": "cppn", "evolution": {"leg": 1}}]},
            r"variants\[0\].evolution.*leg",
        ),
        ({"variants": [{"encoding": {"name": "layers", "most": 99}}]}, "most"),
        ({"variants": ["leyers"]}, "leyers"),
        ({"medians": [0.0]}, "medians"),
        ({"seeds": [1, 1]}, "twice"),
        ({"images": {"noise": "uniform"}}, "not a natural picture"),
        ({"images": {"folder": "nowhere"}}, "no such folder"),
        ({"shown_to": ["nowhere.py:net"]}, "nowhere"),
        ({"shown_to": ["mnist-lenet"]}, r"shown_to\[0\].*mnist-lenet would be shown nothing"),
    ],
)
def test_bad_input(net: str, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        begin(SearchStudy, config(net, **change), tmp_path / "run")


def test_a_net_is_not_shown_its_own_pictures(net: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="or it is the only one of them"):
        begin(SearchStudy, config(net, shown_to=[net]), tmp_path / "run")


def test_a_variant_alone_is_set_against_nothing(net: str, tmp_path: Path) -> None:
    result = begin(SearchStudy, config(net, variants=["cppn"], seeds=[1]), tmp_path / "run")
    (row,) = {(r["low"], r["high"]) for r in csv.DictReader((tmp_path / "run/search.csv").open())}
    assert row == ("", "")  # of one seed there is no interval
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "how many times as many" not in page
    assert "Who wins which classes?" not in page
    assert not any("times as many" in line for line in SearchStudy.result_lines(result, ()))


def test_campaigns_without_champions_tell_nothing() -> None:
    row = AimRow(0, 0, 0.5, 0, 0.5)
    assert distances([[NearRow(0, 0, 1.0, None)], []], [{0: 0.5}, {}], 3) is None
    assert elsewhere([[row], [row]])["its_class"] == 1.0


def test_who_wins_which_classes() -> None:
    def sure(name: str, *seeds: dict[int, float]) -> Outcome:
        one = outcome(name, [0.1], [0.1])
        labels = SimpleNamespace(labels=["ape", "bat", "cat", "dog"])
        return replace(one, searched=replace(one.searched, classifier=labels), sure=seeds)

    first = sure("first", {0: 0.9, 1: 0.2, 2: 0.5, 3: 1.0}, {0: 0.8, 1: 0.4, 2: 0.5, 3: 1.0})
    second = sure("second", {0: 0.1, 1: 0.9, 2: 0.5, 3: 1.0}, {0: 0.3, 1: 0.9, 2: 0.5, 3: 1.0})
    (name, won, ahead), (other, lost, behind) = leads([first, second]).rows
    assert (name, won, ahead) == ("first", 1, "ape 0.8500 (0.2000)")
    assert (other, lost, behind) == ("second", 1, "bat 0.9000 (0.3000)")
    rows = classes([first, second]).rows
    assert rows[1] == ["net", 1, "bat", "first", pytest.approx(0.3)]
    assert len(rows) == 8
