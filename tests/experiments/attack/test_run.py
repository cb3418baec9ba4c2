"""A run of attacks: what it stores, what it leaves, how it goes on."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

import evofool
from evofool.attacks.runs.rows import IMAGES, ResultRow, read_results, role_of
from evofool.classifiers import load_classifier
from evofool.config.attack import load_attacks
from evofool.errors import (
    ConfigError,
    FolderError,
    Interrupted,
    RunBusyError,
    ScoringError,
    StoreError,
    UsageError,
)
from evofool.evolution.reading import read as read_pictures
from evofool.experiments.attack.study import AttackStudy
from evofool.experiments.engine import ExperimentProgress, life
from evofool.experiments.runs import verify
from evofool.images import decode_png, encode_png, read_text
from evofool.scoring import Scorer
from evofool.store import CampaignFolder
from evofool.store.experiment import ExperimentFolder

attack, resume_attacks, status = (
    partial(life.begin, AttackStudy),
    partial(life.resume, AttackStudy),
    partial(life.status, AttackStudy),
)

TOYS = Path(__file__).parents[2] / "toys"
VICTIM = f"{TOYS / 'linear.py'}:victim"


def config(**sections: Any) -> dict[str, Any]:
    return {
        "classifier": VICTIM,
        "images": {"noise": "uniform", "count": 20},
        "attacks": [
            {"name": "fgsm", "eps": ["4/255", "16/255"]},
            {"name": "pgd", "eps": "16/255", "targets": "next", "steps": 20},
        ],
        "scoring": {"batch": 8, "workers": 2},
        "chunk": 6,
        "seed": 3,
        **sections,
    }


def table(run: Path, *, timeless: bool = True) -> list[dict[str, str]]:
    text = (run / "results.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    if timeless:
        for row in rows:
            del row["seconds"]
    return rows


def clean_pictures(path: Path) -> NDArray[np.uint8]:
    with ExperimentFolder.open(path) as run:
        rows = run.rows(run.roles()[IMAGES], "image")
    return np.stack([decode_png(row.png or b"") for row in rows])


def change(run: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(run / "run.sqlite")
    with database:
        database.execute(statement, values)
        database.execute("DELETE FROM meta WHERE key = 'rows_sha256'")  # as whoever means it would
    database.close()


def tamper(run: Path, type: str, key: str, value: str, where: str = "1") -> None:
    """Set a field of stored rows to an expression of SQL, ``$`` standing for what it was."""
    old = f"json_extract(content, '$.{key}')"
    change(
        run,
        f"UPDATE rows SET content = json_set(content, '$.{key}', {value.replace('$', old)})"
        f" WHERE type = '{type}' AND ({where})",
    )


def of_attack(run: Path, index: int) -> str:
    """The condition for the rows of one attack."""
    with ExperimentFolder.open(run) as folder:
        return f"address = '{folder.roles()[role_of(index)]}'"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attack") / "run"
    attack(config(), path, command="evofool attack toy.yaml")
    return path


def test_it_leaves_what_people_look_for(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "config.yaml", "manifest.json", "run.sqlite", "summary.json", "results.csv", "images",
        "perturbations", "equations",
    }  # fmt: skip
    assert len(list((finished / "equations").iterdir())) == 3
    assert len(list((finished / "perturbations").iterdir())) == 60
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["kind"] == "attack"
    assert manifest["command"] == "evofool attack toy.yaml"


def test_what_the_table_claims_is_in_the_pictures(finished: Path) -> None:
    victim = load_classifier(VICTIM)
    rows = table(finished)
    assert len(rows) == 60
    clean = clean_pictures(finished)
    with Scorer(victim) as scorer:
        for row in rows:
            pixels = decode_png((finished / row["png"]).read_bytes())
            scores = scorer.score(pixels[None])
            label = int(scores.labels[0])
            assert label == int(row["predicted"])
            assert float(scores.confidence[0, label]) == pytest.approx(float(row["confidence"]))
            wanted = label == int(row["target"]) if row["target"] else label != int(row["source"])
            assert wanted == (row["success_png"] == "1")
            change = pixels.astype(int) - clean[int(row["image"])]
            assert float(row["linf"]) == pytest.approx(np.abs(change).max() / 255)
            assert float(row["l2"]) == pytest.approx(np.sqrt((change**2).sum()) / 255)
            assert int(row["l0"]) == (change != 0).any(axis=0).sum()
            assert float(row["linf"]) <= float(row["effective_eps"]) <= float(row["eps"])


def test_the_summary_adds_the_table_up(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    rows = table(finished)
    assert (summary["images"], summary["attacked"], summary["left_out"]) == (20, 20, 0)
    assert summary["labels"] == "victim"
    for group in summary["attacks"]:
        own = [row for row in rows if int(row["attack_index"]) == group["index"]]
        hits = sum(row["success_png"] == "1" for row in own)
        assert (group["n"], group["success_png"]["successes"]) == (len(own), hits)
        assert group["success_png"]["low"] <= hits / len(own) <= group["success_png"]["high"]
        assert group["forward_images"] == sum(int(row["forward_images"]) for row in own)
        assert group["backward_images"] == sum(int(row["backward_images"]) for row in own)
    booked = 20 + sum(
        int(row["forward_images"]) + int(row["verify_forward_images"]) for row in rows
    )
    assert summary["forward_images"] == booked
    assert summary["backward_images"] == sum(int(row["backward_images"]) for row in rows)


def test_provenance_travels_with_the_picture(finished: Path) -> None:
    row = table(finished)[-1]
    claim = json.loads(read_text(finished / row["png"])["evofool"])
    assert claim["attack"] == "pgd"
    assert claim["class_index"] == int(row["predicted"])
    assert claim["target_class"] == int(row["target"])
    assert claim["run_id"] == json.loads((finished / "manifest.json").read_text())["run_id"]


def test_provenance_is_found_again_when_a_tool_strips_it(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "images", tmp_path / "images")
    first = table(finished)[0]
    bare = tmp_path / "images" / "renamed.png"
    bare.write_bytes(encode_png(decode_png((finished / first["png"]).read_bytes())))
    (reading,) = read_pictures([bare], VICTIM)
    assert reading.sidecar
    assert reading.claim is not None
    assert reading.claim["class_index"] == int(first["predicted"])


def test_it_repeats_itself_and_knows_other_seeds(finished: Path, tmp_path: Path) -> None:
    attack(config(), tmp_path / "again")
    assert table(tmp_path / "again") == table(finished)
    attack(config(), tmp_path / "other", seed=4)
    assert table(tmp_path / "other") != table(finished)


def test_the_number_of_workers_and_the_chunk_do_not_matter(finished: Path, tmp_path: Path) -> None:
    attack(config(chunk=20, scoring={"batch": 5, "workers": 1}), tmp_path / "run")
    assert table(tmp_path / "run") == table(finished)


def test_a_resume_of_what_is_finished_makes_the_files_anew(tmp_path: Path) -> None:
    run = tmp_path / "run"
    attack(config(), run)
    before, rows = json.loads((run / "summary.json").read_text()), table(run, timeless=False)
    (run / "results.csv").unlink()
    (run / "images" / "000-00003.png").unlink()
    after = dict(resume_attacks(run).summary)
    assert table(run, timeless=False) == rows
    assert (run / "images" / "000-00003.png").is_file()
    assert after.pop("seconds") >= before.pop("seconds")
    assert after == before


class Stop:
    """True from the nth question on."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("questions", [0, 2, 4, 9, 20, 40])
