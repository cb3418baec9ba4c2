"""The kinds of run: each declared once, ours and those of other packages; hostile manifests."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evofool import kinds
from evofool.cli.app import app
from evofool.config import shipped
from evofool.errors import EvofoolError, FolderError, Interrupted, KindError, StoreError
from evofool.experiments import runs
from evofool.gallery.build import build
from evofool.kinds import BUILT_IN, Kind
from evofool.store import Folder

TOYS = Path(__file__).parent / "toys"
WITH_FOLDERS = [kind for kind in BUILT_IN if kind.folder]
SMALL: dict[str, Any] = {
    "run_id": "r1",
    "seed": 7,
    "command": "evofool evolve x",
    "created": "2026-01-01T00:00:00+00:00",
    "classifier": {
        "name": "toy",
        "digest": "0" * 64,
        "input_shape": [1, 6, 6],
        "labels": ["a", "b"],
    },
    "encoding": {"name": "direct"},
    "config": {"sha256": "0" * 64, "fixed": {}, "changeable": {}},
    "code": {},
    "defense": {"name": "median"},
    "versions": {"python": "3"},
}
"""Holds what the manifest of any kind says."""

Answered = Callable[..., str]


@pytest.fixture
def answered(capsys: pytest.CaptureFixture[str]) -> Answered:
    """What a command answers, in this process."""

    def run(*arguments: str | Path) -> str:
        app([str(argument) for argument in arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


# ours


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.name)
def test_every_string_of_a_kind_leads_somewhere(kind: Kind) -> None:
    for name in kind.references():
        assert kind.part(name) is not None
    assert issubclass(kind.part("folder"), Folder) if kind.folder else not kind.resume
    assert kind.part("model").model_fields["kind"].default == kind.name


def test_names_and_keys_are_of_one_kind_alone() -> None:
    assert len({kind.name for kind in BUILT_IN}) == len(BUILT_IN)
    keys = [key for kind in BUILT_IN for key in kind.keys]
    assert len(set(keys)) == len(keys)
    assert {config.kind for config in shipped()} == {kind.name for kind in BUILT_IN}


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.name)
def test_run_does_what_the_command_of_the_kind_does(kind: Kind, answered: Answered) -> None:
    name = min((c.name for c in shipped() if c.kind == kind.name), key=len)
    less = ["images={noise: uniform, count: 2}"] if kind.name == "attack" else []
    text = answered("run", name, *less, "--dry-run")
    assert text == answered(kind.command, name, *less, "--dry-run")
    assert f"kind: {kind.name}" in text
    assert "seed: 5" in answered("run", name, *less, "seed=4", "--seed", "5", "--dry-run")


def test_run_trains_into_the_folder_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: Answered
) -> None:
    from evofool.data import Dataset
    from evofool.training import loop

    def halves(name: str, split: str, _folder: object = None) -> Dataset:
        labels = np.arange(48) % 2
        images = np.full((48, 1, 16, 16), 50, np.uint8)
        images[labels == 1, :, :, 8:] = 200
        return Dataset(name, split, images, labels.astype(np.int64), ("left", "right"))  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "load_dataset", halves)
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "x.yaml"
    config.write_text("{name: net, architecture: lenet, dataset: mnist, epochs: 1, batch: 24}\n")
    text = answered("run", config, "--seed", "9")
    assert text.startswith("test accuracy ")
    assert json.loads((tmp_path / "weights" / "net.json").read_text())["config"]["seed"] == 9
    assert text.splitlines()[1:] == ["weights/net.safetensors", "weights/net.json"]


def test_a_config_of_no_kind_says_where(answered: Answered, tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("seed: 1\nkind: evolv\n")
    with pytest.raises(EvofoolError, match=r"x\.yaml:2: kind: no kind is called 'evolv'"):
        answered("run", config)
    config.write_text("seed: 1\nkind: [evolve]\n")
    with pytest.raises(EvofoolError, match=r"x\.yaml:2: kind: "):
        answered("run", config)


def test_a_string_that_leads_nowhere_is_one_message() -> None:
    evolve = kinds.find("evolve")
    for reference, why in (
        ("evofool.evolution.nothing:plan", "ModuleNotFoundError"),
        ("evofool.evolution.setup:nothing", "has no attribute 'nothing'"),
        ("evofool.evolution.setup", "does not have the form module:attribute"),
        ("os; import x:y", "does not have the form module:attribute"),
    ):
        with pytest.raises(KindError, match=why) as info:
            dataclasses.replace(evolve, plan=reference).part("plan")
        assert str(info.value).startswith("kind evolve: plan: ")
    with pytest.raises(KindError, match="a run of kind train has no resume"):
        kinds.find("train").part("resume")


# another package's


def installed(site: Path, name: str, *points: str) -> None:
    """A distribution with these entry points, as pip leaves one behind."""
    about = site / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("\n".join(["[evofool.kinds]", *points, ""]))


@pytest.fixture
def survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that declares kind survey, and a config of it."""
    site = tmp_path / "site"
    site.mkdir()
    shutil.copy(TOYS / "survey.py", site)
    installed(site, "survey", "survey = survey:KIND")
    monkeypatch.syspath_prepend(site)
    config = tmp_path / "grey.yaml"
    config.write_text("squares: 4\n")
    yield config
    sys.modules.pop("survey", None)


