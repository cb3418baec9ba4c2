"""Configs: the schema, overrides, paths, and one located message for every kind of bad input."""

from __future__ import annotations

import string
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evofool.config import (
    Campaign,
    CmaEsConfig,
    Loaded,
    MapElitesConfig,
    Model,
    MuPlusLambdaConfig,
    cells,
    load_campaign,
    load_model,
    load_value,
    load_yaml,
    shipped,
    to_yaml,
)
from evofool.errors import ConfigError

BASE = """\
# A test.
classifier: mnist-lenet
encoding: {name: cppn, preset: evofool}
evolution:
  children: 20
stop:
  generations: 5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str | bytes, *overrides: str) -> Loaded[Campaign]:
    """The campaign of `text` in ``x.yaml`` of the working directory."""
    Path("x.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return load_campaign("x.yaml", overrides)


def message(text: str | bytes, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, *overrides)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def swap(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)


# Loading


def test_defaults_are_filled_in(folder: Path) -> None:
    config = load(BASE).config
    assert config.kind == "evolve"
    assert config.classifier.name == "mnist-lenet"
    assert config.classifier.crops == 1
    assert config.encoding.name == "cppn"
    assert config.encoding.options == {"preset": "evofool"}
    assert config.evolution == MapElitesConfig(children=20)
    assert config.stop.generations == 5
    assert config.stop.evaluations is None
    assert config.scoring.batch == 64
    assert config.seed == 1


def test_the_algorithm_decides_what_evolution_is(folder: Path) -> None:
    plus = load(BASE, "evolution.algorithm=mu_plus_lambda", "evolution.target=goldfish")
    cma = load(BASE, "evolution.algorithm=cma_es", "evolution.target=3", "evolution.sigma=0.1")
    assert isinstance(plus.config.evolution, MuPlusLambdaConfig)
    assert plus.config.evolution.target == "goldfish"
    assert isinstance(cma.config.evolution, CmaEsConfig)
    assert (cma.config.evolution.target, cma.config.evolution.sigma) == (3, 0.1)


def test_a_campaign_and_a_mapping_load_like_a_file(folder: Path) -> None:
    config = load(BASE).config
    assert load_campaign(config).config == config
    data = {
        "classifier": "mnist-lenet",
        "encoding": {"name": "cppn", "preset": "evofool"},
        "evolution": {"children": 20, "classes": (1, 2)},
        "stop": {"generations": 5},
    }
    assert load_campaign(data).config.evolution == MapElitesConfig(children=20, classes=(1, 2))
    with pytest.raises(ConfigError, match=r"^config: evolution.children: must be at least 1"):
        load_campaign({**data, "evolution": {"children": 0}})
    with pytest.raises(ConfigError, match="plain YAML value"):
        load_campaign({**data, "encoding": {"name": "cppn", "x": object()}})


def test_a_mapping_that_holds_itself_is_refused() -> None:
    data: dict[str, Any] = {}
    data["a"] = data
    with pytest.raises(ConfigError, match="nested more than"):
        load_campaign(data)


# Scalars are those of YAML 1.2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("-7", -7),
        ("010", 10),
        ("0x1f", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("N", "N"),
        ("null", None),
        ("~", None),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("151-285", "151-285"),
        ("8/255", "8/255"),
        ("'12'", "12"),
        ("torchvision:alexnet", "torchvision:alexnet"),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
    ],
)
def test_scalars(text: str, value: object) -> None:
    found = load_value(text, "here")
    assert found == value
    assert type(found) is type(value)


# Bad input: one message with file, line and mend

EVOLUTION = [  # instead of `children: 20` on line 5
    ("children: 0", "5: evolution.children: must be at least 1, not 0"),
    ("children: -4", "5: evolution.children: must be at least 1, not -4"),
    ("childern: 5", "5: evolution.childern: unknown key; did you mean 'children'"),
    ("children: many", "5: evolution.children: must be a whole number, not 'many'"),
    ("children: 1e3", "5: evolution.children: must be a whole number, not 1000.0; write 1000"),
    ("children: true", "5: evolution.children: must be a whole number, not true"),
    ("children: [1]", "5: evolution.children: must be a whole number, not a list"),
    ("sigma: 0.1", "5: evolution.sigma: belongs to cma_es, not to map_elites"),
    ("algorithm: cma_es", "4: evolution.target: is missing"),
    ("algorithm: cma-es", "5: evolution.algorithm: must be one of map_elites, mu_plus_lambda"),
    ("lag: 2", "5: evolution.lag: "),
    ("classes: [1, 9-3]", "5: evolution.classes: the range 9-3 runs backwards"),
    ("classes: [-1]", "5: evolution.classes: must be a class index (0, 1, ...) or a label"),
    ("classes: []", "5: evolution.classes: is an empty list"),
    ("fitness: odds", "5: evolution.fitness: must be one of log_odds"),
]
STOP = [  # instead of `generations: 5` on line 7
    ("generations: null", "6: stop: the campaign would never end"),
    ("seconds: .inf", "7: stop.seconds: must be a finite number"),
    ("seconds: -1", "7: stop.seconds: must be above 0, not -1"),
    ("confidence: 1.5", "7: stop.confidence: must be at most 1"),
    ("seconds: 5\n  seconds: 6", "8: stop.seconds: is given twice (first on line 7)"),
]
CLASSIFIER = [  # instead of `classifier: mnist-lenet` on line 2
    ("classifer: a", "2: classifer: unknown key; did you mean 'classifier'"),
    ("seed: 2", "2: classifier: is missing"),
    ("classifier: [a]", "2: classifier: must be a name or a mapping, not a list"),
    ("classifier:", "2: classifier: must be a name or a mapping, not null"),
    ("classifier: {name: a, crops: 5}", "2: classifier.crops: must be one of 1, 10, not 5"),
    ("classifier: {name: a, crops: true}", "2: classifier.crops: must be one of 1, 10"),
    ("classifier: {name: a, input_shape: [3, 9]}", "2: classifier.input_shape: must be [chan"),
    ("classifier: {name: a, input_shape: [1, -9, 9]}", "2: classifier.input_shape[1]: must be at"),
    ("classifier: {name: a, std: [1, 0, 1]}", "2: classifier.std: must be above 0"),
    ("classifier: {name: a, labels: [1]}", "2: classifier.labels: must be a list of label"),
    ("classifier: {name: a, labels: no.txt}", "2: classifier.labels: no such file"),
    ("classifier: sub/net.py:make", "2: classifier: no such file"),
]
APPENDED = [  # as line 8
    ("scoring: {device: gpu}", "8: scoring.device: must be auto, cpu"),
    ("scoring: {batch: 0}", "8: scoring.batch: must be at least 1, not 0"),
    ("seed: -1", "8: seed: must be at least 0"),
    ("seed: 9223372036854775808", "8: seed: must be below 9223372036854775808"),
    ("kind: train", "8: kind: this is a config for `evofool train`"),
    ("a: &x [1]\nb: *x", "8: a: anchors (&name) are refused"),
    ("b: *x", "8: b: aliases (*x) are refused"),
    ("<<: {seed: 3}", "8: <<: unknown key"),
    ("seed: !!python/object/apply:os.system [ls]", "8: seed: tags (!name) are refused"),
    ("---\nseed: 3", "8: holds a second document"),
    ("seed: [1\nx: 2", "9: is not valid YAML"),
    ("\tseed: 1", "8: is not valid YAML"),
    ("seed: \x07", "8: holds the character U+0007"),
    ("1: 2", "8: a key must be a name"),
    ("seed: " + "9" * 5000, "8: seed: is a whole number of more than 300 digits"),
    ("seed: " + "[" * 50_000, "8: seed[0][0]: is nested more than 32 deep"),
    ("# " + "x" * (1 << 20), " is larger than 1 MiB"),
]
ALONE: list[tuple[str | bytes, str]] = [
    (BASE.replace("name: cppn, ", ""), "3: encoding.name: is missing"),
    (BASE.encode() + b"name: \xff\n", "8: is not UTF-8 text (byte 0xff)"),
    ("", "1: is empty"),
    ("- a\n", "1: holds a list"),
    ("text\n", "1: holds text"),
]
BAD: list[tuple[str | bytes, str]] = [
    *((swap("children: 20", new), expected) for new, expected in EVOLUTION),
    *((swap("generations: 5", new), expected) for new, expected in STOP),
    *((swap("classifier: mnist-lenet", new), expected) for new, expected in CLASSIFIER),
    *((f"{BASE}{new}\n", expected) for new, expected in APPENDED),
    *ALONE,
]


@pytest.mark.parametrize(("text", "expected"), BAD, ids=[expected for _, expected in BAD])
def test_bad_input_is_one_message_with_its_place(
    folder: Path, text: str | bytes, expected: str
) -> None:
    assert message(text).startswith(f"x.yaml:{expected}")


def test_a_misspelt_required_key_is_named_and_the_rest_is_counted(folder: Path) -> None:
    text = swap("children: 20", "algorithm: cma_es\n  taget: 3")
    assert "evolution.taget: unknown key; did you mean 'target'? (and 1 more" in message(text)


def test_rates_of_mu_plus_lambda_add_up_to_one_at_most(folder: Path) -> None:
    text = swap("children: 20", "algorithm: mu_plus_lambda\n  target: 1\n  cxpb: 0.8")
    assert "cxpb + mutpb must be at most 1, not 1.3" in message(text)


@given(st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_text_loads_or_is_refused(text: str) -> None:
    with suppress(ConfigError):  # anything else fails
        load_yaml(text, "fuzz")


# Overrides


def test_an_override_changes_one_key_and_keeps_the_others(folder: Path) -> None:
    loaded = load(BASE, "stop.seconds=1e2", "scoring.batch=7", "encoding.preset=paper")
    assert (loaded.config.stop.generations, loaded.config.stop.seconds) == (5, 100.0)
    assert loaded.config.scoring.batch == 7
    assert loaded.config.encoding.options == {"preset": "paper"}


def test_null_goes_back_to_the_default(folder: Path) -> None:
    config = load(BASE, "stop.seconds=9", "stop.generations=null", "evolution.children=null").config
    assert (config.stop.generations, config.stop.seconds) == (None, 9)
    assert config.evolution.children == 200
    assert load(BASE, "evolution.classes=null").config.evolution == MapElitesConfig(children=20)
    assert "never end" in message(BASE, "stop.generations=null")


def test_an_override_changes_an_item_of_a_list(folder: Path) -> None:
    text = BASE + "scoring: {batch: 3}\n"
    loaded = load(
        text, "evolution.classes=[2, 3]", "evolution.classes[1]=cat", "classifier.std=[1]"
    )
    assert loaded.config.evolution == MapElitesConfig(children=20, classes=(2, "cat"))
    victims = "victims: [a, {name: b}]\nencoding: direct\nstop: {generations: 1}\n"
    nets = load(victims, "victims[0]=d", "victims[1].name=c").config.classifier.ensemble
    assert nets is not None
    assert [net.name for net in nets] == ["d", "c"]


def test_null_is_no_ensemble(folder: Path) -> None:
    config = load(BASE.replace("mnist-lenet", "{name: mnist-lenet, ensemble: null}")).config
    assert config.classifier.ensemble is None


def test_a_shorthand_grows_into_a_mapping(folder: Path) -> None:
    config = load(BASE, "classifier.crops=10", "classifier=other", "classifier.crops=10").config
    assert (config.classifier.name, config.classifier.crops) == ("other", 10)


def test_the_seed_argument_wins(folder: Path) -> None:
    load(BASE)
    assert load_campaign("x.yaml", ["seed=4"], seed=9).config.seed == 9
    with pytest.raises(ConfigError, match=r"--seed: seed: must be at least 0, not -1"):
        load_campaign("x.yaml", seed=-1)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("stop.secnds=3", "override stop.secnds=3: unknown key; did you mean 'seconds'?"),
        ("evolution.children=0", "override evolution.children=0: must be at least 1, not 0"),
        ("stop.foo=null", "override stop.foo=null: unknown key"),
        ("foo=1", "override foo=1: unknown key"),
        ("evolution.children", "write an override as key=value"),
        ("=3", "write an override as key=value"),
        (
            "evolution.classes[7]=3",
            "override evolution.classes[7]=3: evolution.classes has no item",
        ),
        ("stop[0]=3", "override stop[0]=3: stop has no item [0]"),
        ("a..b=3", "write an override as key=value"),
        ("evolution.children=", "has no value; `evolution.children=null`"),
        ("evolution.classes=[1, 2", "override evolution.classes=[1, 2: is not valid YAML"),
        ("encoding.preset=&a x", "anchors"),
        ("evolution={children: 1, children: 2}", "is given twice"),
        ("seed.x=3", "seed: must be a whole number, not a mapping"),
        ("classifier=gone.py:net", "override classifier=gone.py:net: no such file"),
        (
            "classifier.zzz=1",
            "known here: answers, crops, input_shape, labels, link, mean, name, onnx",
        ),
        ("classifier.pictures=8", "unknown key; known here: answers, crops"),
        ("pictures=8", "unknown key; known here: classifier, encoding"),
    ],
)
def test_a_bad_override_is_named(folder: Path, override: str, expected: str) -> None:
    assert expected in message(BASE, override)


# Paths


def test_paths_start_from_the_file_and_those_of_overrides_from_here(folder: Path) -> None:
    sub = folder / "sub"
    sub.mkdir()
    for path in (sub / "net.py", sub / "w.safetensors", sub / "labels.txt", folder / "net.py"):
        path.touch()
    text = "classifier: {name: net.py:make, weights: w.safetensors, labels: labels.txt}"
    (sub / "x.yaml").write_text(swap("classifier: mnist-lenet", text))
    classifier = load_campaign("sub/x.yaml").config.classifier
    assert classifier.name == f"{sub.resolve() / 'net.py'}:make"
    assert classifier.weights == str(sub.resolve() / "w.safetensors")
    assert classifier.labels == str(sub.resolve() / "labels.txt")
    classifier = load_campaign("sub/x.yaml", ["classifier.name=net.py:make"]).config.classifier
    assert classifier.name == f"{folder.resolve() / 'net.py'}:make"
    assert classifier.weights == str(sub.resolve() / "w.safetensors")
    encoding = load_campaign("sub/x.yaml", ["encoding=sub/net.py:Mine"]).config.encoding
    assert encoding.name == f"{sub.resolve() / 'net.py'}:Mine"


def test_a_weights_enum_is_not_a_path_and_missing_files_may_be_let_pass(folder: Path) -> None:
    enum = load(swap("mnist-lenet", "{name: torchvision:alexnet, weights: IMAGENET1K_V1}"))
    assert enum.config.classifier.weights == "IMAGENET1K_V1"
    Path("x.yaml").write_text(swap("mnist-lenet", "gone.onnx"))
    with pytest.raises(ConfigError, match=r"x.yaml:2: classifier: no such file"):
        load_campaign("x.yaml")
    assert load_campaign("x.yaml", check_files=False).config.classifier.name.endswith("gone.onnx")


# Shipped configs


def test_a_shipped_config_is_found_by_name_from_anywhere(folder: Path) -> None:
    names = ("quickstart", "quickstart.yaml", "configs/quickstart.yaml")
    assert {load_campaign(name).config.stop.evaluations for name in names} == {16200}
    assert load_campaign("papers/nguyen2015/imagenet-cppn").config.evolution.initial == 400


def test_a_shipped_config_that_is_broken_spoils_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not read where another is named."""
    (folder / "good.yaml").write_text(BASE)
    (folder / "broken.yaml").write_text("{")
    monkeypatch.setattr("evofool.config.loading.shipped_folder", lambda: folder)
    assert load_campaign("good").config.evolution.children == 20
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load_campaign("broken")


