"""The commands, run as a user runs them: exit codes, messages, files."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from evofool.cli.app import app
from evofool.evolution.status import status
from evofool.experiments.reproduce.registry import BY_NAME
from evofool.images import encode_png, read_picture
from evofool.store import CampaignFolder

ROOT = Path(__file__).parents[2]
TOYS = ROOT / "tests" / "toys" / "exact.py"

CONFIG = f"""# a toy
classifier: "{TOYS}:victim"
encoding:
  name: "{TOYS}:Bytes"
evolution: {{initial: 20, children: 20}}
stop: {{generations: 12}}
scoring: {{batch: 8, workers: 2}}
seed: 3
"""
GOLDEN = "f80367af775317ebac8c7b5e66d648b6ea6af46d44a52284c54b1a37ae60b956"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def finished(evofool: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "toy.yaml").write_text(CONFIG)
    done = evofool("evolve", "toy.yaml", "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_evolve_leaves_everything_a_person_looks_for(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "config.yaml", "manifest.json", "run.sqlite", "summary.json", "elites.csv", "images",
        "gallery",
    }  # fmt: skip
    assert json.loads((finished / "summary.json").read_text())["archive_digest"] == GOLDEN
    page = (finished / "gallery" / "index.html").read_text()
    assert "../images/{}.png" in page
    assert read_picture(finished / "gallery" / "contact-sheet.png").width > 100
    command = json.loads((finished / "manifest.json").read_text())["command"]
    assert command == "evofool evolve toy.yaml --out run"


def test_default_folders_are_counted_up(evofool: Any, config: Path) -> None:
    folder = config.parent
    for name in ("toy", "toy-2"):
        done = evofool("evolve", "toy.yaml", "stop.generations=1", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert (folder / "runs" / name / "summary.json").is_file()


def test_status(evofool: Any, finished: Path) -> None:
    text = evofool("status", finished).stdout
    assert "finished" in text
    found = json.loads(evofool("status", finished, "--json").stdout)
    assert (found["generations"], found["evaluations"]) == (12, 260)
    assert found["archive_digest"] == GOLDEN


def test_verify(evofool: Any, finished: Path) -> None:
    done = evofool("verify", finished)
    assert done.returncode == 0
    assert done.stdout.count("ok ") == 22


def test_verify_of_a_changed_run_fails(evofool: Any, config: Path) -> None:
    folder = config.parent
    evofool("evolve", config, "--out", folder / "run", "stop.generations=2")
    (folder / "run" / "images" / "0001.png").unlink()
    done = evofool("verify", folder / "run")
    assert done.returncode == 1
    assert "FAILED" in done.stdout


def test_gallery_can_be_made_again(evofool: Any, finished: Path) -> None:
    (finished / "gallery" / "index.html").unlink()
    assert evofool("gallery", finished).returncode == 0
    assert (finished / "gallery" / "index.html").is_file()


def test_score_says_what_a_picture_claims(evofool: Any, finished: Path) -> None:
    picture = finished / "images" / "0003.png"
    (found,) = json.loads(
        evofool("score", picture, "--classifier", f"{TOYS}:victim", "--json").stdout
    )
    assert found["claim"]["class_index"] == 3
    assert found["now"] == found["claim"]["confidence"]
    assert found["same_victim"] is True


def test_score_of_hostile_pictures(
    fails: Any, evofool: Any, tmp_path: Path, finished: Path
) -> None:
    pixels = read_picture(finished / "images" / "0003.png")
    del pixels
    import numpy as np

    path = tmp_path / "x.png"
    for claim in ("{", "[1]", '{"class_index": -1}', '{"class_index": 9999, "confidence": 1}',
                  '{"class_index": 1, "confidence": 0.5, "label": "\\u001b[2J"}'):  # fmt: skip
        path.write_bytes(encode_png(np.zeros((1, 6, 6), np.uint8), {"evofool": claim}))
        done = evofool("score", path, "--classifier", f"{TOYS}:victim")
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
    path.write_text("no picture")
    assert "cannot be read" in fails(2, "score", path, "--classifier", f"{TOYS}:victim")


@pytest.mark.parametrize(
    "what", ["attacks", "classifiers", "encodings", "configs", "datasets", "defenses"]
)
def test_list(evofool: Any, what: str) -> None:
    rows = json.loads(evofool("list", what, "--json").stdout)
    assert rows
    text = evofool("list", what).stdout
    assert all(row["name"] in text for row in rows)


def test_doctor_finds_this_machine_fit(evofool: Any) -> None:
    done = evofool("doctor", "--json")
    assert done.returncode == 0, done.stdout
    states = {finding["name"]: finding["state"] for finding in json.loads(done.stdout)}
    assert states["engine onnxruntime"] == states["engine torch"] == states["rendering"] == "ok"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda p: p.stem + "-" + p.parent.name
)
def test_every_shipped_config_dry_runs(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dry_run(command: str, *more: str) -> str:
        # in this process: a start of Python for each config would take minutes
        app([command, str(path), "--dry-run", *more], standalone_mode=False)
        return capsys.readouterr().out

    text = path.read_text(encoding="utf-8")
    if path.parent.name == "papers":
        monkeypatch.setenv("EVOFOOL_DATA", str(path.parent))
        said = dry_run("run")
        assert "kind: reproduce" in said
        for name in [path.stem] if path.stem != "reproduce" else BY_NAME:
            assert f"\n# {name}: " in said
    elif path.parent.name in ("compare", "transfer"):
        monkeypatch.setenv("EVOFOOL_DATA", str(path.parent))
        assert f"kind: {path.parent.name}" in dry_run(path.parent.name)
    elif path.parent.name == "signs":
        monkeypatch.setenv("EVOFOOL_DATA", str(path.parent))
        assert "# not ready: data set gtsrb" in dry_run("run")
    elif path.parent.name in ("explore", "search"):
        assert f"kind: {path.parent.name}" in dry_run("run")
    elif path.parent.name == "sweep":
        assert "18 runs of kind evolve: 3 of encoding x 2 of evolution.children" in dry_run("sweep")
    elif path.parent.name == "train":
        said = dry_run("train", "--data", str(path.parent))
        assert "# not ready: data set" in said
        assert "--download" in said
    elif path.parent.name == "defend":  # a missing data set is said and is no error
        monkeypatch.setenv("EVOFOOL_DATA", str(path.parent))
        said = dry_run("defend")
        data = "gtsrb" if "dataset: gtsrb" in text else "mnist"
        assert f"# not ready: data set {data}: not found" in said
        work = f"# images to be attacked: {300 if data == 'gtsrb' else 500}"
        if "\nkind: retrain\n" in text:
            work = "# nets to be retrained: 45"
        elif "\nkind: costs\n" in text:
            work = "# nets to be trained: 12"
        assert work in said
    else:
        attacks = "\nkind: attack\n" in text
        said = dry_run("attack" if attacks else "evolve")
        assert f"# images to be {'attacked' if attacks else 'scored'}" in said
        assert "ready" in said


def test_a_dry_run_knows_the_labels(fails: Any, evofool: Any) -> None:
    message = fails(2, "evolve", "quickstart", "evolution.classes=[zebraa]", "--dry-run")
    assert "zebraa" in message
    assert "zebra" in message
    assert evofool("evolve", "quickstart", "evolution.classes=[zebra]", "--dry-run").returncode == 0


def test_a_dry_run_prints_a_config_that_runs(evofool: Any, config: Path) -> None:
    printed = evofool("evolve", config, "stop.generations=1", "--dry-run").stdout
    again = config.parent / "again.yaml"
    again.write_text(printed)
    done = evofool("evolve", again, "--out", config.parent / "run")
    assert done.returncode == 0, done.stderr


BAD = [
    ("seed: 3", "sede: 3", ":8:", "did you mean"),
    ("seed: 3", "seed: three", ":8:", "seed"),
    ("seed: 3", "seed: 3\nseed: 4", ":9:", "twice"),
    ("initial: 20", "initial: -20", ":5:", "evolution.initial"),
    ("batch: 8", "batch: 0", ":7:", "scoring.batch"),
    ("batch: 8", "batch: 8, engine: warp", ":7:", "scoring.engine"),
    ("batch: 8", "batch: 8, device: cuda:7", ":7:", "cuda:7"),
    (":Bytes", ":Nothing", ":4:", "Nothing"),
    ("exact.py:Bytes", "absent.py:Bytes", ":4:", "no such file"),
    ("exact.py:victim", "absent.py:victim", ":2:", "no such file"),
    (":victim", ":nothing", ":2:", "nothing"),
    ("children: 20", "children: 20, classes: [3, 9]", ":5:", "no class 9"),
    ("children: 20", "children: 20, classes: [zebra]", ":5:", "zebra"),
    ("generations: 12", "generations: null", ":6:", "never end"),
    ("generations: 12", "evaluations: 10", ":6:", "initial"),
    ('Bytes"', 'Bytes"\n  rate: 7', ":5:", "rate"),
    ('Bytes"', 'Bytes"\n  colour: red', ":5:", "its options: rate, swap"),
    ("seed: 3", "seed: &a [1]\nx: *a", ":8:", "anchor"),
]


@pytest.mark.parametrize(("good", "bad", "line", "word"), BAD, ids=[b[1][:30] for b in BAD])
def test_bad_configs(fails: Any, config: Path, good: str, bad: str, line: str, word: str) -> None:
    config.write_text(CONFIG.replace(good, bad))
    message = fails(2, "evolve", config, "--out", config.parent / "run")
    assert f"toy.yaml{line}" in message
    assert word in message
    assert not (config.parent / "run").exists()


VICTIMS = [
    ("return lambda x: np.zeros((len(x), 9))", "labels", "9"),
    ("return lambda x: (np.zeros((len(x), 7)), 1)", None, "tuple"),
    ("return lambda x: np.full((len(x), 7), np.nan)", None, "finite"),
    ("return lambda x: np.random.random((len(x), 7))", None, "different values"),
    ("raise KeyError('x')", None, "KeyError"),
]


@pytest.mark.parametrize(("body", "extra", "word"), VICTIMS)
def test_bad_victims(fails: Any, config: Path, body: str, extra: str | None, word: str) -> None:
    (config.parent / "v.py").write_text(f"import numpy as np\ndef f():\n    {body}\n")
    labels = ", labels: [a, b, c]" if extra else ""
    config.write_text(
        CONFIG.replace(
            f'classifier: "{TOYS}:victim"',
            f'classifier: {{name: "v.py:f", input_shape: [1, 6, 6]{labels}}}',
        )
    )
    message = fails(2, "evolve", config, "--out", config.parent / "run")
    assert "toy.yaml:2: classifier" in message
    assert word in message


def test_bad_usage(fails: Any, config: Path, finished: Path, tmp_path: Path) -> None:
    assert "no such config" in fails(2, "evolve", "nothing.yaml")
    assert "unknown" in fails(2, "evolve", config, "classifier=resnet")
    assert "not a run folder" in fails(2, "resume", tmp_path)
    assert "resume" in fails(2, "evolve", config, "--out", finished)
    assert "override" in fails(2, "evolve", config, "stop.generation=3")
    assert "unknown" in fails(2, "score", finished / "images/0001.png", "--classifier", "nothing")
    (tmp_path / "file").write_text("")
    assert "file" in fails(2, "evolve", config, "--out", tmp_path / "file" / "run")
    assert fails(2, "list", "nothing")
    assert fails(2, "frobnicate")


def test_debug_shows_the_traceback(evofool: Any, tmp_path: Path) -> None:
    done = evofool("--debug", "evolve", "nothing.yaml")
    assert "Traceback" in done.stderr


def test_a_second_process_is_told_so(fails: Any, evofool: Any, finished: Path) -> None:
    with CampaignFolder.open(finished, writable=True):
        assert "in use" in fails(3, "resume", finished)
        assert "running" in evofool("status", finished).stdout


SIGNALS = [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_signals_save_and_say_so(
    evofool: Any, start_evofool: Any, config: Path, until: Any, number: int, code: int
) -> None:
    run = config.parent / "run"
    process = start_evofool(
        "evolve", config, "--out", run, "stop.generations=1000000", TOY_SECONDS_A_BATCH="0.01"
    )
    # something beyond the first population is stored
    until(process, lambda: (run / "manifest.json").is_file() and status(run)["generations"] > 0)
    process.send_signal(number)
    ended = process.end()
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr
    assert "saved" in ended.stderr
    found = json.loads(evofool("status", run, "--json").stdout)
    assert found["status"] == "interrupted"
    assert found["generations"] > 0
    done = evofool("resume", run, f"stop.generations={found['generations'] + 2}")
    assert done.returncode == 0, done.stderr
    assert evofool("verify", run).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_it_at_once(
    evofool: Any, start_evofool: Any, config: Path, until: Any, number: int
) -> None:
    """The victim is held, so the first cannot be obeyed; nothing that was stored is lost."""
    run, hold, said = config.parent / "run", config.parent / "hold", config.parent / "said"
    hold.touch()
    process = start_evofool(
        "evolve", config, "--out", run, stderr=said, TOY_BATCHES="20", TOY_HOLD=str(hold)
    )
    until(process, hold.with_suffix(".held").exists)
    process.send_signal(number)
    until(process, lambda: "once more ends it at once" in said.read_text())
    stored = status(run)
    assert stored["status"] == "running"
    process.send_signal(number)
    assert process.end().returncode == -number
    assert "saved" not in said.read_text()
    found = status(run)
    assert found["status"] == "interrupted"
    assert found["generations"] >= stored["generations"]
    hold.unlink()
    assert evofool("resume", run).returncode == 0
    assert evofool("evolve", config, "--out", config.parent / "whole").returncode == 0
    assert status(run)["archive_digest"] == status(config.parent / "whole")["archive_digest"]


def test_a_signal_while_the_victim_computes_is_not_its_fault(
    evofool: Any, start_evofool: Any, config: Path, until: Any
) -> None:
    run, hold = config.parent / "run", config.parent / "hold"
    assert evofool("evolve", config, "--out", run).returncode == 0
    hold.touch()
    process = start_evofool("verify", run, TOY_BATCHES="0", TOY_HOLD=str(hold))
    until(process, hold.with_suffix(".held").exists)
    process.send_signal(signal.SIGTERM)
    ended = process.end()
    assert (ended.returncode, ended.stderr.count("victim")) == (143, 0), ended.stderr


def test_progress_is_plain_lines_away_from_a_terminal(evofool: Any, config: Path) -> None:
    done = evofool("evolve", config, "--out", config.parent / "run")
    lines = [line for line in done.stderr.splitlines() if line.startswith("generation")]
    assert "won" in lines[-1]
    assert "median" in lines[-1]
    assert "\x1b" not in done.stderr
