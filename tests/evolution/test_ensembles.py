"""A campaign against several nets at once: as any other, from a dry run to a moved file."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evofool import make_gallery
from evofool.classifiers import load_classifier
from evofool.classifiers.pictures import fitted
from evofool.cli.app import app
from evofool.config import load_campaign
from evofool.errors import FolderError, Interrupted
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.outputs import read_table
from evofool.evolution.setup import plan
from evofool.evolution.status import status
from evofool.evolution.verify import verify
from evofool.experiments.export import export
from evofool.files import read_file
from evofool.images import decode_png
from evofool.scoring import Scorer
from evofool.store import CampaignFolder

TRIO = Path(__file__).parents[1] / "toys" / "trio.py"
Make = Callable[..., dict[str, Any]]


def against(campaign: Make, names: list[str], nets: Path = TRIO, **sections: Any) -> dict[str, Any]:
    whole = campaign(**sections)
    del whole["classifier"]
    return {"victims": [f"{nets}:{name}" for name in names], **whole}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "nets"
    folder.mkdir()
    (folder / "own.py").write_text(TRIO.read_text())
    return folder / "own.py"


def test_a_dry_run_tells_what_is_shared(toy_campaign: Make) -> None:
    told = plan(load_campaign(against(toy_campaign, ["first", "halves"])))
    assert (told.classifier.n_classes, told.classifier.input_shape) == (3, (1, 6, 6))


@pytest.mark.parametrize("rule", ["least", "mean"])
def test_from_begin_to_end(toy_campaign: Make, tmp_path: Path, rule: str) -> None:
    names = ["first", "small", "sigmoids"]
    run = tmp_path / "run"
    evolve({**against(toy_campaign, names), "ensemble": rule}, run)
    assert all(check.ok for check in verify(run))
    manifest = json.loads((run / "manifest.json").read_text())["classifier"]
    assert manifest["rule"] == rule
    members = [load_classifier(f"{TRIO}:{name}") for name in names]
    assert [net["digest"] for net in manifest["members"]] == [net.digest for net in members]
    assert manifest["name"] == f"{rule} of trio:first, trio:small, trio:sigmoids"
    summary = status(run)
    # 20 pictures are 3 batches of 8, each shown to 3 nets
    assert summary["forward_images"] == 13 * 3 * 8 * 3
    with CampaignFolder.open(run) as folder:
        table = read_table(folder)
    pictures = np.stack([decode_png(read_file(run / row["png"])) for row in table.values()])
    odds = []
    for net in members:
        with Scorer(net, engine="torch") as scorer:
            scores = scorer.score(fitted(pictures, net.input_shape)).log_odds
        columns = [net.labels.index(row["label"]) for row in table.values()]
        odds.append(scores[np.arange(len(columns)), columns])
    combined = np.min(odds, 0) if rule == "least" else np.mean(odds, 0)
    stored = [row["confidence"] for row in table.values()]
    assert np.allclose(stored, 1 / (1 + np.exp(-combined)), atol=1e-5)
    page = make_gallery(run, scores="always").page
    assert f"{rule} of trio:first, trio:small, trio:sigmoids" in page.read_text()
    export(run, tmp_path / "out", "imagefolder")
    assert (tmp_path / "out" / "metadata.csv").is_file()


def test_gone_on_with_to_the_same_end(toy_campaign: Make, tmp_path: Path) -> None:
    config = against(toy_campaign, ["first", "small", "black"])
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    evolve(config, whole)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 17

    with pytest.raises(Interrupted):
        evolve(config, cut, should_stop=stop)
    assert 0 < status(cut)["generations"] < 12
    resume(cut)
    assert status(cut)["archive_digest"] == status(whole)["archive_digest"]
    assert status(cut)["forward_images"] == status(whole)["forward_images"]
    assert all(check.ok for check in verify(cut))


def test_its_pictures_are_scored_on_it_again(
    toy_campaign: Make, tmp_path: Path, capsys: Any
) -> None:
    run = tmp_path / "run"
    evolve(against(toy_campaign, ["first", "small"]), run)
    picture = next((run / "images").glob("*.png"))
    nets = f"{TRIO}:first, {TRIO}:small"
    again, other = (f"{{ensemble: [{nets}], rule: {rule}}}" for rule in ("least", "mean"))
    same = {}
    for classifier in (again, other):
        app(["score", str(picture), "--classifier", classifier, "--json"], standalone_mode=False)
        (reading,) = json.loads(capsys.readouterr().out)
        same[classifier] = reading["same_victim"]
        if classifier == again:
            assert reading["now"] == pytest.approx(reading["claim"]["confidence"], abs=1e-6)
    assert same == {again: True, other: False}


MORTAL = """