@pytest.mark.parametrize("name", [config.name for config in shipped() if config.kind == "evolve"])
def test_every_shipped_campaign_loads_and_says_what_it_is(name: str) -> None:
    config = next(config for config in shipped() if config.name == name)
    assert len(config.description) > 20
    load_campaign(name)


def test_an_unknown_config_lists_what_is_near(folder: Path) -> None:
    Path("mine.yaml").write_text(BASE)
    with pytest.raises(ConfigError, match=r"quikstart: no such config; did you mean quickstart\?"):
        load_campaign("quikstart")
    with pytest.raises(ConfigError, match=r"did you mean mine.yaml\? Shipped: .*quickstart"):
        load_campaign("mien.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_campaign(folder)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_campaign("x" * 5000)


# Errors found later


def test_a_later_error_names_the_line(folder: Path) -> None:
    loaded = load(BASE, "evolution.initial=3")
    assert loaded.locate("encoding.preset") == "x.yaml:3: encoding.preset"
    assert loaded.locate("stop") == "x.yaml:6: stop"
    assert loaded.locate("evolution.initial") == "override evolution.initial=3"
    assert str(loaded.error_at("scoring.batch", "too big")) == "x.yaml:2: scoring.batch: too big"


LABELS = ["tench, Tinca tinca", "goldfish", "crane", "hen", "crane", "151-285"]


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("all", (0, 1, 2, 3, 4, 5)),
        ("[3, 1, 3]", (1, 3)),
        ("[1-3, 5]", (1, 2, 3, 5)),
        ("2-2", (2,)),
        ("[Tinca tinca, HEN]", (0, 3)),
        ("151-285", (5,)),
        ("4", (4,)),
    ],
)
def test_classes_become_indices(folder: Path, classes: str, expected: tuple[int, ...]) -> None:
    assert cells(load(BASE, f"evolution.classes={classes}"), LABELS) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("6", "no class 6; this classifier has 0 to 5"),
        ("3-6", "no class 6"),
        ("goldfsh", "no class is called 'goldfsh'; did you mean 'goldfish'?"),
        ("crane", "classes 2, 4 are all called 'crane'; give the index"),
    ],
)
def test_an_unknown_class_is_reported_at_its_line(folder: Path, item: str, expected: str) -> None:
    loaded = load(swap("children: 20", f"classes:\n    - 1\n    - {item}"))
    with pytest.raises(ConfigError) as caught:
        cells(loaded, LABELS)
    assert str(caught.value).startswith("x.yaml:7: evolution.classes[1]: ")
    assert expected in str(caught.value)


