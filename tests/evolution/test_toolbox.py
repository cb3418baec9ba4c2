"""The DEAP toolbox of a campaign, changed by a program and handed over."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deap.tools
import numpy as np
import pytest
from deap import base

import evofool
from evofool.classifiers import Classifier
from evofool.errors import (
    EvofoolError,
    FolderError,
    Interrupted,
    ScoringError,
    StoreError,
    UsageError,
)
from evofool.evolution import toolbox
from evofool.evolution.archive import Parents
from evofool.evolution.campaign import evolve, resume
from evofool.evolution.individual import Individual
from evofool.evolution.replaying import early_and_late
from evofool.evolution.verify import verify
from evofool.gallery import build
from evofool.store import Check, ExperimentFolder
from evofool.store.manifest import new_manifest

Make = Callable[..., dict[str, Any]]
DOCS = Path(__file__).parents[2] / "docs" / "library.md"
ALGORITHMS: dict[str, dict[str, Any]] = {
    "map_elites": {"algorithm": "map_elites", "initial": 20, "children": 21},
    "lagging": {"algorithm": "map_elites", "initial": 20, "children": 21, "lag": 1},
    "mu_plus_lambda": {
        "algorithm": "mu_plus_lambda", "target": 3, "initial": 20, "children": 20, "mu": 8,
    },
}  # fmt: skip


def narrow(parents: Parents, rng: np.random.Generator) -> tuple[Individual, int]:
    """Only the elites of the first two cells breed."""
    k = int(rng.integers(2))
    holder = parents.holders[k]
    assert holder is not None
    return holder, int(parents.cells[k])


def flip(genome: bytes, rng: np.random.Generator, generation: int) -> bytes:
    """One byte anew."""
    at = int(rng.integers(len(genome)))
    return genome[:at] + bytes([int(rng.integers(256))]) + genome[at + 1 :]


def dark(log_odds: Any, images: Any) -> Any:
    """Dark pictures first; the classes do not matter."""
    light = images.reshape(len(images), -1).mean(axis=1, keepdims=True)
    return np.broadcast_to(-light, log_odds.shape)


def checks(run: Path) -> dict[str, Check]:
    return {check.name: check for check in verify(run)}


# as it comes


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_unchanged_it_changes_nothing(toy_campaign: Make, tmp_path: Path, algorithm: str) -> None:
    config = toy_campaign(evolution=ALGORITHMS[algorithm])
    plain = evolve(config, tmp_path / "plain")
    tools = toolbox(config)
    assert isinstance(tools, base.Toolbox)
    given = evofool.evolve(config, tmp_path / "given", toolbox=tools)
    assert given.summary["archive_digest"] == plain.summary["archive_digest"]
    assert "toolbox" not in json.loads((tmp_path / "given" / "manifest.json").read_text())


def test_what_a_tool_does_is_what_deap_does_with_it(toy_campaign: Make, tmp_path: Path) -> None:
    """The same function in a new registration: another tool by name, and the same campaign."""
    config = toy_campaign()
    tools = toolbox(config)
    tools.register("mutate", tools.mutate)
    run = evolve(config, tmp_path / "run", toolbox=tools)
    assert run.summary["archive_digest"] == evolve(config, tmp_path / "b").summary["archive_digest"]
    names = json.loads((tmp_path / "run" / "manifest.json").read_text())["toolbox"]
    assert list(names) == ["mutate"]
    assert names["mutate"].endswith("Bytes.mutate")


# changed

CHANGES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "select": ("select", narrow, {}),
    "mutate": ("mutate", flip, {}),
    "sample": ("sample", lambda rng: bytes(36), {}),
    "fitness": ("fitness", dark, {}),
}


def changed(config: Any, change: str) -> Any:
    tools = toolbox(config)
    name, tool, options = CHANGES[change]
    tools.register(name, tool, **options)
    return tools


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("algorithm", ["map_elites", "lagging"])
def test_a_changed_tool_is_used_named_and_asked_for_again(
    toy_campaign: Make, tmp_path: Path, change: str, algorithm: str
) -> None:
    config = toy_campaign(evolution=ALGORITHMS[algorithm])
    plain = evolve(config, tmp_path / "plain").summary["archive_digest"]
    whole = evolve(config, tmp_path / "whole", toolbox=changed(config, change))
    assert whole.summary["archive_digest"] != plain
    run, calls = tmp_path / "run", 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 15

    with pytest.raises(Interrupted):
        evolve(config, run, toolbox=changed(config, change), should_stop=stop)
    manifest = json.loads((run / "manifest.json").read_text())
    name = CHANGES[change][1].__qualname__
    wanted = None if "<" in name else f"{__name__}.{name}"
    assert manifest["toolbox"] == {change: wanted}
    before = {file.name: file.read_bytes() for file in run.glob("*.*") if file.suffix != ".lock"}
    for other in (
        None,
        toolbox(config),
        changed(config, "mutate" if change != "mutate" else "select"),
    ):
        with pytest.raises(FolderError, match=rf"with tools of a program.*: {change}.*toolbox=TOO"):
            resume(run, toolbox=other)
    assert before == {name: (run / name).read_bytes() for name in before}
    done = evofool.resume(run, toolbox=changed(config, change))
    assert done.summary["archive_digest"] == whole.summary["archive_digest"]


def test_a_run_of_its_own_tools_takes_no_others(toy_campaign: Make, tmp_path: Path) -> None:
    config = toy_campaign(stop={"generations": 2})
    evolve(config, tmp_path / "run")
    with pytest.raises(FolderError, match=r"own tools, but mutate \(.*flip\) of this toolbox are"):
        resume(tmp_path / "run", toolbox=changed(config, "mutate"))
    resume(tmp_path / "run", toolbox=toolbox(config), overrides=["stop.generations=3"])


def test_deap_selection_draws_from_the_generation(toy_campaign: Make, tmp_path: Path) -> None:
    """``selTournament`` names Python's global generator, which is neither read nor moved."""
    config = toy_campaign(evolution=ALGORITHMS["mu_plus_lambda"])
    digests = set()
    for seed in range(2):
        tools = toolbox(config)
        tools.register("select", deap.tools.selTournament, tournsize=3)
        random.seed(seed)
        run = evolve(config, tmp_path / str(seed), toolbox=tools)
        assert random.random() == random.Random(seed).random()
        digests.add(run.summary["archive_digest"])
    assert len(digests) == 1
    assert digests != {evolve(config, tmp_path / "plain").summary["archive_digest"]}
    found = checks(tmp_path / "0")
    assert not [check for check in found.values() if check.ok is False]
    assert found["toolbox"].detail == (
        "of a program: select (deap.tools.selection.selTournament); its choices are not compared"
    )


