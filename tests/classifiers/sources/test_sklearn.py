"""Classifiers of scikit-learn from skops files: asked as they are, and never trusted blindly."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evofool
from evofool.classifiers import inspect_classifier, load_classifier
from evofool.config import load_campaign
from evofool.errors import ClassifierError, ConfigError
from evofool.scoring import Scorer

sklearn = pytest.importorskip("sklearn", reason="the extra sklearn")
skops_io = pytest.importorskip("skops.io", reason="the extra sklearn")

from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: E402
from sklearn.multioutput import MultiOutputClassifier  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, StandardScaler  # noqa: E402
from sklearn.svm import SVC, LinearSVC  # noqa: E402

SHAPE = [1, 4, 4]
MODELS: dict[str, Callable[[], Any]] = {
    "svm": lambda: SVC(),
    "linear-svm": lambda: LinearSVC(),
    "forest": lambda: RandomForestClassifier(8, random_state=0, n_jobs=2),
    "neighbours": lambda: KNeighborsClassifier(3),
    "softmax-regression": lambda: LogisticRegression(),
    "pipeline": lambda: make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)),
}


def rows(classes: int = 3, n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """8-bit rows of 16 numbers whose mean tells their class, and the classes 3, 5, 7..."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, n)
    noise = rng.integers(0, 100, (n, 16))
    return (noise + 150 * labels[:, None] // classes).astype(np.uint8), 2 * labels + 3


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., str]:
    """A model, fitted on `rows` on [0, 1] and saved; gives its name as a victim."""

    def save(model: Any, classes: int = 3) -> str:
        images, labels = rows(classes)
        model.fit(images / 255, labels)
        skops_io.dump(model, tmp_path / "model.skops")
        return f"sklearn:{tmp_path / 'model.skops'}"

    return save


def spec(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "input_shape": SHAPE, **options}


@pytest.mark.parametrize("kind", MODELS)
def test_a_victim_answers_as_its_model_does(kind: str, saved: Callable[..., str]) -> None:
    model = MODELS[kind]()
    name = saved(model)
    victim = load_classifier(spec(name))
    assert victim.labels == ("3", "5", "7")
    assert victim.input_shape == (1, 4, 4)
    path = Path(name.removeprefix("sklearn:"))
    assert victim.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert victim.source == (path, victim.digest)
    assert (victim.metered, victim.white_box) == (True, False)
    assert victim.probed > 0
    images, _ = rows(n=40)
    if hasattr(model, "predict_proba"):
        wanted = model.predict_proba(images / 255)
    else:
        values = np.exp(model.decision_function(images / 255))
        wanted = values / values.sum(1, keepdims=True)
    with Scorer(victim) as scorer:
        pictures = images.reshape(-1, 1, 4, 4)
        np.testing.assert_allclose(scorer.confidence(pictures), wanted, atol=1e-12)
        assert scorer.labels(pictures).tolist() == wanted.argmax(1).tolist()
        if kind == "neighbours":  # most of its confidences are 0 or 1
            found = scorer.score(pictures).log_odds
            assert np.isneginf(found[wanted == 0]).all()
            assert np.isposinf(found[wanted == 1]).all()


def test_two_classes_of_one_decision_value(saved: Callable[..., str]) -> None:
    model = SVC()
    victim = load_classifier(spec(saved(model, classes=2)))
    images, _ = rows(2, n=20)
    with Scorer(victim) as scorer:
        found = scorer.confidence(images.reshape(-1, 1, 4, 4))
    values = model.decision_function(images / 255)
    np.testing.assert_allclose(found[:, 1], 1 / (1 + np.exp(-values)), atol=1e-12)


def test_options(saved: Callable[..., str]) -> None:
    name = saved(LogisticRegression())
    plain = load_classifier(spec(name, labels=["a", "b", "c"]))
    assert plain.labels == ("a", "b", "c")
    scaled = load_classifier(spec(name, mean=0.5, std=0.25))
    assert scaled.digest != plain.digest
    by_label = load_classifier(spec(name, output="label"))
    images, _ = rows(n=20)
    model = skops_io.load(name.removeprefix("sklearn:"))
    pictures = images.reshape(-1, 1, 4, 4)
    with Scorer(scaled) as scorer:
        wanted = model.predict_proba((images / 255 - 0.5) / 0.25)
        np.testing.assert_allclose(scorer.confidence(pictures), wanted, atol=1e-12)
    with Scorer(by_label) as scorer:
        wanted = (model.predict(images / 255) - 3) // 2
        assert scorer.labels(pictures).tolist() == wanted.tolist()