def test_an_interrupted_run_goes_on_to_the_same_end(
    finished: Path, tmp_path: Path, questions: int
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted, match="evofool resume"):
        attack(config(), run, should_stop=Stop(questions))
    assert status(run)["status"] == "interrupted"
    evofool.resume(run)
    assert table(run) == table(finished)
    found, wanted = status(run), status(finished)
    for key in ("status", "results", "queries", "forward_images", "backward_images"):
        assert found[key] == wanted[key]


def test_progress_goes_forward(tmp_path: Path) -> None:
    seen: list[ExperimentProgress] = []
    attack(config(), tmp_path / "run", progress=seen.append)
    assert seen[0].step == "clean images"
    shares = [p.share_done for p in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    *_, last, report = seen
    assert (last.step, last.done, last.steps) == ("pgd (3/3)", 3, 4)
    assert last.tally is not None
    fooled = sum(row["success_png"] == "1" for row in table(tmp_path / "run")[40:])
    assert (last.tally.of, last.tally.done, last.tally.hits) == (20, 20, fooled)
    assert report.queries == status(tmp_path / "run")["queries"]


# budgets


def test_a_spent_budget_keeps_what_there_is_and_a_larger_one_goes_on(
    finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    scoring = {"batch": 8, "workers": 2}
    result = attack(config(scoring={**scoring, "budget": 110}), run)
    assert result.summary["stop_reason"] == "budget"
    assert result.summary["queries"] <= 110
    groups = result.summary["attacks"]
    assert 0 < sum(group["n"] for group in groups) < 60
    assert any("not reached" in note for group in groups for note in group["notes"])
    rows = table(run)
    assert rows == [row for row in table(finished) if row in rows] or any(
        row["complete"] == "0" for row in rows
    )
    again = resume_attacks(run)  # nothing changes without a larger one
    assert again.summary["queries"] == result.summary["queries"]
    assert table(run) == rows
    whole = resume_attacks(run, overrides=["scoring.budget=100000"])
    assert whole.summary["stop_reason"] is None
    assert table(run) == table(finished)


def uneven(budget: int | None) -> dict[str, Any]:
    """One chunk of images that take very different numbers of steps."""
    entry = {"name": "pgd", "eps": "24/255", "step_size": "1/255", "steps": 40, "targets": "next"}
    scoring = {"batch": 8, "workers": 2, "budget": budget}
    return config(attacks=[entry], scoring=scoring, chunk=20)


def test_a_larger_budget_attacks_only_what_was_cut_short(tmp_path: Path) -> None:
    attack(uneven(None), tmp_path / "whole")
    run = tmp_path / "run"
    for budget in range(340, 600, 20):
        attack(uneven(budget), tmp_path / str(budget))
        complete = {row["image"]: row for row in table(tmp_path / str(budget))
                    if row["complete"] == "1"}  # fmt: skip
        if 0 < len(complete) < 20:
            run = tmp_path / str(budget)
            break
    assert 0 < len(complete) < 20
    first = table(run)
    spent = status(run)["queries"]
    resume_attacks(run, overrides=[f"scoring.budget={spent + 22}"])  # enough to start, no more
    for before, after in zip(first, table(run), strict=True):
        if before["complete"] == "1":
            assert after == before
        assert int(after["success_png"]) >= int(before["success_png"])
    asked = status(run)["queries"]
    resume_attacks(run, overrides=["scoring.budget=100000"])
    assert table(run) == table(tmp_path / "whole")
    costs = sum(
        int(row["forward_images"]) + int(row["verify_forward_images"])
        for row in table(run)
        if row["image"] not in complete
    )
    assert status(run)["forward_images"] - costs <= asked


def test_a_stored_result_gives_way_to_no_lesser_one(finished: Path) -> None:
    with ExperimentFolder.open(finished) as run:
        rows = read_results(run, run.roles()[role_of(1)])
    row = next(row for row in rows if row.success)
    cut = replace(row, complete=False, seconds=9.0)
    lesser = replace(cut, success=False)

    def stays(before: ResultRow, after: ResultRow) -> bool:
        return not after.is_no_worse_than(before)

    assert stays(row, cut)
    assert stays(cut, lesser)
    assert not stays(cut, cut)
    assert not stays(lesser, cut)
    assert not stays(cut, replace(lesser, complete=True))


def test_a_budget_for_the_clean_images_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scoring\.budget: 20 queries"):
        attack(config(scoring={"budget": 20}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# targets and labels


def shy(folder: Path, reject: int = 2) -> str:
    """The linear victim, one of whose classes stands for no answer."""
    (folder / "shy.py").write_text(
        "import dataclasses, runpy\n"
        f"victim_of = runpy.run_path({str(TOYS / 'linear.py')!r})['victim']\n"
        f"def victim(): return dataclasses.replace(victim_of(), reject={reject})\n"
    )
    return f"{folder / 'shy.py'}:victim"


def targets_of(run: Path) -> list[tuple[int, int]]:
    return [(int(row["image"]), int(row["target"])) for row in table(run)]


def test_targets(tmp_path: Path) -> None:
    names = ["next", "random", "least_likely", 2, "all"]
    entries = [{"name": "fgsm", "targets": targets} for targets in names]
    attack(config(attacks=entries, images={"noise": "uniform", "count": 8}), tmp_path / "run")
    rows = table(tmp_path / "run")
    of = {name: [r for r in rows if int(r["attack_index"]) == i] for i, name in enumerate(names)}
    assert all(row["source"] != row["target"] for row in rows)
    assert all(int(r["target"]) == (int(r["source"]) + 1) % 7 for r in of["next"])
    assert len({r["target"] for r in of["random"]}) > 1
    assert {r["target"] for r in of[2]} == {"2"}
    assert len(of["all"]) == 8 * 6
    assert len({r["png"] for r in rows}) == len(rows)
    with Scorer(load_classifier(VICTIM)) as scorer:
        least = scorer.confidence(clean_pictures(tmp_path / "run")).argmin(axis=1)
    assert [int(r["target"]) for r in of["least_likely"]] == least.tolist()


def test_nothing_is_aimed_at_the_class_for_no_answer(tmp_path: Path) -> None:
    names = ["next", "random", "least_likely", "all", "none"]
    entries = [{"name": "fgsm", "targets": targets} for targets in names]
    images = {"noise": "uniform", "count": 40}
    entries.append({"name": "rubbish", "threshold": 0})  # the share of all noise
    free, run = tmp_path / "free", tmp_path / "run"
    attack(config(attacks=entries[:4], images=images), free)
    usual = [{r["target"]: r for r in table(free) if int(r["attack_index"]) == n} for n in (0, 2)]
    for reject in {int(next(iter(targets))) for targets in usual}:
        folder = tmp_path / str(reject)
        folder.mkdir()
        victim = shy(folder, reject)
        run = folder / "run"
        attack(config(classifier=victim, attacks=entries, images=images), run)
        rows = table(run)
        aimed = [row for row in rows if row["attack"] == "fgsm"]
        assert aimed
        assert not [row for row in aimed if str(reject) in (row["target"], row["source"])]
        assert {r["attack_index"] for r in aimed} == set("01234")
        assert len([row for row in rows if row["attack"] == "rubbish"]) == 40
        assert [check.name for check in verify(run) if not check.ok] == []
        with pytest.raises(ConfigError, match='means "no answer"'):
            attack(config(classifier=victim, targets=reject), tmp_path / "no")


def test_a_common_target_is_for_those_that_can_be_aimed(tmp_path: Path) -> None:
    result = attack(config(attacks=["fgsm", "step-ll"], targets=1), tmp_path / "run")
    assert [group["targets"] for group in result.summary["attacks"]] == [1, "none"]


def test_a_common_target_is_not_for_those_without_a_goal(tmp_path: Path) -> None:
    images = {"noise": "normal", "count": 4}
    attacks = [{"name": "rubbish", "threshold": 0}, "fgsm"]
    result = attack(config(attacks=attacks, images=images, targets="next"), tmp_path / "run")
    assert [group["targets"] for group in result.summary["attacks"]] == ["none", "next"]


# substitutes


def test_a_substitute_that_is_named(tmp_path: Path) -> None:
    entry = {"name": "substitute", "substitute": VICTIM, "inner": {"name": "fgsm", "eps": 0.2}}
    run = tmp_path / "run"
    result = attack(config(attacks=[entry]), run)
    (group,) = result.summary["attacks"]
    assert group["forward_shared_images"] == 0
    assert group["success_png"]["successes"] > 0
    assert group["parameters"]["substitute"] == VICTIM
    assert any(note.startswith("the substitute is ") for note in group["notes"])
    other = {**entry, "substitute": "mnist-lenet"}
    unknown = {**entry, "substitute": "nothing"}
    number = {**entry, "substitute": 3}
    for wrong, words in (
        (other, "has images of shape"),
        (unknown, "nothing"),
        (number, "must be text"),
    ):
        with pytest.raises(ConfigError, match=rf"attacks\[0\]\.substitute: .*{words}"):
            attack(config(attacks=[wrong]), tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_the_file_of_a_substitute_lies_beside_the_config(tmp_path: Path) -> None:
    inner = {"name": "fgsm", "eps": 0.2}
    entry = {"name": "substitute", "substitute": "own.safetensors", "inner": inner}
    written = tmp_path / "attack.yaml"
    written.write_text(yaml.safe_dump(config(attacks=[entry])), encoding="utf-8")
    expected = tmp_path / "own.safetensors"
    with pytest.raises(ConfigError, match=re.escape(f"no such file: {expected}")):
        load_attacks(written)
    expected.write_bytes(b"")
    found = load_attacks(written).config.attacks[0].options["substitute"]
    assert found == str(expected)


@pytest.mark.parametrize(
    ("inner", "targets", "words"),
    [
        ("step-ll", "next", r"attacks\[0\]\.targets: substitute: step-ll is untargeted"),
        ("gradient-ascent", "none", r"attacks\[0\]: substitute: gradient-ascent is targeted"),
        ("rubbish", "none", r"attacks\[0\]\.inner: substitute: inner cannot be rubbish"),
    ],
)
def test_inner_attacks_that_do_not_fit(
    tmp_path: Path, inner: str, targets: str, words: str
) -> None:
    entry = {"name": "substitute", "inner": inner, "targets": targets}
    with pytest.raises(ConfigError, match=words):
        attack(config(attacks=[entry]), tmp_path / "run")


def test_seeds_tell_a_grid_apart(tmp_path: Path) -> None:
    inner = {"name": "pgd", "eps": 0.1}
    entries = [
        {"name": "pgd", "seed": [5, 6]},
        {"name": "substitute", "substitute": VICTIM, "inner": inner},
        {"name": "substitute", "substitute": VICTIM, "inner": {**inner, "seed": 9}, "seed": 4},
    ]
    images = {"noise": "uniform", "count": 3}
    result = attack(config(attacks=entries, images=images), tmp_path / "run")
    parameters = [group["parameters"] for group in result.summary["attacks"]]
    assert [each["seed"] for each in parameters] == [5, 6, 3, 4]
    assert [each["inner"]["seed"] for each in parameters[2:]] == [3, 9]
    for row in table(tmp_path / "run"):
        told = parameters[int(row["attack_index"])]
        assert json.loads(row["parameters"]) == told
        claim = json.loads(read_text(tmp_path / "run" / row["png"])["evofool"])
        assert claim["parameters"] == told


def test_images_that_are_wrong_already_are_left_out_and_counted(tmp_path: Path) -> None:
    images = {"dataset": "mnist-sample", "limit": 60, "offset": 30}
    wanted = config(classifier="mnist-lenet", images=images, attacks=["fgsm"])
    result = attack(wanted, tmp_path / "a")
    assert result.summary["labels"] == "given"
    assert result.summary["left_out"] == 1
    assert result.summary["attacked"] == result.summary["attacks"][0]["n"] == 59
    result = attack({**wanted, "only_correct": False}, tmp_path / "b")
    assert result.summary["attacked"] == 60
    assert result.summary["correct"] == 59


def test_a_victim_of_labels_alone(tmp_path: Path) -> None:
    pytest.importorskip("foolbox")
    (tmp_path / "v.py").write_text(
        "import numpy as np\n"
        "def f():\n    return lambda x: (x.reshape(len(x), -1).astype(int).sum(1) // 9) % 7\n"
    )
    victim = {"name": f"{tmp_path / 'v.py'}:f", "input_shape": [1, 6, 6], "output": "label",
              "labels": list("abcdefg")}  # fmt: skip
    run = tmp_path / "run"
    peers = [{"name": "foolbox:LinfAdditiveUniformNoiseAttack", "eps": 0.1}]
    result = attack(config(classifier=victim, attacks=peers), run)
    assert result.summary["attacks"][0]["n"] == 20
    assert {row["confidence"] for row in table(run)} == {""}
    for entry, words in (
        ({"name": "fgsm"}, "needs gradients"),
        ({**peers[0], "targets": "least_likely"}, "no class is least likely"),
    ):
        with pytest.raises(ConfigError, match=rf"attacks\[0\]: .*{words}"):
            attack(config(classifier=victim, attacks=[entry]), tmp_path / "no")
    assert not (tmp_path / "no").exists()


# what is refused


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"attacks": []}, "attacks: is an empty list"),
        ({"attacks": [{"eps": 1}]}, "attacks[0].name: is missing"),
        ({"attacks": ["fgsm", "fgms"]}, "attacks[1]: no attack is called 'fgms'"),
        ({"attacks": [{"name": "fgsm", "epss": 1}]}, "attacks[0].epss: unknown parameter"),
        ({"attacks": [{"name": "fgsm", "eps": [0.1, -1]}]}, "attacks[0].eps"),
        ({"attacks": [{"name": "step-ll", "targets": 3}]}, "attacks[0].targets: step-ll is untarg"),
        ({"attacks": [{"name": "fgsm", "targets": 7}]}, "attacks[0].targets: no class 7"),
        ({"targets": "zebra"}, "targets: no class is called 'zebra'"),
        ({"targets": 1.5}, "targets: must be one of none"),
        ({"chunk": 0}, "chunk: must be at least 1"),
        ({"kind": "evolve"}, "`evofool evolve`"),
        ({"stop": {}}, "unknown key"),
        ({"classifier": "nothing"}, "classifier"),
        ({"scoring": {"device": "cuda:9"}}, "cuda:9"),
    ],
)
def test_bad_configs(tmp_path: Path, sections: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        attack(config(**sections), tmp_path / "run")
    assert words in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_black_box_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    black = f"{TOYS / 'exact.py'}:victim"
    with pytest.raises(ConfigError, match=r"attacks\[0\]: fgsm needs gradients, which"):
        attack(config(classifier=black), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_victim_that_fails_midway_keeps_what_was_done(tmp_path: Path) -> None:
    pytest.importorskip("foolbox")
    (tmp_path / "v.py").write_text(
        "import numpy as np\n"
        "calls = [0]\n"
        "def predict(x):\n"
        "    calls[0] += 1\n"
        "    if calls[0] == 9: raise RuntimeError('gone')\n"
        "    return x.reshape(len(x), -1)[:, :7] / 255.0\n"
        "def f(): return predict\n"
    )
    victim = {"name": f"{tmp_path / 'v.py'}:f", "input_shape": [1, 6, 6]}
    peer = [{"name": "foolbox:LinfAdditiveUniformNoiseAttack", "eps": 0.1}]
    with pytest.raises(ScoringError, match="evofool resume"):
        attack(config(classifier=victim, attacks=peer), tmp_path / "run")
    assert status(tmp_path / "run")["images"] == 20


def test_overrides_of_a_resume(finished: Path) -> None:
    with pytest.raises(UsageError, match=r"only scoring\.workers, scoring\.budget"):
        resume_attacks(finished, overrides=["seed=4"])


def test_other_kinds_and_folders_in_use(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="already holds a run"):
        attack(config(), finished)
    with ExperimentFolder.open(finished, writable=True), pytest.raises(RunBusyError):
        resume_attacks(finished)
    manifest = json.loads((finished / "manifest.json").read_text())
    with CampaignFolder.create(
        tmp_path / "evolve",
        {**manifest, "kind": "evolve", "encoding": {"name": "x"}, "schema_version": 1},
        "",
    ):
        pass
    with pytest.raises(FolderError, match="kind 'evolve', not attack"):
        status(tmp_path / "evolve")


# a run folder from anyone


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize(
    ("type", "key", "value", "where"),
    [
        ("image", "label", "7", "item = 3"),
        ("image", "predicted", "-1", "item = 3"),
        ("image", "confidence", "2", "item = 3"),
        ("image", "used", "2", "item = 3"),
        ("image", "item", "4", "item = 3"),
        ("image", "more", "4", "item = 3"),
        ("result", "predicted", "99", "1"),
        ("result", "image", "99", "1"),
        ("result", "image", "-1", "1"),
        ("result", "target", "7", "1"),
        ("result", "success", "3", "1"),
        ("result", "confidence", "-0.5", "1"),
        ("result", "l2", "'inf'", "1"),
        ("chunk", "notes", "3", "1"),
        ("chunk", "notes", "json('[1]')", "1"),
    ],
)
def test_a_tampered_row_is_one_message(
    copied: Path, type: str, key: str, value: str, where: str
) -> None:
    tamper(copied, type, key, value, where)
    with pytest.raises(StoreError):
        resume_attacks(copied)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rows SET png = x'00' WHERE type = 'image' AND item = 3",
        "UPDATE rows SET png = x'89504e47' WHERE type = 'result'",
        "DELETE FROM rows WHERE type = 'image' AND item = 3",
        "UPDATE works SET queries = -1",
        "UPDATE works SET notes = '[3]'",
        "UPDATE works SET definition = '['",
        "UPDATE meta SET value = '[' WHERE key = 'roles'",
        "UPDATE meta SET value = '{\"images\": 3}' WHERE key = 'roles'",
        "CREATE TABLE more (x)",
        "CREATE TRIGGER t AFTER INSERT ON meta BEGIN SELECT 1; END",
        "DROP TABLE rows",
    ],
)
def test_a_tampered_database_is_one_message(copied: Path, statement: str) -> None:
    change(copied, statement)
    with pytest.raises((StoreError, evofool.EvofoolError)):
        resume_attacks(copied)


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [("image", "99", "item = 3"), ("target", "3", "item = 3"), ("item", "$ + 60", "item = 3")],
)
def test_results_of_nothing(copied: Path, key: str, value: str, where: str) -> None:
    tamper(copied, "result", key, value, f"{where} AND {of_attack(copied, 0)}")
    if key == "item":
        change(copied, "UPDATE rows SET item = item + 60 WHERE type = 'result' AND item = 3")
    for look in (lambda: list(verify(copied)), lambda: resume_attacks(copied)):
        with pytest.raises(StoreError, match=r"belongs to no image and target|claims to be"):
            look()