def test_the_kind_of_another_package_is_served_everywhere(
    survey: Path, tmp_path: Path, answered: Answered
) -> None:
    out = tmp_path / "run"
    assert "# squares to be drawn: 4" in answered("run", survey, "--dry-run")
    assert "squares: [" in answered("run", survey, "--out", out, "--seed", "3")
    assert (out / "gallery" / "index.html").is_file()
    rows = json.loads(answered("list", "kinds", "--json"))
    assert {"name": "survey", "command": "evofool run", "note": "a survey of grey"} in rows
    state = json.loads(answered("status", out, "--json"))
    assert (state["kind"], state["status"], state["squares"]) == ("survey", "finished", 4)
    assert "ok      squares" in answered("verify", out)
    with pytest.raises(EvofoolError, match="--engine: a run of kind survey"):
        answered("verify", out, "--engine", "torch")
    page = tmp_path / "page"
    answered("gallery", out, "--out", page)
    assert len(list((page / "pictures").glob("*.png"))) == 4
    assert "survey" in kinds.names()
    with pytest.raises(EvofoolError, match=r"config for `evofool run`, not for `evofool evolve`"):
        answered("evolve", survey)


def test_the_kind_of_another_package_goes_on(
    survey: Path, tmp_path: Path, answered: Answered
) -> None:
    kind, out = kinds.find("survey"), tmp_path / "run"
    drawn: list[int] = []
    with pytest.raises(Interrupted):
        kind.part("run")(
            kind.part("load")(survey), out, progress=drawn.append, should_stop=lambda: bool(drawn)
        )
    assert runs.status(out)["squares"] == 1
    text = answered("resume", out)
    assert runs.status(out)["squares"] == 4
    assert text == answered("run", survey, "--out", tmp_path / "whole").replace("whole", "run")


def test_a_broken_package_spoils_no_other(
    survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    answered: Answered,
) -> None:  # fmt: skip
    site = tmp_path / "broken"
    site.mkdir()
    (site / "broken_kinds.py").write_text("NUMBER = 3\n")
    (site / "raises.py").write_text("raise RuntimeError('no licence')\n")
    installed(
        site,
        "broken",
        "absent = nowhere_at_all:KIND",
        "number = broken_kinds:NUMBER",
        "raising = raises:KIND",
        "renamed = survey:KIND",
        "evolve = broken_kinds:NUMBER",  # a name of ours
    )
    monkeypatch.syspath_prepend(site)
    assert kinds.find("evolve") is BUILT_IN[0]
    for name, why in (
        ("absent", "nowhere_at_all"),
        ("number", "is of type int, not an evofool.kinds.Kind"),
        ("raising", "RuntimeError: no licence"),
        ("renamed", "declares a kind called 'survey'"),
    ):
        with pytest.raises(KindError, match=why) as info:
            kinds.find(name)
        assert f"entry point {name} = " in str(info.value)
    with caplog.at_level(logging.WARNING, "evofool"):
        listed = [row["name"] for row in json.loads(answered("list", "kinds", "--json"))]
    assert listed == [*(kind.name for kind in BUILT_IN), "survey"]
    assert len(caplog.records) == 4
    assert "# squares to be drawn" in answered("run", survey, "--dry-run")
    config = tmp_path / "x.yaml"
    config.write_text("kind: raising\n")
    with pytest.raises(EvofoolError, match="entry point raising"):
        answered("run", config)
    with pytest.raises(EvofoolError, match="entry point raising"):
        answered("evolve", config)


