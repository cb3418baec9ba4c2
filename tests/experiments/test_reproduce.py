"""``evofool reproduce``: verdicts by fixed tests, one folder, and what is missing is said."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import evofool
from evofool.classifiers import load_classifier
from evofool.errors import ConfigError, DataError, UsageError
from evofool.experiments.engine.life import begin
from evofool.experiments.reproduce import study as studied
from evofool.experiments.reproduce.again import add_claims
from evofool.experiments.reproduce.claims import (
    MARKS,
    Pair,
    Published,
    each_larger,
    larger,
    more_often,
    share_above,
    share_below,
)
from evofool.experiments.reproduce.folders import (
    bare_pictures,
    imagenet_folder,
    labelled_pictures,
)
from evofool.experiments.reproduce.registry import BY_NAME, chosen, minutes_of
from evofool.experiments.reproduce.scales import SCALES
from evofool.experiments.reproduce.study import ReproduceStudy, plan
from evofool.experiments.runs import resume, status, verify

TINY = dataclasses.replace(
    SCALES["small"], seeds=(1, 2), digits=1, imagenet=1, retrained=1, pairs=2, noise=10
)
CONFIG = {"kind": "reproduce", "claims": ["P1", "fgsm"], "scale": "small"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The small scale is tiny, and no data set is on this machine but those that ship."""
    monkeypatch.setenv("EVOFOOL_DATA", str(tmp_path / "no-data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studied, "SCALES", {"small": TINY})
        yield


# the verdicts


@pytest.mark.parametrize(
    ("hits", "verdict"), [(95, "holds"), (50, "undecided"), (58, "undecided"), (5, "fails")]
)
def test_a_share_is_judged_by_its_interval(hits: int, verdict: str) -> None:
    measured = share_above(hits, 100, 0.5, "things", 1)
    assert measured.verdict == verdict
    assert measured.low is not None
    assert measured.high is not None
    assert measured.low < hits / 100 < measured.high
    opposite = {"holds": "fails", "fails": "holds"}.get(verdict, verdict)
    assert share_below(hits, 100, 0.5, "things", 1).verdict == opposite


def test_the_interval_is_wilsons() -> None:
    """8 of 10: .4902 to .9433 (Wilson 1927, equation 12, with 1.959964 deviations)."""
    measured = share_above(8, 10, 0.5, "things", 1)
    assert measured.low == pytest.approx(0.49016, abs=1e-5)
    assert measured.high == pytest.approx(0.94331, abs=1e-5)
    assert measured.verdict == "undecided"


def test_groups_are_judged_by_mann_and_whitney() -> None:
    low, high = [k / 100 for k in range(20)], [0.5 + k / 100 for k in range(20)]
    assert larger(high, low, ("a", "b"), 1).verdict == "holds"
    assert larger(low, high, ("a", "b"), 1).verdict == "fails"
    same = larger(low, low, ("a", "b"), 1)
    assert same.verdict == "undecided"
    assert same.p == pytest.approx(0.5, abs=0.02)


def test_shares_are_judged_by_fishers_test() -> None:
    """Tea: 3 of 4 against 1 of 4 is p = 17/70 (Fisher 1935)."""
    tea = more_often((3, 4), (1, 4), ("a", "b"), 1)
    assert tea.p == pytest.approx(17 / 70)
    assert tea.verdict == "undecided"
    assert more_often((90, 100), (10, 100), ("a", "b"), 1).verdict == "holds"
    assert more_often((10, 100), (90, 100), ("a", "b"), 1).verdict == "fails"


def test_all_pairs_must_be_in_favour() -> None:
    clear, reverse, close = (
        Pair("clear", (90, 100), (10, 100)),
        Pair("reverse", (10, 100), (90, 100)),
        Pair("close", (52, 100), (48, 100)),
    )
    assert each_larger([clear, clear], 1).verdict == "holds"
    assert each_larger([clear, close], 1).verdict == "undecided"
    against = each_larger([clear, close, reverse], 1)
    assert against.verdict == "fails"
    assert "larger in 1 of 3 comparisons; the closest: 10 % and 90 % (reverse)" in against.figure
    assert against.n == 600


def test_one_seed_can_decide() -> None:
    """10 cells for and against one half; two nets' 40 champions against one tenth, 20 would not."""
    assert share_above(10, 10, 0.5, "cells", 1).verdict == "holds"
    assert share_above(0, 10, 0.5, "cells", 1).verdict == "fails"
    assert share_above(0, 40, 0.1, "champions", 1).verdict == "fails"
    assert share_above(10, 40, 0.1, "champions", 1).verdict == "holds"
    assert share_above(0, 20, 0.1, "champions", 1).verdict == "undecided"


# the claims


def test_all_at_the_small_scale_is_planned_within_90_minutes() -> None:
    assert SCALES["small"].seeds == SCALES["small"].retrain_seeds == (1,)
    assert minutes_of(BY_NAME) == sum(claim.minutes for claim in BY_NAME.values()) <= 90


def test_minutes_of_shared_works_are_planned_once() -> None:
    claim = BY_NAME["P7"]
    assert claim.shares == ("P1", "P2")
    whole = sum(BY_NAME[name].minutes for name in ("P1", "P2", "P7"))
    assert minutes_of(["P7"]) == minutes_of(["P7", "P1"]) == whole
    for claim in BY_NAME.values():
        assert set(claim.shares) < set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_claim_has_a_config(name: str) -> None:
    loaded = ReproduceStudy.load(f"papers/{name}")
    assert (loaded.config.claims, loaded.config.scale) == ((name,), "small")


def test_a_dry_run_says_what_is_missing_of_every_claim() -> None:
    study = plan(ReproduceStudy.load({**CONFIG, "claims": ["P11", "table1", "table4"]}))
    lines = ReproduceStudy.plan_lines(study)
    assert any("P11: not ready" in line and "--picbreeder DIR" in line for line in lines)
    assert any("table1: not ready" in line for line in lines)
    assert any("table4: not ready: data set mnist" in line for line in lines)
    assert "# planned on two CPU cores: 0 min" in lines


def test_a_folder_of_imagenet_needs_labels(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"labels\.csv does not exist; name a folder .*--imagenet DIR"
    ):
        imagenet_folder(tmp_path)
    with pytest.raises(ConfigError, match="imagenet: no such folder"):
        ReproduceStudy.load({**CONFIG, "imagenet": str(tmp_path / "none")})


def test_pictures_of_a_folder_are_spread_evenly(tmp_path: Path) -> None:
    names = [f"{k:02}.png" for k in range(10)]
    for k, name in enumerate(names):
        picture = np.full((28, 28), 20 * k, np.uint8)
        PIL.Image.fromarray(picture).save(tmp_path / name)
    lines = [f"{name},{k}" for k, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines]))
    net = load_classifier("mnist-lenet")
    pictures = labelled_pictures(imagenet_folder(tmp_path), net, 5)
    assert pictures.labels.tolist() == [0, 2, 4, 6, 8]
    assert pictures.images[:, 0, 0, 0].tolist() == [0, 40, 80, 120, 160]
    same = bare_pictures(tmp_path, net, 10)
    assert (len(same), set(same.labels.tolist())) == (10, {10})