import itertools
import os
import signal
import time

from evofool.evolution.status import status

_calls = itertools.count(1)


def mortal() -> Classifier:
    net = Slopes(9, 36)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        if next(_calls) == int(os.environ.get("DIES_AT", "0")):
            while not status(os.environ["RUN"])["generations"]:  # what is stored lags behind
                time.sleep(0.005)
            os.kill(os.getpid(), signal.SIGKILL)
        with torch.no_grad():
            return net(torch.from_numpy(images).float() / 255).double().softmax(1).numpy()

    return from_predict(predict, input_shape=(1, 6, 6), labels=LABELS, name="mortal")
"""
KILLED = """
import json, sys
from evofool.evolution.campaign import evolve
evolve(json.load(open(sys.argv[1])), sys.argv[2])
"""


@pytest.mark.parametrize("dies_at", ["20", "36"])
def test_killed_while_a_member_is_asked(
    toy_campaign: Make, tmp_path: Path, own: Path, forked: Any, dies_at: str
) -> None:
    """By a real SIGKILL, when the other members may have scored the same batch already."""
    own.write_text(own.read_text() + MORTAL)
    config = against(toy_campaign, ["first", "small", "mortal"], own)
    (tmp_path / "config.json").write_text(json.dumps(config))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    process = forked(KILLED, tmp_path / "config.json", cut, DIES_AT=dies_at, RUN=str(cut)).end()
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert 0 < status(cut)["generations"] < 12
    resume(cut)
    evolve(config, whole)
    assert status(cut)["archive_digest"] == status(whole)["archive_digest"]
    assert status(cut)["forward_images"] == status(whole)["forward_images"]
    assert all(check.ok for check in verify(cut))


def test_a_run_whose_nets_lie_elsewhere(toy_campaign: Make, tmp_path: Path, own: Path) -> None:
    run = tmp_path / "run"
    evolve(against(toy_campaign, ["first", "small"], own, stop={"generations": 2}), run)
    moved = tmp_path / "elsewhere"
    own.parent.rename(moved)
    for place in (moved,):
        assert all(check.ok for check in verify(run, classifier=str(place)))
        resume(run, classifier=str(place), overrides=["stop.generations=3"])
    assert all(check.ok for check in verify(run))  # it was written down
    change = json.loads((run / "manifest.json").read_text())["changes"][0]
    assert f"--classifier {moved}" in change["command"]


def test_a_member_that_changed_is_refused(toy_campaign: Make, tmp_path: Path, own: Path) -> None:
    run = tmp_path / "run"
    evolve(against(toy_campaign, ["first", "small"], own, stop={"generations": 1}), run)
    own.write_text(own.read_text().replace("GREY = 0.5", "GREY = 0.25"))
    with pytest.raises(FolderError, match=r"own.py has changed since the run was made"):
        resume(run, overrides=["stop.generations=2"])


def test_another_rule_is_another_run(toy_campaign: Make, tmp_path: Path) -> None:
    run = tmp_path / "run"
    evolve(against(toy_campaign, ["first", "small"], stop={"generations": 1}), run)
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("rule: least", "rule: mean"))
    with pytest.raises(FolderError, match=r"classifier.rule is \"mean\", but the run was started"):
        resume(run)