def test_a_victim_that_is_an_object(
    toy_campaign: Make, toy_victim: Classifier, tmp_path: Path
) -> None:
    config = {key: value for key, value in toy_campaign().items() if key != "classifier"}
    tools = toolbox(config, classifier=toy_victim)
    tools.register("mutate", flip)
    run = evofool.evolve(config, tmp_path / "run", classifier=toy_victim, toolbox=tools)
    assert run.summary["evaluations"] == 20 + 12 * 20
    inside = {**config, "classifier": toy_victim}
    tools = toolbox(inside)
    tools.register("mutate", flip)
    again = evofool.evolve(inside, tmp_path / "again", toolbox=tools)
    assert again.summary["archive_digest"] == run.summary["archive_digest"]


# what can be looked at again


@pytest.mark.parametrize("change", CHANGES)
def test_verify_says_what_it_cannot_see(toy_campaign: Make, tmp_path: Path, change: str) -> None:
    config = toy_campaign(evolution=ALGORITHMS["lagging"])
    run = tmp_path / "run"
    evolve(config, run, toolbox=changed(config, change))
    found = checks(run)
    assert not [check for check in found.values() if check.ok is False]
    assert found["toolbox"].ok is None
    bred = change not in ("sample", "mutate")
    assert found["ancestry"].ok is (True if bred else None)
    told = {
        "select": "its choices are not compared",
        "fitness": "no fitness is computed again",
    }
    assert told.get(change, "no ancestor is bred again") in found["toolbox"].detail


def test_verify_still_sees_the_rest(toy_campaign: Make, tmp_path: Path) -> None:
    """A fitness that its log-odds do not give is no fault of a program's; a confidence is."""
    config = toy_campaign()
    evolve(config, tmp_path / "run", toolbox=changed(config, "fitness"))
    with sqlite3.connect(tmp_path / "run" / "run.sqlite") as database:
        database.execute("UPDATE elites SET confidence = 0.123 WHERE class_index = 2")
    database.close()
    assert checks(tmp_path / "run")["elites"].ok is False


def test_ancestors_of_a_program_are_not_shown(toy_campaign: Make, tmp_path: Path) -> None:
    config = toy_campaign()
    evolve(config, tmp_path / "run", toolbox=changed(config, "mutate"))
    page = build(tmp_path / "run").page.read_text()
    assert "bred with tools of a program, which are not available here: mutate" in page
    with pytest.raises(UsageError, match=r"was bred with tools of a program: mutate \(.*flip\)"):
        early_and_late(tmp_path / "run", 2, 2)