def test_channels_come_first_in_a_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (60, 3, 2, 2), np.uint8)
    model = LogisticRegression().fit(images.reshape(60, -1) / 255, images[:, 0].mean((1, 2)) > 127)
    skops_io.dump(model, tmp_path / "rgb.skops")
    victim = load_classifier(
        {"name": f"sklearn:{tmp_path / 'rgb.skops'}", "input_shape": [3, 2, 2]}
    )
    assert victim.labels == ("False", "True")
    with Scorer(victim) as scorer:
        wanted = model.predict_proba(images.reshape(60, -1) / 255)
        np.testing.assert_allclose(scorer.confidence(images), wanted, atol=1e-12)


def test_evolution_against_a_forest(saved: Callable[..., str], tmp_path: Path) -> None:
    name = saved(MODELS["forest"]())
    (tmp_path / "config.yaml").write_text(
        json.dumps(
            {
                "classifier": spec("sklearn:model.skops"),  # beside the config
                "encoding": "direct",
                "evolution": {"initial": 30, "children": 30},
                "stop": {"generations": 3},
                "seed": 1,
            }
        )
    )
    assert load_campaign(tmp_path / "config.yaml").config.classifier.name == name[8:]
    run = evofool.evolve(tmp_path / "config.yaml", tmp_path / "run")
    assert run.summary["cells_won"] == 3
    with Scorer(load_classifier(spec(name))) as scorer:
        confidence = scorer.confidence(run.images())[range(3), range(3)]
    assert confidence.tolist() == [record.confidence for record in run.results()]
    assert all(check.ok is not False for check in evofool.verify(run))
    moved = tmp_path / "elsewhere.skops"
    Path(name.removeprefix("sklearn:")).rename(moved)
    found = list(evofool.verify(run, classifier=str(moved)))
    assert not [check for check in found if check.ok is False]


def test_evolution_where_confidences_are_0_and_1(saved: Callable[..., str], tmp_path: Path) -> None:
    config = {
        "classifier": spec(saved(MODELS["neighbours"]())),
        "encoding": "direct",
        "evolution": {"initial": 20, "children": 20},
        "stop": {"generations": 2},
    }
    run = evofool.evolve(config, tmp_path / "run", seed=1)
    assert len(run.results()) == 3
    assert max(record.confidence for record in run.results()) == 1
    assert all(check.ok is not False for check in evofool.verify(run))


def test_the_substitute_attack(saved: Callable[..., str], tmp_path: Path) -> None:
    config = {
        "classifier": spec(saved(LogisticRegression())),
        "images": {"noise": "uniform", "count": 12},
        "attacks": [
            {
                "name": "substitute",
                "inner": {"name": "fgsm", "eps": 0.4},
                "architecture": "mlp",
                "rounds": 1,
                "epochs": 1,
                "initial": 6,
            }
        ],
    }
    run = evofool.attack(config, tmp_path / "run", seed=1)
    assert len(run.results()) == 12
    assert run.summary["sent"]["queries"] > 0


# what is refused


