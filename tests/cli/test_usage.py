"""The command line as people type it: typos, names for classes, what a dry run tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from typer.main import get_command

from evofool import kinds
from evofool.cli import usage
from evofool.cli.app import app
from evofool.config import find, shipped
from evofool.errors import EvofoolError
from evofool.evolution.campaign import evolve
from evofool.evolution.reading import read
from evofool.images import encode_png

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
TOYS = Path(__file__).parents[1] / "toys"

Say = Callable[..., str]


@pytest.fixture
def answered(capsys: pytest.CaptureFixture[str]) -> Say:
    """What a command answers, in this process."""

    def run(*arguments: str | Path) -> str:
        app([str(argument) for argument in arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


def refused(*arguments: str | Path) -> str:
    """The message of a command that is refused."""
    try:
        app([str(argument) for argument in arguments], standalone_mode=False)
    except EvofoolError as error:
        return str(error)
    except usage.CommandLineError as error:
        return "\n".join(usage.explained(error))
    raise AssertionError(f"{arguments} was not refused")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("evolve", "quickstart", "generations=5"), "'stop.generations'"),
        (("evolve", "quickstart", "workers=1"), "'scoring.workers'"),
        (("evolve", "quickstart", "stop.generation=5"), "'generations'"),
        (("evolve", "quickstart", "stop.children=5"), "'evolution.children'"),
        (("evolve", "quickstart", "classifier=mnist-lenett"), "'mnist-lenet'"),
        (("evolve", "quickstart", "encoding.color=hls"), "'colour'"),
        (("evolve", "quickstart", "encoding.name=cpnn"), "'cppn'"),
        (("evolve", "quickstart", "evolution.classes=[zebraa]"), "'zebra'"),
        (("evolve", "quickstart", "--generations", "5"), "stop.generations=...?"),
        (("evolve", "quickstart", "--batch=5"), "scoring.batch=...?"),
        (("attack", "attack-mnist", "--budget", "5"), "scoring.budget=...?"),
        (("defend", "defend/mnist-jpeg", "--eps", "0.1"), "threats.eps=...?"),
        (("evolve", "quickstrt"), "quickstart"),
        (("evolve", "quickstart", "--sede", "5"), "--seed"),
        (("attack", "attack-mnist", "images.dataset=mnistt"), "'mnist'"),
        (("defend", "defend/mnist-jpeg", "defense.name=jpg"), "'jpeg'"),
        (("train", "train/mnist-lenet", "dataset=minst"), "'mnist'"),
        (("sweep", "sweeps/quickstart", "--generatons=5"), "did you mean stop.generations=...?"),
        (("attack", "attack-mnist", "--sed", "5"), "did you mean --seed?"),
        (("evolv", "quickstart"), "evolve"),
        (("list", "classses"), "'classes'?"),
    ],
)
def test_what_was_meant(arguments: tuple[str, ...], meant: str) -> None:
    message = refused(*arguments, *(() if arguments[0] in ("evolv", "list") else ("--dry-run",)))
    assert meant in message.split("Usage:")[0]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_misspelt_option_of_every_command(command: str) -> None:
    names = [name for each in COMMANDS[command].params for name in each.opts]
    longest = max((name for name in names if name.startswith("--")), key=len)
    assert f"did you mean {longest}?" in refused(command, "x", f"{longest[:-2]}{longest[-1]}=y")


def test_kinds_are_listed_with_the_command_that_makes_them(answered: Say) -> None:
    listed = {
        row["name"]: row["command"] for row in json.loads(answered("list", "kinds", "--json"))
    }
    assert {command.removeprefix("evofool ") for command in listed.values()} <= set(COMMANDS)
    for name in listed.keys() & COMMANDS.keys():
        assert listed[name] == f"evofool {name}"


def test_a_key_that_resume_can_change() -> None:
    assert "did you mean stop.generations=...?" in refused("resume", "runs/x", "--generatons=5")


def test_every_key_that_tells_a_kind_belongs_to_it_alone() -> None:
    fields = {kind.name: set(kind.part("model").model_fields) for kind in kinds.BUILT_IN}
    for kind in kinds.BUILT_IN:
        (name,) = get_args(kind.part("model").model_fields["kind"].annotation)
        assert name == kind.name
        assert kind.keys <= fields[kind.name]
    keys = [key for kind in kinds.BUILT_IN for key in kind.keys]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("written", [True, False])
def test_a_config_of_another_kind_says_so(tmp_path: Path, written: bool) -> None:
    paths = {config.kind: config.path for config in shipped()}
    assert set(paths) == {kind.name for kind in kinds.BUILT_IN}
    for kind, path in paths.items():
        lines = [li for li in path.read_text().splitlines() if not li.startswith("kind:")]
        config = tmp_path / f"{kind}.yaml"
        config.write_text("\n".join([*lines, f"kind: {kind}"] if written else lines))
        mine = {
            "costs": "defend",
            "retrain": "defend",
            "reproduce": "run",
            "explore": "run",
            "search": "run",
            "signs": "run",
        }.get(kind, kind)
        for command in {"evolve", "attack", "train", "defend", "compare", "transfer"} - {mine}:
            message = refused(command, config, "--dry-run")
            assert f"this is a config for `evofool {mine}`, not for `evofool {command}`" in message


def test_a_defense_of_another_kind_is_recognised_by_its_keys(answered: Say, tmp_path: Path) -> None:
    for name, work in (("mnist-costs", "nets to be trained"), ("mnist-retrain", "retrained")):
        text = find(f"defend/{name}").read_text().replace("kind:", "#")
        (tmp_path / "x.yaml").write_text(text)
        assert work in answered("defend", tmp_path / "x.yaml", "--dry-run")


@pytest.mark.parametrize(
    ("command", "kinds"),
    [
        ("evolve", {"evolve"}),
        ("attack", {"attack"}),
        ("train", {"train"}),
        ("compare", {"compare"}),
        ("transfer", {"transfer"}),
        ("defend", {"defend", "retrain", "costs"}),
        ("run", {kind.name for kind in kinds.BUILT_IN}),
    ],
)
def test_an_unknown_config_lists_those_of_its_command(command: str, kinds: set[str]) -> None:
    listed = refused(command, "nothing-like-it").split("Shipped: ")[1].split(", ")
    assert listed == [config.name for config in shipped() if config.kind in kinds]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    for command in ("status", "resume", "verify", "gallery"):
        assert refused(command, tmp_path / "absent").endswith("absent: there is no such folder")
        assert "is not a run folder" in refused(command, tmp_path)
    message = refused("attack", "attack-mnist", f"images={{folder: {tmp_path}/absent}}")
    assert "no such folder" in message


def test_the_classes_of_a_victim(answered: Say) -> None:
    victim = f"{TOYS / 'linear.py'}:named"
    rows = json.loads(answered("list", "classes", victim, "--json"))
    assert [row["class_index"] for row in rows] == list(range(len(rows)))
    labels = [row["label"] for row in rows]
    chosen = json.loads(answered("list", "classes", victim, "0-1", "*f*", "--json"))
    assert [row["class_index"] for row in chosen] == sorted(
        {0, 1} | {k for k, label in enumerate(labels) if "f" in label.casefold()}
    )
    assert "no class matches" in refused("list", "classes", victim, "nothing*")
    assert "of which classifier" in refused("list", "classes")
    assert "remove 'x'" in refused("list", "configs", "x")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, toy_campaign: Any) -> Path:
    folder = tmp_path_factory.mktemp("usage") / "run"
    evolve(toy_campaign(stop={"generations": 1}), folder)
    return folder


def test_a_gallery_of_some_classes_under_a_title(answered: Say, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answered(
        "gallery", run, "--classes", "1-2", "--classes", "[45]", "--title", "Some <b>",
        "--out", out,
    )  # fmt: skip
    page = (out / "index.html").read_text()
    assert "<title>Some &lt;b&gt;</title>" in page
    assert "4 chosen of 7 classes" in page
    assert sorted(p.stem for p in (out / "pictures").glob("*.png")) == [
        "0001", "0002", "0004", "0005",
    ]  # fmt: skip
    one = tmp_path / "one.html"
    answered("gallery", run, "--classes", "3", "--title", "Alone", "--single-file", "--out", one)
    assert "<title>Alone</title>" in one.read_text()
    assert "--classes 9: run: no class 9" in refused("gallery", run, "--classes", "9")


def test_the_scale_of_a_config_is_an_option(
    answered: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOFOOL_DATA", str(tmp_path))  # without data a dry run loads no net
    text = answered("run", "signs/gtsrb", "--scale", "paper", "--dry-run")
    assert "scale: paper" in text
    assert "  k: 32" in text
    message = refused("run", "signs/gtsrb", "--scale", "medium", "--dry-run")
    assert "must be one of small, paper, not medium" in message
    assert "unknown key" in refused("run", "quickstart", "--scale", "paper", "--dry-run")


def test_one_class_by_its_name(answered: Say, run: Path, tmp_path: Path) -> None:
    film = tmp_path / "a.webp"
    assert str(film) in answered("gallery", run, "--class", "[3]", "--film", "webp", "--out", film)
    assert film.is_file()
    message = refused("gallery", run, "--class", "*", "--film", "webp")
    assert "matches 7 classes (0 0, 1 1" in message
    assert "no class is called 'zebra'" in refused(
        "gallery", run, "--class", "zebra", "--size", "9"
    )


def test_a_path_in_a_config_that_starts_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "net.py").touch()
    config = tmp_path / "mine" / "attack.yaml"
    rest = "images: {dataset: mnist-sample}\nattacks: [pgd]\n"
    config.write_text(f"kind: attack\nclassifier: mine/net.py:cnn\n{rest}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    message = refused("attack", config, "--dry-run")
    assert message.endswith("paths in a config start from its own folder: write net.py")
    config.write_text(f"kind: attack\nclassifier: absent.py:cnn\n{rest}", encoding="utf-8")
    assert refused("attack", config, "--dry-run").endswith("absent.py")  # it is nowhere


def test_a_picture_does_not_choose_which_code_judges_it(run: Path) -> None:
    pictures = sorted((run / "images").glob("*.png"))
    message = refused("score", *pictures)
    assert "--classifier" in message
    assert "the picture was made for " in message
    bare = run.parent / "bare.png"
    bare.write_bytes(encode_png(np.zeros((1, 4, 4), np.uint8)))
    assert message.partition(":")[0] + ", since not every picture names one" == refused(
        "score", bare, pictures[0]
    )


def test_a_dry_run_loads_a_users_victim(answered: Say, tmp_path: Path) -> None:
    (tmp_path / "v.py").write_text(
        "import numpy as np\nimport evofool\n"
        "def make(output, **more):\n"
        "    return evofool.from_predict(lambda x: np.zeros(len(x), int) if output == 'label' else"
        " np.full((len(x), 3), 1 / 3), input_shape=(1, 6, 6), output=output, labels=list('abc'))\n"
        "def probs(): return make('probs')\n"
        "def label(): return make('label')\n"
        "def fails(): raise RuntimeError('the service is down')\n"
    )
    victim = tmp_path / "v.py"
    text = answered("evolve", "quickstart", f"classifier={victim}:probs", "--dry-run")
    assert "input 1 x 6 x 6, classes 3" in text
    assert "# ready to run" in text
    for command, config, key in (
        ("evolve", "quickstart", "classifier"),
        ("attack", "attack-mnist", "classifier"),
        ("defend", "defend/mnist-jpeg", "base"),
    ):
        message = refused(command, config, f"{key}={victim}:fails", "--dry-run")
        assert "the service is down" in message
    message = refused("evolve", "quickstart", f"classifier={victim}:label", "--dry-run")
    assert "gives only labels" in message
    message = refused("defend", "defend/mnist-jpeg", f"base={victim}:probs", "--dry-run")
    assert "is a black box" in message


def test_another_victim_is_asked_by_name(tmp_path: Path) -> None:
    import numpy as np

    from evofool.classifiers import from_predict

    def victim(labels: list[str]) -> Any:
        fixed = np.linspace(0.1, 0.4, len(labels))
        return from_predict(
            lambda x: np.tile(fixed / fixed.sum(), (len(x), 1)),
            input_shape=(1, 6, 6),
            labels=labels,
        )

    claim = {
        "class_index": 0, "label": "tench, Tinca tinca", "confidence": 0.9,
        "classifier_digest": "0" * 64,
    }  # fmt: skip
    path = tmp_path / "x.png"
    path.write_bytes(encode_png(np.zeros((1, 6, 6), np.uint8), {"evofool": json.dumps(claim)}))
    (reading,) = read([path], victim(["cat", "dog", "Tench"]))
    assert (reading.class_index, reading.same_victim) == (2, False)
    assert reading.now == pytest.approx(0.4 / 0.75)
    (reading,) = read([path], victim(["cat", "dog"]))
    assert (reading.class_index, reading.now) == (None, None)


def test_bench_complains_before_it_renders(monkeypatch: pytest.MonkeyPatch) -> None:
    from evofool.experiments import bench

    monkeypatch.setattr(bench, "rendering_rate", lambda *_: pytest.fail("it rendered"))
    assert "did you mean 'mnist-lenet'" in refused("bench", "--classifier", "mnist-lenett")


def test_doctor_says_what_it_looks_at(capsys: pytest.CaptureFixture[str]) -> None:
    from evofool.cli import checkup

    looked: list[str] = []
    findings = checkup.examine(lambda what, _: looked.append(what))
    victims = [finding for finding in findings if finding.name.startswith("victim ")]
    assert len(looked) == len(findings) - len(victims)  # python is known; victims are one


def test_doctor_names_the_data_sets_that_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from evofool.cli import checkup

    monkeypatch.setenv("EVOFOOL_DATA", str(tmp_path))
    state, detail = checkup._data()
    missing, _, here = detail.partition(f": not in {tmp_path} (EVOFOOL_DATA")
    assert state == "missing"
    assert "cifar10" in missing.split(", ")
    assert "mnist-sample" not in missing.split(", ")
    assert "mnist-sample" in here


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_is_not_broken_where_its_source_is(name: str) -> None:
    """Only an empty line ends a line of the help; the terminal breaks the rest."""
    assert "\n" not in COMMANDS[name].help.replace("\n\n", "")


def test_the_table_of_attacks_shows_what_was_set() -> None:
    from evofool.experiments.attack.lines import _row

    line = {
        "index": 0, "attack": "square", "parameters": {"eps": 0.1, "p_init": 0.3, "queries": 9},
        "targets": "none", "success_png": {"rate": 1.0, "low": 0.5, "high": 1.0}, "n": 1,
        "success_float": {"rate": 1.0}, "norms": None, "planned": 1, "seconds": 0.0,
        "forward_images_per_image": 1.0, "backward_images_per_image": 0.0,
    }  # fmt: skip
    assert _row(line, [line], {"p_init"})[1] == "eps=0.1 p_init=0.3"
