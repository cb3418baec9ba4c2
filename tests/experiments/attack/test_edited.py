"""A run of attacks whose config was edited, whose victim moved, whose pictures are gone."""

from __future__ import annotations

import csv
import io
import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from evofool.errors import FolderError, Interrupted, UsageError
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import life
from evofool.experiments.engine.life import Options
from evofool.gallery import build
from evofool.images import encode_png
from evofool.store.experiment import ExperimentFolder
from evofool.store.history import commands_of

attack, resume_attacks, status, verify_attacks = (
    partial(life.begin, AttackStudy),
    partial(life.resume, AttackStudy),
    partial(life.status, AttackStudy),
    partial(life.verify, AttackStudy),
)

TOYS = Path(__file__).parents[2] / "toys"


def config(**sections: Any) -> dict[str, Any]:
    return {
        "classifier": f"{TOYS / 'linear.py'}:victim",
        "images": {"noise": "uniform", "count": 12},
        "attacks": [{"name": "fgsm", "eps": 0.25}, {"name": "pgd", "eps": 0.25, "steps": 5}],
        "scoring": {"batch": 8, "workers": 2, "engine": "torch", "budget": 10_000},
        "chunk": 4,
        **sections,
    }


def table(run: Path) -> list[dict[str, str]]:
    text = (run / "results.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    for row in rows:
        del row["seconds"]
    return rows


def after(questions: int) -> Callable[[], bool]:
    """Asks to stop from that question on."""
    asked = iter(range(100_000))
    return lambda: next(asked) >= questions


def edit(run: Path, key: str, value: object) -> None:
    path = run / "config.yaml"
    data = yaml.safe_load(path.read_text())
    *above, last = (int(part) if part.isdigit() else part for part in key.split("."))
    section = data
    for part in above:
        section = section[part]
    section[last] = value
    path.write_text(yaml.safe_dump(data))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in its second attack."""
    out = tmp_path_factory.mktemp("attacked") / "run"
    with pytest.raises(Interrupted):
        attack(config(), out, should_stop=after(19), command="evofool attack toy.yaml")
    found = status(out)
    assert (found["works"], found["finished"]) == (3, 2)
    assert 12 < found["results"] < 24
    return out


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    shutil.copytree(stopped, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("key", "value", "kept", "new", "unused"),
    [
        ("attacks.0.eps", 0.05, "clean images, pgd (2/2)", "fgsm (1/2)", "fgsm (1/2)"),
        ("attacks.1.steps", 6, "clean images, fgsm (1/2)", "pgd (2/2)", "pgd (2/2)"),
        ("images.count", 13, "nothing", None, None),
        ("targets", "next", "clean images", None, None),
        ("chunk", 5, "clean images", None, None),
        ("scoring.batch", 4, "nothing", None, None),
        ("seed", 2, "nothing", None, None),
        ("only_correct", False, "nothing", None, None),
    ],
)
def test_an_edited_config_is_another_plan(
    run: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    key: str,
    value: object,
    kept: str,
    new: str | None,
    unused: str | None,
) -> None:
    edit(run, key, value)
    checks = {check.name: check for check in verify_attacks(run)}
    assert checks["config"].ok is False
    assert f"{key} was " in checks["config"].detail
    with pytest.raises(FolderError, match="was edited"):
        build(run)
    before = status(run)["queries"]
    caplog.clear()
    with caplog.at_level(logging.WARNING, "evofool"):
        resume_attacks(run)
    told = dict(line.split(": ", 1) for line in caplog.messages[-1].splitlines())
    assert told["kept"] == kept
    both = "fgsm (1/2), pgd (2/2)"
    everything = both if kept == "clean images" else f"clean images, {both}"
    assert told["new"] == (new or everything)
    assert told["no longer used"] == (unused or everything)
    attack(yaml.safe_load((run / "config.yaml").read_text()), tmp_path / "fresh")
    assert table(run) == table(tmp_path / "fresh")
    assert status(run)["queries"] == status(tmp_path / "fresh")["queries"]
    assert status(run)["sent"]["total"] >= before
    assert all(check.ok for check in verify_attacks(run))
    build(run)


def test_what_was_edited_back_is_found_again(run: Path, tmp_path: Path) -> None:
    resume_attacks(run)
    whole, sent = table(run), status(run)["sent"]["total"]
    edit(run, "attacks.0.eps", 0.05)
    resume_attacks(run)
    assert table(run) != whole
    assert status(run)["unused"] == 1
    more = status(run)["sent"]["total"]
    assert more > sent
    edit(run, "attacks.0.eps", 0.25)
    resume_attacks(run)
    assert table(run) == whole
    assert status(run)["sent"]["total"] == more


def test_attacks_that_were_left_as_they_are_go_on(run: Path) -> None:
    with pytest.raises(UsageError, match=r"scoring.budget: 1 is less than the \d+ queries"):
        resume_attacks(run, overrides=["scoring.budget=1"])
    overrides = ["scoring.workers=1", "scoring.budget=20000"]
    assert len(resume_attacks(run, overrides=overrides).summary["attacks"]) == 2
    with ExperimentFolder.open(run) as folder:
        story = commands_of(folder.manifest)
        assert folder.manifest["changes"][0]["set"] == {
            "scoring.workers": [2, 1],
            "scoring.budget": [10_000, 20_000],
        }
    assert story == (
        f"evofool attack toy.yaml && evofool resume {run} scoring.workers=1 scoring.budget=20000"
    )
    assert all(check.ok for check in verify_attacks(run))


def test_an_encoding_is_for_campaigns(run: Path) -> None:
    with pytest.raises(UsageError, match="--encoding"):
        resume_attacks(run, encoding="x.py:X")
    with pytest.raises(UsageError, match="--encoding"):
        list(verify_attacks(run, encoding="x.py:X"))


def test_a_victim_whose_file_has_moved(tmp_path: Path) -> None:
    run, here, there = tmp_path / "run", tmp_path / "here.py", tmp_path / "there.py"
    text = (TOYS / "linear.py").read_text()
    here.write_text(text)
    wanted = config(classifier=f"{here}:victim")
    with pytest.raises(Interrupted):
        attack(wanted, run, should_stop=after(12))
    here.rename(there)
    for go_on in (lambda: resume_attacks(run), lambda: list(verify_attacks(run))):
        with pytest.raises(UsageError, match=r"here\.py"):
            go_on()
    assert all(c.ok is not False for c in verify_attacks(run, classifier=str(there)))
    there.write_text(f"{text}\n# other code\n")
    with pytest.raises(FolderError, match=r"there\.py is not the file"):
        resume_attacks(run, classifier=str(there))
    there.write_text(text)
    resume_attacks(run, classifier=str(there))
    attack(config(), tmp_path / "whole")
    assert table(run) == table(tmp_path / "whole")
    assert resume_attacks(run).summary["classifier"]["name"] == f"{there}:victim"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(8)
    for number in range(6):
        pixels = rng.integers(0, 256, (1, 6, 6), dtype=np.uint8)
        (folder / f"{number}.png").write_bytes(encode_png(pixels))
    return folder


def test_pictures_are_not_needed_any_more_once_they_are_stored(
    pictures: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    wanted = config(images={"folder": str(pictures)})
    attack(wanted, tmp_path / "whole")
    with pytest.raises(Interrupted):
        attack(wanted, run, should_stop=after(5))
    pictures.rename(tmp_path / "elsewhere")
    assert all(check.ok is not False for check in verify_attacks(run))
    resume_attacks(run)
    assert table(run) == table(tmp_path / "whole")
    edit(run, "attacks.0.eps", 0.05)  # needs no other images either
    resume_attacks(run)
    edit(run, "images.limit", 3)
    with pytest.raises(UsageError, match="no such folder"):
        resume_attacks(run)
    (tmp_path / "elsewhere").rename(pictures)
    assert resume_attacks(run).summary["images"] == 3


@pytest.mark.parametrize("how", ["bytes", "name", "more"])
def test_the_address_of_images_is_what_they_hold(pictures: Path, tmp_path: Path, how: str) -> None:
    def address() -> str:
        wanted = config(images={"folder": str(pictures)})
        return AttackStudy.make(AttackStudy.load(wanted)).judged.address

    before = address()
    shutil.copytree(pictures, tmp_path / "copy")
    shutil.rmtree(pictures)
    shutil.copytree(tmp_path / "copy", pictures)
    assert address() == before
    first = pictures / "0.png"
    if how == "bytes":
        first.write_bytes((pictures / "1.png").read_bytes())
    elif how == "name":
        first.rename(pictures / "00.png")
    else:
        shutil.copy(first, pictures / "7.png")
    assert address() != before


def test_rows_are_taken_over_from_another_run(stopped: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run = tmp_path / "run"
    options = Options(reuse=[stopped], say=said.append)
    attacks = [{"name": "fgsm", "eps": [0.25, 0.1]}]
    life.begin(AttackStudy, config(attacks=attacks), run, options=options)
    assert said == [f"taken over from {stopped}: clean images, fgsm (1/2)"]
    attack(config(attacks=attacks), tmp_path / "fresh")
    assert table(run) == table(tmp_path / "fresh")
    found, fresh = status(run), status(tmp_path / "fresh")
    assert (found["reused"], found["queries"]) == (2, fresh["queries"])
    assert found["sent"]["queries"] < fresh["sent"]["queries"]
    assert all(check.ok for check in verify_attacks(run))