def test_a_kind_that_two_packages_declare(
    survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "other"
    installed(site, "another", "survey = elsewhere:KIND")
    monkeypatch.syspath_prepend(site)
    with pytest.raises(KindError, match="more than once, by elsewhere:KIND and survey:KIND"):
        kinds.find("survey")


def test_a_folder_whose_package_is_gone(tmp_path: Path) -> None:
    folder = made(kinds.find("evolve"), tmp_path / "run")
    rewrite(folder, {**manifest_of(folder), "kind": "survey"})
    for look in (runs.status, runs.resume, build, lambda path: list(runs.verify(path))):
        with pytest.raises(FolderError, match="no kind is called 'survey'; there are evolve,"):
            look(folder)


# schema versions


def made(kind: Kind, folder: Path) -> Path:
    """An empty run folder of a kind."""
    kind.part("folder").create(folder, {"kind": kind.name, **SMALL}, "seed: 7\n").close()
    return folder


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return manifest


def rewrite(folder: Path, manifest: object) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_the_schema_of_evolve_is_the_first() -> None:
    """Folders of campaigns that were made since evofool's beginning are opened."""
    assert kinds.find("evolve").schema_version == 1


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("evofool defend x.yaml --out 'a b'", "evofool defend x.yaml --out 'a b'"),
        ("evofool defend $(reboot) ; reboot", "evofool defend '$(reboot)' ';' reboot"),
        ("reboot", "evofool defend {}/config.yaml"),
        ("evofool 'x", "evofool defend {}/config.yaml"),
        ("evofool x\nreboot", "evofool defend {}/config.yaml"),
        ("evofool \x1b[2J", "evofool defend {}/config.yaml"),
        ("evofool " + "x" * 5000, "evofool defend {}/config.yaml"),
        (None, "evofool defend {}/config.yaml"),
        ({"a": 1}, "evofool defend {}/config.yaml"),
    ],
)
def test_a_folder_of_an_older_schema_says_how_to_make_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: object, shown: str
) -> None:
    defend = kinds.find("defend")
    folder = made(defend, tmp_path / "run")
    page = folder / "report" / "index.html"
    page.parent.mkdir()
    page.write_text("a page")
    rewrite(folder, {**manifest_of(folder), "command": command})
    newer = dataclasses.replace(defend, schema_version=3)
    monkeypatch.setattr(kinds, "_BUILT_IN", MappingProxyType({**kinds._BUILT_IN, "defend": newer}))
    for look in (runs.status, runs.resume, build, lambda path: list(runs.verify(path))):
        with pytest.raises(StoreError) as info:
            look(folder)
        message = str(info.value)
        assert message.startswith(f"{folder}: has schema version 2, but this evofool reads 3")
        assert f"with: {shown.format(folder)}; its pages stay as they are: {page}" in message
        assert message.isprintable()
    assert page.read_text() == "a page"
    made(newer, tmp_path / "new")
    assert manifest_of(tmp_path / "new")["schema_version"] == 3
    with Folder.open(tmp_path / "new"):
        pass
    made(kinds.find("costs"), tmp_path / "other")  # whose schema is another's matter
    with Folder.open(tmp_path / "other"):
        pass


def test_a_folder_of_a_newer_schema(tmp_path: Path) -> None:
    folder = made(kinds.find("retrain"), tmp_path / "run")
    rewrite(folder, {**manifest_of(folder), "schema_version": 99})
    with pytest.raises(StoreError, match="a newer evofool wrote it"):
        Folder.open(folder)


# hostile manifests


@pytest.mark.parametrize("kind", WITH_FOLDERS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("part", ["kind", "run_id", "seed", "schema_version", "changes"])
@pytest.mark.parametrize(
    "value", [None, [], {}, True, 1.5, -1, 2**70, 10**4000, "x" * 5000, [[[[{}]]]], "\x1b[2J\n"]
)
def test_a_part_of_the_wrong_type_is_refused(
    tmp_path: Path, kind: Kind, part: str, value: object
) -> None:
    folder = made(kind, tmp_path / "run")
    if part == "changes" and value == []:
        value = [{"command": 3, "set": {}}]
    rewrite(folder, {**manifest_of(folder), part: value})
    if (part, value) == ("run_id", "\x1b[2J\n"):  # any text may be one
        return
    with pytest.raises(StoreError) as info:
        Folder.open(folder)
    assert str(folder) in str(info.value)
    assert len(str(info.value)) < 1000


@pytest.mark.parametrize("kind", WITH_FOLDERS, ids=lambda kind: kind.name)
def test_a_missing_part_is_refused(tmp_path: Path, kind: Kind) -> None:
    folder = made(kind, tmp_path / "run")
    whole = manifest_of(folder)
    needed = {"kind", "schema_version"} | {
        name for name, field in kind.part("manifest").model_fields.items() if field.is_required()
    }
    assert {"kind", "run_id", "seed"} <= needed
    for part in needed:
        rewrite(folder, {name: value for name, value in whole.items() if name != part})
        with pytest.raises(StoreError, match=part.replace("_", ".")):
            Folder.open(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize("kind", WITH_FOLDERS, ids=lambda kind: kind.name)
def test_whatever_a_manifest_says_the_answer_is_an_error_of_ours(
    kind: Kind, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = made(kind, tmp_path_factory.mktemp("hostile") / "run")
    whole = manifest_of(folder)
    parts = st.dictionaries(st.sampled_from([*whole, "renderer", "changes"]), JSON, min_size=1)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(parts=parts)
    def look(parts: dict[str, Any]) -> None:
        rewrite(folder, {**whole, **parts})
        for ask in (runs.status, runs.resume, build, lambda path: list(runs.verify(path))):
            with contextlib.suppress(EvofoolError):  # anything else is a defect
                ask(folder)

    look()