def test_no_figure_from_memory_is_shown_as_published() -> None:
    assert Published("88.11 %", "m").text == "88.11 % (unverified)"
    assert Published("89.4 %", "t").text == "89.4 %"
    assert Published("", "m").text == ""
    for claim in BY_NAME.values():
        assert claim.published.mark in MARKS
        assert claim.rule
        assert claim.here
        assert claim.statement.endswith(".")


def test_claims_come_in_the_order_of_the_suite() -> None:
    assert [claim.name for claim in chosen(("fgsm", "P1"))] == ["P1", "fgsm"]
    assert len(chosen(("all",))) == len(BY_NAME)


def test_an_unknown_claim_is_suggested() -> None:
    with pytest.raises(ConfigError, match="no claim is called 'P13'; did you mean 'P1"):
        ReproduceStudy.load({**CONFIG, "claims": ["P13"]})


def test_what_is_missing_is_said_and_the_rest_is_tested(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none of these claims can be tested here: .*mnist"):
        begin(ReproduceStudy, {**CONFIG, "claims": ["fgsm"]}, tmp_path / "none")
    begin(ReproduceStudy, CONFIG, tmp_path / "run")
    lines = list(csv.DictReader((tmp_path / "run" / "reproduce.csv").open()))
    assert [line["claim"] for line in lines] == ["P1", "fgsm"]
    assert "mnist" in lines[1]["missing"]
    assert not lines[1]["verdict"]
    assert lines[0]["verdict"] == "fails"  # two generations reach .9999 in no cell
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "(unverified)" in page
    assert lines[1]["missing"].split("(")[0].strip()[:40] in page


def test_one_folder_for_all_that_is_asked_for(tmp_path: Path) -> None:
    run = tmp_path / "run"
    begin(ReproduceStudy, {**CONFIG, "claims": ["P1"]}, run)
    before = status(run)
    add_claims(run, ["jsma"], "small")
    said: list[str] = []
    resume(run, say=said.append)
    after = status(run)
    assert "kept" in said[0]
    assert after["works"] == before["works"] + 1
    assert after["queries"] > before["queries"]
    add_claims(run, ["P1"], "small")  # which is there
    resume(run)
    assert status(run)["queries"] == after["queries"]
    records = {record.claim: record for record in evofool.open_run(run).results()}  # type: ignore[attr-defined]
    assert set(records) == {"P1", "jsma"}
    assert records["jsma"].n == 2 * 9
    assert records["jsma"].published.startswith("97.1 %")
    assert [check for check in verify(run) if check.ok is False] == []
    with pytest.raises(UsageError, match="holds the small scale, not paper"):
        add_claims(run, ["P1"], "paper")