@pytest.mark.parametrize("toolbox", [3, "x", ["mutate"], {"mutate": 3}, {"x": None}])
def test_a_hostile_manifest(toy_campaign: Make, tmp_path: Path, toolbox: Any) -> None:
    run = tmp_path / "run"
    evolve(toy_campaign(stop={"generations": 1}), run)
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "toolbox": toolbox}))
    with pytest.raises(StoreError, match=r"manifest\.json: damaged: toolbox"):
        resume(run)


# what cannot be


@pytest.mark.parametrize("name", ["evaluate", "map", "clone"])
def test_what_belongs_to_the_campaign(toy_campaign: Make, tmp_path: Path, name: str) -> None:
    config = toy_campaign()
    tools = toolbox(config)
    tools.register(name, print)
    with pytest.raises(UsageError, match=f"toolbox: {name} belongs to the campaign.*`fitness`"):
        evolve(config, tmp_path / "run", toolbox=tools)
    assert not (tmp_path / "run").exists()


def test_toolboxes_that_do_not_fit(toy_campaign: Make, tmp_path: Path) -> None:
    config = toy_campaign()
    with pytest.raises(UsageError, match=r"is a Toolbox; start with evofool.evolution.toolbox"):
        evolve(config, tmp_path / "a", toolbox=base.Toolbox())
    tools = toolbox(config)
    tools.unregister("mate")
    with pytest.raises(UsageError, match="no longer has a mate; register one"):
        evolve(config, tmp_path / "a", toolbox=tools)
    other = toy_campaign(evolution=ALGORITHMS["mu_plus_lambda"])
    with pytest.raises(
        UsageError, match=r"made for map_elites, but evolution.algorithm is mu_plus"
    ):
        evolve(other, tmp_path / "a", toolbox=toolbox(config))
    cma = toy_campaign(evolution={"algorithm": "cma_es", "target": 1}, encoding={"name": "direct"})
    tools = toolbox(cma)
    tools.register("mutate", flip)
    with pytest.raises(UsageError, match="cma_es does not use mutate"):
        evolve(cma, tmp_path / "a", toolbox=tools)
    assert not (tmp_path / "a").exists()


def _raises(*_: Any) -> Any:
    raise ZeroDivisionError("oh")


@pytest.mark.parametrize(
    ("algorithm", "name", "tool", "wanted"),
    [
        ("map_elites", "mutate", _raises, r"tool mutate \(.*_raises\) failed \(Zero"),
        ("map_elites", "select", _raises, r"tool select \(.*\) failed \(ZeroDivisionError: oh"),
        ("map_elites", "select", lambda *_: 3, "select returned a int, but must return an indi"),
        ("map_elites", "select", lambda p, r: (p.holders[0], -1), "select returned a tuple of 2"),
        ("mu_plus_lambda", "select", lambda p, k: p[0], "a Individual, but must return a list of"),
        ("mu_plus_lambda", "select", lambda p, k: [], "a list of 0, but must return a list of"),
        ("map_elites", "fitness", _raises, r"fitness of the toolbox \(.*_raises\) failed \(Zero"),
        ("map_elites", "fitness", lambda o, i: o[:, :2], r"returned float64 \(\d+, 2\), but"),
        ("map_elites", "mutate", lambda *_: b"", "encoding bytes rendered uint8"),
    ],
)  # fmt: skip
def test_a_tool_that_fails_ends_in_one_message(
    toy_campaign: Make, tmp_path: Path, algorithm: str, name: str, tool: Any, wanted: str
) -> None:
    config = toy_campaign(evolution=ALGORITHMS[algorithm])
    tools = toolbox(config)
    tools.register(name, tool)
    with pytest.raises(ScoringError, match=wanted) as caught:
        evolve(config, tmp_path / "run", toolbox=tools)
    assert "evofool resume" in str(caught.value)


def test_only_evolution_takes_a_toolbox(tmp_path: Path, toy_campaign: Make) -> None:
    manifest = new_manifest("costs", None, 1, None)
    with ExperimentFolder.create(tmp_path / "run", manifest, "") as _:
        pass
    with pytest.raises(EvofoolError, match="a run of kind costs takes no toolbox"):
        evofool.resume(tmp_path / "run", toolbox=toolbox(toy_campaign()))


def test_the_toolbox_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = DOCS.read_text().split("```python\n")[2].split("```", 1)[0]
    space: dict[str, Any] = {}
    exec(compile(block, str(DOCS), "exec"), space)
    assert space["run"].summary["generations"] == 5
    manifest = json.loads((tmp_path / "runs" / "distinct" / "manifest.json").read_text())
    assert list(manifest["toolbox"]) == ["select"]