def test_types_that_are_not_trusted(
    saved: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = saved(KNeighborsClassifier(algorithm="kd_tree"))
    made: list[object] = []
    monkeypatch.setattr(skops_io, "loads", lambda *_, **__: made.append(1))
    with pytest.raises(ClassifierError, match=r"not trusted: .*KDTree.*not loaded") as caught:
        load_classifier(spec(name))
    assert len(str(caught.value).splitlines()) == 1
    assert not made


def shouted(_: object) -> None:
    raise AssertionError("was called")


def test_a_function_is_not_called(tmp_path: Path) -> None:
    images, labels = rows()
    model = make_pipeline(FunctionTransformer(), LogisticRegression()).fit(images / 255, labels)
    model.named_steps["functiontransformer"].func = shouted
    skops_io.dump(model, tmp_path / "model.skops")
    with pytest.raises(ClassifierError, match=r"not trusted: .*shouted.*not loaded"):
        load_classifier(spec(f"sklearn:{tmp_path / 'model.skops'}"))


def rewritten(name: str, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> None:
    """The saved file with its schema and arrays changed."""
    path = Path(name.removeprefix("sklearn:"))
    with zipfile.ZipFile(path) as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    schema = json.loads(files.pop("schema.json"))
    change(schema, files)
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in files.items():
            archive.writestr(each, data)
        archive.writestr("schema.json", json.dumps(schema))


def trees(schema: Any) -> list[dict[str, Any]]:
    found = []
    if isinstance(schema, dict):
        if schema.get("__loader__") == "TreeNode":
            found.append(schema)
        schema = list(schema.values())
    if isinstance(schema, list):
        for value in schema:
            found += trees(value)
    return found


def node_array(column: str, value: int) -> Callable[[dict[str, Any], dict[str, bytes]], None]:
    """Changes one number in the root of every tree."""

    def change(schema: dict[str, Any], files: dict[str, bytes]) -> None:
        for tree in trees(schema):
            file = tree["content"]["content"]["nodes"]["file"]
            nodes = np.load(io.BytesIO(files[file]))
            nodes[column][0] = value
            stream = io.BytesIO()
            np.save(stream, nodes)
            files[file] = stream.getvalue()

    return change


def outputs(schema: dict[str, Any], _: dict[str, bytes]) -> None:
    for tree in trees(schema):
        tree["__reduce__"]["args"]["content"][2] = {
            **tree["__reduce__"]["args"]["content"][2], "content": "100000000", "__id__": 5
        }  # fmt: skip


def one_id(schema: dict[str, Any], _: dict[str, bytes]) -> None:
    """What is shown first as one output is many by its id."""
    for tree in trees(schema):
        number = tree["__reduce__"]["args"]["content"][2]
        schema["hidden"] = {**number, "content": "100000000"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (node_array("left_child", 10**6), "points outside the tree"),
        (node_array("right_child", 0), "points outside the tree"),
        (node_array("left_child", -5), "points outside the tree"),
        (node_array("feature", 16), "features that do not exist"),
        (node_array("feature", -3), "features that do not exist"),
        (outputs, "several outputs"),
        (one_id, "two objects have the same id"),
        (lambda schema, _: schema.clear(), "not a sound skops file"),
        (lambda _, files: files.clear(), "not a sound skops file"),
    ],
)
def test_a_forest_that_was_tampered_with(
    change: Any, message: str, saved: Callable[..., str]
) -> None:
    name = saved(MODELS["forest"]())
    load_classifier(spec(name))
    rewritten(name, change)
    with pytest.raises(ClassifierError, match=message) as caught:
        load_classifier(spec(name))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a sound skops file"),
        (b"\x80\x04pickle", "not a sound skops file"),
        (None, "No such"),
    ],
)
def test_files_that_are_none(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.skops"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClassifierError, match=message):
        load_classifier(spec(f"sklearn:{path}"))


def test_models_that_do_not_fit(saved: Callable[..., str], tmp_path: Path) -> None:
    name = saved(LinearRegression())
    with pytest.raises(
        ClassifierError, match="holds a LinearRegression, which is not a classifier"
    ):
        load_classifier(spec(name))
    name = saved(SVC(decision_function_shape="ovo"), classes=4)
    with pytest.raises(ClassifierError, match="decision_function_shape='ovr'"):
        load_classifier(spec(name))
    name = saved(LinearSVC())
    for options, message in (
        ({"input_shape": None}, r"input_shape: is needed"),
        ({"input_shape": [1, 4, 5]}, r"rows of 16 numbers, not 1 x 4 x 5 = 20"),
        ({"output": "probs"}, r"cannot give probs; it gives logits, label"),
        ({"labels": ["a", "b"]}, r"labels: 2 for 3 classes"),
        ({"std": [1, 1, 1]}, r"std has 3 numbers for 1 channels"),
        ({"weights": "x"}, r"weights cannot be set"),
    ):
        with pytest.raises(ClassifierError, match=message):
            load_classifier({**spec(name), **options})
    with pytest.raises(ClassifierError, match="pickles are not read"):
        load_classifier(spec("sklearn:model.pkl"))
    skops_io.dump(LogisticRegression(), tmp_path / "model.skops")
    with pytest.raises(ClassifierError, match="not fitted"):
        load_classifier(spec(name))
    images, labels = rows()
    many = MultiOutputClassifier(LinearSVC()).fit(images / 255, np.stack([labels, labels], 1))
    skops_io.dump(many, tmp_path / "model.skops")
    with pytest.raises(ClassifierError, match="does not choose between two or more"):
        load_classifier(spec(name))
    with pytest.raises(ConfigError, match="no such file"):
        load_campaign(
            {
                "classifier": spec("sklearn:none.skops"),
                "encoding": "direct",
                "stop": {"generations": 1},
            }
        )


def test_without_the_packages(saved: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    name = saved(LinearSVC())
    monkeypatch.setitem(sys.modules, "skops", None)
    with pytest.raises(ClassifierError, match=r"pip install 'evofool\[sklearn\]'"):
        load_classifier(spec(name))


def test_a_dry_run_loads_nothing(
    saved: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = saved(LinearSVC())
    monkeypatch.setattr(skops_io, "loads", None)
    found = inspect_classifier(spec(name))
    assert (found.ready, found.input_shape, found.n_classes) == (True, (1, 4, 4), None)
    found = inspect_classifier(spec(f"{name}x.skops"))
    assert "no such file" in found.missing
