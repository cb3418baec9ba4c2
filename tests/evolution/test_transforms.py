"""A campaign against a net behind transforms: as any other, and told under others too."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_pools import TOYS, linear_campaign, over_ray

from evofool import make_gallery
from evofool.classifiers import load_classifier
from evofool.errors import ConfigError, FolderError, Interrupted
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.reading import read
from evofool.evolution.verify import verify
from evofool.files import read_file
from evofool.images import decode_png
from evofool.scoring import Scorer
from evofool.scoring.statistics import wilson

TRANSFORMS: dict[str, Any] = {
    "k": 3,
    "rotation": 12,
    "perspective": 0.05,
    "noise": 0.02,
    "jpeg": [80, 95],
    "held_back": 7,
}
NET = {"name": f"{TOYS / 'linear.py'}:victim"}


def campaign(transforms: Any = TRANSFORMS, **sections: Any) -> dict[str, Any]:
    sections = {"stop": {"generations": 6}, **sections}
    return linear_campaign(classifier={**NET, "transforms": transforms}, **sections)


def test_from_begin_to_end(tmp_path: Path) -> None:
    run = tmp_path / "run"
    summary = evolve(campaign(), run).summary
    assert all(check.ok for check in verify(run))
    # 20 pictures are 10 micro-batches of 2, each under 3 transforms
    assert summary["forward_images"] == 7 * 20 * 3
    assert summary["evaluations"] == summary["sent"]["total"] == 7 * 20
    told = summary["held_back"]
    assert (told["transforms"], told["pictures"]) == (7, 7)
    assert told["forward_images"] == 7 * 7
    assert 0 <= told["low"] <= told["rate"] <= told["high"] <= 1
    with (run / "held_back.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["class_index"]) for row in rows] == list(range(7))
    counts = [int(row["successes"]) for row in rows]
    assert sum(counts) / 49 == pytest.approx(told["rate"])
    assert float(rows[0]["low"]) == wilson(counts[0], 7)[0]
    pictures = np.stack([decode_png(read_file(run / f"images/{c:04d}.png")) for c in range(7)])
    with Scorer(load_classifier({**NET, "transforms": TRANSFORMS})) as scorer:
        labels = scorer.held_back(pictures, 7).labels
        assert (labels == np.arange(7)[:, None]).mean() == pytest.approx(told["rate"])
    page = make_gallery(run).page
    assert "held-back transforms" in page.read_text()


def test_an_interruption_changes_nothing(tmp_path: Path) -> None:
    whole = evolve(campaign(), tmp_path / "whole").summary
    run, asked = tmp_path / "run", iter(range(10_000))
    with pytest.raises(Interrupted):
        evolve(campaign(), run, should_stop=lambda: next(asked) > 40)
    broken = json.loads((run / "summary.json").read_text())
    assert 0 < broken["evaluations"] < whole["evaluations"]
    assert "held_back" not in broken
    last = resume(run).summary
    assert last["archive_digest"] == whole["archive_digest"]
    assert last["held_back"] == whole["held_back"]
    other = campaign(scoring={"batch": 8, "workers": 1})
    assert evolve(other, tmp_path / "one").summary["archive_digest"] == whole["archive_digest"]


@pytest.mark.parametrize("algorithm", ["mu_plus_lambda", "map_elites"])
@pytest.mark.parametrize("combine", ["mean_log_odds", "least"])
def test_every_algorithm_and_rule(tmp_path: Path, algorithm: str, combine: str) -> None:
    evolution: dict[str, Any] = {"algorithm": algorithm, "initial": 10, "children": 10}
    if algorithm == "mu_plus_lambda":
        evolution |= {"target": 2, "mu": 5}
    else:
        evolution |= {"lag": 1}
    transforms = {**TRANSFORMS, "combine": combine}
    run = tmp_path / "run"
    evolve(campaign(transforms, evolution=evolution, stop={"generations": 3}), run)
    assert all(check.ok is not False for check in verify(run))


def test_other_transforms_are_another_victim(tmp_path: Path) -> None:
    run = tmp_path / "run"
    evolve(campaign(), run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("perspective: 0.05", "perspective: 0.06"))
    with pytest.raises(FolderError):
        resume(run, overrides=["stop.generations=8"])
    more = tmp_path / "more"  # how much is held back is no part of the victim
    digest = evolve(campaign({**TRANSFORMS, "held_back": 0}), more).summary
    assert "held_back" not in digest
    manifests = [json.loads((path / "manifest.json").read_text()) for path in (run, more)]
    assert len({manifest["classifier"]["digest"] for manifest in manifests}) == 1


def test_claimed_robustness_is_held_to_the_pictures(tmp_path: Path) -> None:
    run = tmp_path / "run"
    evolve(campaign(), run)
    summary = json.loads((run / "summary.json").read_text())
    summary["held_back"]["rate"] = 0.999
    (run / "summary.json").write_text(json.dumps(summary))
    assert [c.name for c in verify(run) if c.ok is False] == ["held back"]


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ({"k": 0}, "k: must be at least 1, not 0"),
        ({"k": 2000}, "k: must be at most 1024"),
        ({"shift": 1.2}, "leave no sign in the frame"),
        ({"scale": [0.05, 1], "shift": 0.6}, "leave no sign in the frame"),
        ({"scale": 0}, "must lie within 0.05 and 4"),
        ({"rotate": 3}, "rotate: unknown key; did you mean 'rotation'"),
        ({"rotation": [5, -5]}, "runs backwards"),
        ({"jpeg": 3}, "must lie within 5 and 100"),
        ({"perspective": 0.3}, "perspective: must be at most 0.24"),
        ({"noise": -0.1}, "must be at least 0"),
        ({"rotation": "wide"}, r"must be a number or a range \[from, to\]"),
        ({"resample": 30.5}, "must be whole numbers"),
        ({"combine": "median"}, "combine"),
    ],
)
def test_ranges_that_make_no_sense(tmp_path: Path, transforms: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evolve(campaign(transforms), tmp_path / "run")


def test_victims_that_cannot_be_transformed(tmp_path: Path) -> None:
    service = {"name": f"{TOYS / 'exact.py'}:victim", "transforms": TRANSFORMS}
    with pytest.raises(ConfigError, match="send it each picture 3 times"):
        evolve(linear_campaign(classifier=service), tmp_path / "run")
    with pytest.raises(ConfigError, match="ten crops"):
        evolve(
            linear_campaign(classifier={**NET, "transforms": TRANSFORMS, "crops": 10}),
            tmp_path / "run",
        )


def test_pictures_are_read_under_transforms(tmp_path: Path) -> None:
    run = tmp_path / "run"
    evolve(campaign(), run)
    paths = sorted((run / "images").glob("*.png"))[:2]
    own = read(paths, {**NET, "transforms": TRANSFORMS})
    given = read(paths, NET, transforms=TRANSFORMS)
    assert [r.to_json() for r in given] == [r.to_json() for r in own]
    with (run / "held_back.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for reading, row in zip(own, rows, strict=False):
        assert reading.same_victim
        assert reading.held_back is not None
        assert reading.held_back["class_index"] == int(row["class_index"])
        assert reading.held_back["successes"] == int(row["successes"])
        assert reading.now == pytest.approx(float(row["confidence"]), abs=1e-6)
    plain = read(paths, NET)
    assert all(r.held_back is None and not r.same_victim for r in plain)


@pytest.mark.slow
def test_workers_of_ray_give_the_same_archive(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from evofool.ray_session import session

    with session(cpus=2):
        spread = evolve(over_ray(campaign()), tmp_path / "run").summary
    alone = evolve(campaign(), tmp_path / "alone").summary
    assert spread["archive_digest"] == alone["archive_digest"]
    assert spread["forward_images"] == alone["forward_images"]
    assert spread["held_back"] == alone["held_back"]