def test_results_of_an_image_that_is_gone(copied: Path) -> None:
    change(copied, "DELETE FROM rows WHERE type = 'image' AND item = 19")
    for look in (lambda: list(verify(copied)), lambda: resume_attacks(copied)):
        with pytest.raises(StoreError, match="belongs to no image and target"):
            look()


def test_pictures_of_another_shape(copied: Path) -> None:
    png = encode_png(np.zeros((1, 7, 7), np.uint8))
    for type in ("result", "image"):
        change(copied, "UPDATE rows SET png = ? WHERE type = ?", png, type)
        with pytest.raises(StoreError, match="does not have the shape"):
            resume_attacks(copied)


def test_verify_believes_nothing(copied: Path) -> None:
    assert all(check.ok for check in verify(copied))
    (copied / "images" / "000-00001.png").write_bytes(b"")
    where = f"item = 2 AND {of_attack(copied, 0)}"
    tamper(copied, "result", "success", "json(iif($, 'false', 'true'))", where)
    tamper(copied, "result", "l2", "$ + 1.0", where)
    tamper(copied, "result", "confidence", ".123", where)
    failed = {check.name for check in verify(copied) if check.ok is False}
    assert failed == {"files", "results.csv", "successes", "norms", "confidences"}


def test_verify_knows_thresholds(tmp_path: Path) -> None:
    images = {"noise": "normal", "count": 20}
    ascent = {"name": "gradient-ascent", "targets": "random", "steps": 3, "confidence": 0.6}
    attacks = [{"name": "rubbish", "threshold": [0.1, 0.5]}, ascent]
    run = tmp_path / "run"
    attack(config(images=images, attacks=attacks), run)
    hits = [[row["success_png"] for row in table(run) if int(row["attack_index"]) == n]
            for n in range(3)]  # fmt: skip
    assert all("1" in each for each in hits[:2])
    assert any("0" in each for each in hits[1:])
    assert [check.name for check in verify(run) if check.ok is False] == []
    tamper(run, "result", "success", "json(iif($, 'false', 'true'))", of_attack(run, 1))
    assert [check.name for check in verify(run) if check.ok is False] == [
        "results.csv",
        "successes",
    ]


