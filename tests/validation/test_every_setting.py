"""Wrong values at every setting there is: each message names the key in words of ours.

The settings are found by walking from the kinds of run, the encodings, the attacks and the
defenses, so that a new one is asked as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from evofool import encodings, kinds
from evofool.attacks import registry
from evofool.attacks.foreign.peers import PREFIX
from evofool.classifiers.spec import ClassifierSpec, parse_spec
from evofool.config import load_campaign
from evofool.defenses import registry as defenses
from evofool.errors import EvofoolError, OptionError
from evofool.experiments.sections import EvolutionThreat
from evofool.store.manifest import check_manifest
from evofool.store.records.rows import Row
from evofool.validation import problem_of

INTERNALS = (
    "Input should", "instance of", "constrained", "tagged-union", "function-", "Field required",
    "Extra inputs", "Value error", "should be", "should have", "valid dictionary", "[type=",
    "pydantic", "List should", "String should", "True", "False", "None", "Unable to",
    "is not usable",
)  # fmt: skip
"""What only pydantic or Python would say; the last is what we say where we know nothing better."""

WRONG: tuple[Any, ...] = (
    {"weird": 1}, [[{}]], "\x00?", -1.5, -7, 10**30, True, float("nan"), "x" * 5000, [], "",
    [1, "a", None], 3, None,
)  # fmt: skip
FREE = {"options"}
"""Fields that take any mapping: whoever has the options checks them."""


def within(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from within(part)


def settings() -> dict[type[BaseModel], None]:
    """Every model of settings: of all kinds of run, of their manifests and of all encodings."""
    waiting: list[type[BaseModel]] = [ClassifierSpec, EvolutionThreat]
    for kind in kinds.BUILT_IN:
        waiting += [kind.part(part) for part in ("model", *["manifest"] * bool(kind.folder))]
    waiting += [encodings.find(name).factory.settings_model for name in encodings.names()]
    found: dict[type[BaseModel], None] = {}
    while waiting:
        model = waiting.pop()
        if model not in found:
            found[model] = None
            for field in model.model_fields.values():
                waiting += within(field.annotation)
    return found


def problem_at(key: str, value: Any, model: type[BaseModel]) -> str | None:
    """What is said of `value` at `key`; None where it is right, or only other keys are wrong."""
    data = {key: value}
    try:
        model.model_validate(data)
    except ValidationError as error:
        if any(each["loc"][:1] == (key,) for each in error.errors()):
            found = problem_of(error, data, model, first=lambda each: each["loc"][:1] == (key,))
            return str(found)
    return None


def test_every_key_of_every_model() -> None:
    models = settings()
    faults, refused = [], set[tuple[str, str]]()
    for model in models:
        for key in model.model_fields:
            said = [problem_at(key, value, model) for value in WRONG]
            if any(said):
                refused.add((model.__name__, key))
            faults += [
                f"{model.__name__}: {text}"
                for text in said
                if text and (not text.startswith(key) or any(word in text for word in INTERNALS))
            ]
    assert faults == []
    every = {(model.__name__, key) for model in models for key in model.model_fields}
    assert {key for _, key in every - refused} <= FREE
    assert len(every) > 500


def made_attack(name: str, options: Mapping[str, Any]) -> None:
    list(registry.grid(name, options))


def made_defense(name: str, options: Mapping[str, Any]) -> None:
    defenses.make(name, options, Path())


def parts() -> Iterator[tuple[Callable[[str, Mapping[str, Any]], None], str, str]]:
    """What makes an attack or a defense, its name and one of its options, for each of them."""
    for name in registry.names():
        if not name.startswith(PREFIX):  # those of foolbox
            for parameter in registry.describe(name).parameters:
                yield made_attack, name, parameter.name
    for name in defenses.names():
        for key in defenses.describe(name).parameters if name not in ("none", "trained") else ():
            yield made_defense, name, key


def test_every_option_of_every_attack_and_defense() -> None:
    faults, refused = [], 0
    for make, name, key in parts():
        for value in WRONG[::3]:
            try:
                make(name, {key: value})
            except OptionError as error:
                refused += 1
                shown = str(error).partition("; there are ")[0]
                if any(word in shown for word in INTERNALS) or not (key in shown or error.option):
                    faults.append(shown)
    assert faults == []
    assert refused > 300


class Numbered(Row):
    """A stored row."""

    type = "numbered"


ROW = '{"item": "one"}'
MANIFEST = {"kind": "evolve", "schema_version": 1, "run_id": 3}


def campaign(*overrides: str, **sections: Any) -> Callable[[], object]:
    written = {"classifier": "mnist-lenet", "encoding": "direct", "stop": {"generations": 1}}
    return lambda: load_campaign({**written, **sections}, overrides)


def encoding(name: str, **given: Any) -> Callable[[], object]:
    return lambda: encodings.load(name, (3, 8, 8), given)


def attack(name: str, **given: Any) -> Callable[[], object]:
    return lambda: made_attack(name, given)


def classifier(**given: Any) -> Callable[[], object]:
    return lambda: parse_spec(given)


DISC = {"shape": "disc"}
SERVICE = {"url": "https://x.test/score"}


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (campaign(evolution={"childrn": 3}),
         "evolution.childrn: unknown key; did you mean 'children'?"),
        (campaign("evolution.childrn=3"),
         "override evolution.childrn=3: unknown key; did you mean 'children'?"),
        (campaign("generations=3"), "unknown key; did you mean 'stop.generations'?"),
        (campaign("seed=x"), "override seed=x: must be a whole number, not 'x'"),
        (campaign(scoring=3), "scoring: must be a mapping (its keys: engine, device, batch"),
        (campaign(evolution={"lag": 7}), "evolution.lag: must be one of 0, 1, not 7"),
        (encoding("direct", rate=3), "encoding direct: rate: must be at most 1, not 3"),
        (encoding("direct", rat=3), "encoding direct: rat: unknown option; did you mean 'rate'?"),
        (encoding("masked", inner="direct", mask={**DISC, "size": "big"}),
         "encoding masked: mask.size: must be a number or a list, not 'big'"),
        (encoding("masked", inner="direct", mask={**DISC, "at": [0.5, 2]}),
         "encoding masked: mask.at[1]: must be at most 1, not 2"),
        (encoding("masked", inner="direct", mask={"shpe": "disc"}),
         "encoding masked: mask.shpe: unknown option; did you mean 'shape'?"),
        (encoding("masked", inner="direct", mask=3),
         "encoding masked: mask: must be a mapping (its keys: shape, at, size, turn, inner"),
        (encoding("masked", inner={"name": "direct", "rate": 3}, mask=DISC),
         "encoding masked: inner.rate: must be at most 1, not 3"),
        (attack("pgd", eps=[0.1, "wide"]), "pgd: eps[1]: must be a number, not 'wide'"),
        (attack("pgd", mask={"shape": "disk"}), "pgd: mask.shape: must be one of disc, square"),
        (attack("substitute", inner={"name": "fgsm", "eps": "x"}),
         "substitute: inner.eps: must be a number, not 'x'"),
        (lambda: made_defense("jpeg", {"qualty": 3}),
         "defense jpeg: qualty: unknown option; did you mean 'quality'?"),
        (lambda: made_defense("jpeg", {"quality": "x"}),
         "defense jpeg: quality: must be a whole number, not 'x'"),
        (classifier(name="a", onnx={"layout": "hwc"}),
         "classifier: onnx.layout: must be one of nchw, nhwc, not hwc"),
        (classifier(name="a", ensemble=None, mean=["x"]), "classifier: mean[0]: must be a number"),
        (classifier(name="a", transforms={"jpeg": float("inf")}), "transforms.jpeg: must be fin"),
        (classifier(name="a", http={**SERVICE, "timeout": {"conect": 3}}),
         "classifier: http.timeout.conect: unknown key; did you mean 'connect'?"),
        (classifier(name="a", http={**SERVICE, "auth": {"env": "A-B"}}),
         "http.auth.env: must be the name of an environment variable: letters, digits and _"),
        (classifier(ensemble=["a", {"name": 3}]), "ensemble[1].name: must be text, not 3"),
        (lambda: check_manifest(MANIFEST, Path("run")),
         "manifest.json: damaged: run_id: must be text, not 3"),
        (lambda: Numbered.parse(1, ROW, None, "run"),
         "run: damaged: numbered 1: item: must be a whole number, not 'one'"),
        (lambda: Numbered.parse(1, "{", None, "run"), "run: damaged: numbered 1: is not JSON"),
    ],
)  # fmt: skip
def test_what_is_said_at_every_place_where_settings_are_read(
    check: Callable[[], object], message: str
) -> None:
    with pytest.raises(EvofoolError) as caught:
        check()
    assert message in str(caught.value)
    assert not any(word in str(caught.value) for word in INTERNALS)