def test_a_target_is_one_cell(folder: Path) -> None:
    loaded = load(BASE, "evolution.algorithm=cma_es", "evolution.target=goldfish")
    assert cells(loaded, LABELS) == (1,)


# Other kinds, and back to YAML


class Training(Model):
    kind: Literal["train"]
    epochs: int


def test_another_model_gets_the_same_messages(folder: Path) -> None:
    Path("t.yaml").write_text("kind: train\nepochs: 3\n")
    loaded = load_model("t.yaml", Training, ["epochs=4"])
    assert loaded.config.epochs == 4
    assert loaded.document.resolve("kind", "a/b") == folder.resolve() / "a" / "b"
    Path("t.yaml").write_text("kind: train\nepochs: x\n")
    with pytest.raises(ConfigError, match=r"t.yaml:2: epochs: must be a whole number, not 'x'"):
        load_model("t.yaml", Training)


names = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8).filter(
    lambda name: name not in ("name", "options")
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["1e-3", "yes", "0o7", "null", "~", "1:30", "2001-01-01", "a: b", "<<", "="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
evolutions = st.one_of(
    st.fixed_dictionaries(
        {"algorithm": st.just("map_elites")},
        optional={
            "classes": st.just("all") | st.lists(st.integers(0, 999) | st.just("hen"), min_size=1),
            "children": st.integers(1, 10**6),
        },
    ),
    st.fixed_dictionaries(
        {"algorithm": st.just("mu_plus_lambda"), "target": st.integers(0, 9)},
        optional={"cxpb": st.floats(0, 0.5), "mu": st.integers(2, 99)},
    ),
    st.fixed_dictionaries(
        {"algorithm": st.just("cma_es"), "target": st.just("a: # b")},
        optional={"sigma": st.floats(1e-300, 10)},
    ),
)


@given(
    st.fixed_dictionaries(
        {
            "classifier": st.just("net")
            | st.fixed_dictionaries(
                {"name": st.text("ab:.#- 1e", min_size=1).filter(lambda n: ".py:" not in n)},
                optional={
                    "crops": st.sampled_from([1, 10]),
                    "labels": st.lists(st.text(), min_size=1, max_size=4),
                    "mean": st.floats(-1, 1) | st.lists(st.floats(-1, 1), min_size=3, max_size=3),
                    "input_shape": st.just([3, 5, 7]),
                },
            ),
            "encoding": st.dictionaries(names, values, max_size=4).map(
                lambda options: {"name": "cppn", **options}
            ),
            "evolution": evolutions,
            "stop": st.fixed_dictionaries(
                {"seconds": st.floats(1e-9, 1e300)}, optional={"generations": st.integers(1, 10**9)}
            ),
            "seed": st.integers(0, 2**63 - 1),
        }
    )
)
@example(
    data={
        "classifier": {"name": "x", "labels": ["\x85", "\u2028 a", "\ufeff", "a\tb", "\x1b", " "]},
        "encoding": {"name": "cppn"},
        "stop": {"generations": 1},
    }
)
@settings(max_examples=120, deadline=None)
def test_a_resolved_config_loads_again_to_an_equal_one(data: dict[str, Any]) -> None:
    config = load_campaign(data).config
    written = to_yaml(config)
    assert load_campaign(load_yaml(written).data).config == config
    assert to_yaml(load_campaign(load_yaml(written).data).config) == written


@pytest.mark.parametrize(
    ("evolution", "word"),
    [
        ({"algorithm": "mu_plus_lambda", "target": 1, "mu": 1}, "two parents"),
        ({"algorithm": "mu_plus_lambda", "target": 1, "initial": 1}, "two parents"),
        ({"algorithm": "mu_plus_lambda", "target": 1, "cxpb": 0.0, "mutpb": 0.0}, "above 0"),
        ({"algorithm": "cma_es", "target": 1, "children": 1}, "at least 2"),
    ],
)
def test_settings_that_deap_cannot_run(evolution: dict[str, Any], word: str) -> None:
    data = {"classifier": "x", "encoding": "direct", "stop": {"generations": 1}}
    with pytest.raises(ConfigError, match=word):
        load_campaign({**data, "evolution": evolution})