def test_verify_knows_that_no_answer_fools_nobody(tmp_path: Path) -> None:
    run = tmp_path / "run"
    entries = [{"name": "fgsm", "eps": "64/255"}]
    attack(config(classifier=shy(tmp_path), attacks=entries), run)
    rows = table(run)
    put_there = [row for row in rows if row["predicted"] == "2"]
    assert put_there
    assert {row["success_png"] for row in put_there} == {"0"}
    assert [check.name for check in verify(run) if check.ok is False] == []


def test_images_that_changed_before_they_were_all_stored(tmp_path: Path) -> None:
    folder, run = tmp_path / "p", tmp_path / "run"
    folder.mkdir()
    for number in range(70):
        (folder / f"{number:03d}.png").write_bytes(encode_png(np.zeros((1, 6, 6), np.uint8)))
    with pytest.raises(Interrupted):
        attack(config(images={"folder": folder}), run, should_stop=Stop(1))
    assert status(run)["images"] == 64
    (folder / "000.png").unlink()
    with pytest.raises(FolderError, match="images have changed"):
        resume_attacks(run)


def test_tampered_manifests(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    for change in ({"classifier": None}, {"seed": -1}, {"run_id": 3}):
        (copied / "manifest.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(StoreError, match="damaged"):
            status(copied)
    victim = {**manifest["classifier"], "digest": "0" * 64}
    (copied / "manifest.json").write_text(json.dumps({**manifest, "classifier": victim}))
    with pytest.raises(FolderError, match="was made with"):
        resume_attacks(copied)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "=1+1.png").write_bytes(encode_png(np.zeros((1, 6, 6), np.uint8)))
    wanted = config(
        classifier=VICTIM.replace(":victim", ":named"),
        images={"folder": tmp_path / "p"},
        attacks=[{"name": "fgsm", "targets": target} for target in range(7)],
    )
    attack(wanted, tmp_path / "run")
    rows = table(tmp_path / "run")
    assert {row["target_label"] for row in rows} >= {"'-3", "'@four", "'+five"}
    for row in rows:
        assert row["picture"] == "'=1+1.png"
        assert not any(cell.startswith(("=", "-", "@", "+")) for cell in row.values())
