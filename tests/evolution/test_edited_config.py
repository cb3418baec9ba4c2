"""A config that was edited between a kill and a resume makes no mixed run: it is refused."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from evofool.config import StopConfig, load_campaign
from evofool.errors import FolderError, Interrupted, StoreError, UsageError
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.setup import CHANGEABLE
from evofool.evolution.verify import verify
from evofool.gallery import build
from evofool.gallery.live.server import LiveRun
from evofool.store import CampaignFolder
from evofool.store.fixed import plain
from evofool.store.history import commands_of

Make = Callable[..., dict[str, Any]]
GOLDEN = "f80367af775317ebac8c7b5e66d648b6ea6af46d44a52284c54b1a37ae60b956"

EDITS: dict[str, object] = {
    "name": "other",
    "classifier.crops": 10,
    "classifier.input_shape": [1, 6, 6],
    "classifier.labels": ["a", "b", "c", "d", "e", "f", "g"],
    "classifier.output": "logits",
    "classifier.link": "sigmoid",
    "classifier.mean": [0.5],
    "classifier.std": [0.5],
    "classifier.probe": "small",
    "encoding.rate": 0.2,
    "encoding.swap": True,
    "evolution.algorithm": None,  # another section altogether: see below
    "evolution.initial": 21,
    "evolution.children": 21,
    "evolution.fitness": "probability",
    "evolution.lag": 1,
    "evolution.classes": ["0-5"],
    "evolution.parents": "recent",
    "evolution.refine": True,
    "scoring.engine": "onnxruntime",
    "scoring.device": "cuda:3",
    "scoring.batch": 9,
    "scoring.precision": "bf16",
    "seed": 4,
}
"""Each key that must not change, with another value."""
ELSEWHERE = {"kind", "classifier.name", "classifier.weights", "classifier.onnx", "encoding.name"}
"""What other tests are about: the kind of run, and files; and what only a graph can be told."""


def _edit(run: Path, key: str, value: object) -> None:
    path = run / "config.yaml"
    data = yaml.safe_load(path.read_text())
    *above, last = key.split(".")
    section = data
    for part in above:
        section = section[part]
    section[last] = value
    path.write_text(yaml.safe_dump(data))


@pytest.fixture(scope="module")
def interrupted(toy_campaign: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("edited") / "run"
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 20

    with pytest.raises(Interrupted):
        evolve(toy_campaign(), out, should_stop=stop, command="evofool evolve toy.yaml")
    return out


@pytest.fixture
def run(interrupted: Path, tmp_path: Path) -> Path:
    shutil.copytree(interrupted, tmp_path / "run")
    return tmp_path / "run"


def _files(run: Path) -> dict[str, bytes]:
    names = ("config.yaml", "manifest.json", "run.sqlite")
    return {name: (run / name).read_bytes() for name in names}


def _leaves(values: dict[str, Any], at: str = "") -> set[str]:
    found = set()
    for key, value in values.items():
        path = f"{at}.{key}" if at else key
        found |= _leaves(value, path) if isinstance(value, dict) else {path}
    return found


def test_every_key_of_a_campaign_is_in_the_table(interrupted: Path) -> None:
    leaves = _leaves(plain(load_campaign(interrupted / "config.yaml").config))
    free = {key for key in leaves if key.startswith("stop.") or key in CHANGEABLE.keys}
    assert free == {
        *(f"stop.{key}" for key in StopConfig.model_fields), "scoring.workers", "scoring.budget",
        "scoring.ray",
    }  # fmt: skip
    assert leaves - free - ELSEWHERE == set(EDITS)


@pytest.mark.parametrize("key", [key for key, value in EDITS.items() if value is not None])
def test_an_edited_key_is_refused_with_both_values(run: Path, key: str) -> None:
    data = yaml.safe_load((run / "config.yaml").read_text())
    old: Any = data
    for part in key.split("."):
        old = old[part]
    _edit(run, key, EDITS[key])
    before = _files(run)
    for look in (resume, build, lambda path: LiveRun(path).look()):
        with pytest.raises(FolderError) as info:
            look(run)
        message = str(info.value)
        assert f"config.yaml: was edited: {key}" in message, message
        if not isinstance(old, list) and old is not None:
            assert json.dumps(old) in message
        assert json.dumps(EDITS[key])[:20] in message
    assert _files(run) == before
    checks = {check.name: check for check in verify(run)}
    assert checks["config"].ok is False
    assert key in checks["config"].detail
    assert "genomes" not in checks  # and nothing that it names was run


def test_another_algorithm_is_refused(run: Path) -> None:
    _edit(run, "evolution", {"algorithm": "mu_plus_lambda", "target": 3})
    with pytest.raises(FolderError, match=r'evolution.algorithm is "mu_plus_lambda", but .* "map_'):
        resume(run)


def test_what_may_change_may_be_edited(run: Path) -> None:
    _edit(run, "scoring.workers", 3)
    _edit(run, "scoring.budget", 10_000)
    _edit(run, "stop.generations", 12)
    assert resume(run).summary["archive_digest"] == GOLDEN


def test_a_damaged_digest_of_the_config_is_seen(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["config"]["fixed"]["evolution"]["children"] = 21
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="config does not match its own sha256"):
        resume(run)
    checks = {check.name: check for check in verify(run)}
    assert checks["config"].ok is False
    assert "genomes" not in checks


@pytest.mark.parametrize("entry", [None, [], "x", {}, {"sha256": 1}, {"fixed": []}])
def test_an_entry_of_another_type_is_damage(run: Path, entry: object) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    for part in ("config", "code", "changes") if entry != [] else ("config", "code"):
        changed = {**manifest, part: entry}
        (run / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(StoreError):
            resume(run)


def test_a_folder_of_before_opens_and_says_what_cannot_be_checked(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    for part in ("config", "code", "content_sha256"):
        manifest.pop(part, None)
    (run / "manifest.json").write_text(json.dumps(manifest))
    with caplog.at_level(logging.WARNING, "evofool"):
        assert resume(run).summary["archive_digest"] == GOLDEN
    assert "cannot be checked" in caplog.text
    checks = {check.name: check for check in verify(run)}
    assert checks["config"].ok is None
    assert "cannot be checked" in checks["config"].detail


def test_a_key_that_is_younger_than_the_run_is_no_edit(run: Path) -> None:
    """A later version adds a key: it is in neither file, and its default is as good as written."""
    manifest = json.loads((run / "manifest.json").read_text())
    from evofool.store import fixed

    stored = manifest["config"]["fixed"]
    del stored["evolution"]["lag"]
    manifest["config"]["sha256"] = fixed._digest(stored)
    manifest.pop("content_sha256", None)
    (run / "manifest.json").write_text(json.dumps(manifest))
    resume(run, overrides=["stop.generations=13"])
    resume(run)
    _edit(run, "evolution.lag", 1)
    with pytest.raises(FolderError, match=r"evolution\.lag is 1, but the run was started with 0"):
        resume(run)


def test_an_edited_file_of_labels_is_refused(toy_campaign: Make, tmp_path: Path) -> None:
    labels, run = tmp_path / "labels.txt", tmp_path / "run"
    labels.write_text("a\nb\nc\nd\ne\nf\ng\n")
    toys = Path(toy_campaign()["classifier"]["name"].rpartition(":")[0])
    net = (
        toys.with_name("linear.py")
        .read_text()
        .replace(
            'return from_module(Linear(), input_shape=(1, SIDE, SIDE), name="linear")',
            "return Linear()",
        )
    )
    (tmp_path / "net.py").write_text(net)
    victim = {"name": f"{tmp_path / 'net.py'}:victim", "input_shape": [1, 6, 6]}
    sections = toy_campaign(
        classifier={**victim, "labels": str(labels)},
        stop={"generations": 1},
        scoring={"engine": "torch", "batch": 8},
    )
    evolve(sections, run)
    labels.write_text("b\na\nc\nd\ne\nf\ng\n")
    with pytest.raises(FolderError, match=r"labels\.txt has changed.*class 0 was 'a' and is 'b'"):
        resume(run)


# limits and the story of a run


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stop.generations=5", r"stop.generations: 5 is less .*\(12 are done\)"),
        ("stop.evaluations=100", r"stop.evaluations: 100 is less .*\(260 are done\)"),
        ("scoring.budget=100", r"scoring.budget: 100 is less .*\(260 are done\)"),
        ("stop.seconds=1e-9", "stop.seconds"),
        (
            "stop.confidence=0.01",
            "stop.confidence: 0.01 .*every cell had reached it after generation 0",
        ),
    ],
)
def test_a_limit_below_what_is_done_is_refused_and_not_written(
    toy_campaign: Make, tmp_path: Path, override: str, message: str
) -> None:
    run = tmp_path / "run"
    evolve(toy_campaign(), run)
    before = _files(run)
    with pytest.raises(UsageError, match=message):
        resume(run, overrides=[override])
    assert _files(run) == before
    assert all(check.ok for check in verify(run))


def test_an_extension_is_in_the_manifest_and_on_the_page(
    toy_campaign: Make, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    evolve(toy_campaign(stop={"generations": 3}), run, command="evofool evolve toy.yaml")
    resume(run)
    resume(run, overrides=["stop.generations=5"])
    resume(run, overrides=["stop.generations=12", "scoring.workers=1"])
    with CampaignFolder.open(run) as folder:
        changes = folder.manifest["changes"]
        story = commands_of(folder.manifest)
    assert [change["set"] for change in changes] == [
        {"stop.generations": [3, 5]},
        {"stop.generations": [5, 12], "scoring.workers": [2, 1]},
    ]
    assert story == (
        f"evofool evolve toy.yaml && evofool resume {run} stop.generations=5 &&"
        f" evofool resume {run} stop.generations=12 scoring.workers=1"
    )
    # by hand, too
    _edit(run, "stop.generations", 13)
    resume(run)
    with CampaignFolder.open(run) as folder:
        assert folder.manifest["changes"][2]["set"] == {"stop.generations": [12, 13]}
        assert (
            commands_of(folder.manifest) == f"{story} && evofool resume {run} stop.generations=13"
        )
    page = build(run).page.read_text()
    assert "stop.generations=12 scoring.workers=1" in page
    # and the story is true
    again = evolve(toy_campaign(stop={"generations": 13}), tmp_path / "again")
    with CampaignFolder.open(run) as folder:
        assert (folder.summary() or {})["archive_digest"] == again.summary["archive_digest"]
