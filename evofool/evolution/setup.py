"""From a config to the parts of a campaign, with every error at its place in the config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from deap import base

from evofool import encodings
from evofool.classifiers import Classifier, Inspection
from evofool.config import Campaign, Loaded, MapElitesConfig, cells
from evofool.config.http import CHANGEABLE as SERVICE
from evofool.encodings import BackgroundEncoding, Encoding, EncodingSource
from evofool.errors import EncodingError, UsageError
from evofool.evolution.algorithms import Algorithm, make_algorithm
from evofool.evolution.archive import ChampionArchive
from evofool.evolution.deap_toolbox import (
    VARIATION,
    Replaced,
    first_tools,
    replaced_in,
    with_tools,
)
from evofool.evolution.drawing import (
    HOST,
    Drawing,
    breeder_of,
    breeding_on,
    drawing_on,
    recorded_in,
)
from evofool.evolution.evaluation import Evaluator
from evofool.evolution.fitness import CheckedFitness, checked, find_fitness, kind_of
from evofool.evolution.guarded import guarded
from evofool.evolution.map_elites import MapElites
from evofool.images import Shape, UInt8Images
from evofool.scoring import Scorer
from evofool.scoring.setup import (
    inspect_victim,
    inspection_of,
    make_scorer,
    make_victim,
    only_loading_tells,
)
from evofool.store.code import code_of
from evofool.store.fixed import Changeable, fixed_part
from evofool.store.manifest import new_manifest

CHANGEABLE = Changeable(
    ("stop", "scoring.workers", "scoring.budget", "scoring.ray", *SERVICE),
    ("classifier.name", "classifier.weights", "classifier.ensemble", "encoding.name"),
)
"""What of a campaign may be another on resume: nothing that an individual depends on."""


@dataclass
class Parts:
    """Everything a campaign runs with. `config` is resolved: nothing in it says auto."""

    config: Campaign
    classifier: Classifier
    encoding: Encoding[Any]
    encoding_source: EncodingSource
    scorer: Scorer
    archive: ChampionArchive
    evaluator: Evaluator
    algorithm: Algorithm
    drawing: Drawing
    fitness: CheckedFitness | None = None
    """What ranks, where it is a function of the user's."""
    replaced: Replaced = field(default_factory=dict)
    """Tools of a program."""


@dataclass(frozen=True)
class Plan:
    """What a dry run finds out, without any weights unless classes are named by their labels.

    A victim that is a user's own code is loaded, since nothing else tells what it is.

    Attributes:
        config: checked and resolved as far as it can be.
        classifier: the victim, and what is missing to run it.
        evaluations: images the campaign scores, None if its stop rules do not say.
    """

    config: Campaign
    classifier: Inspection
    evaluations: int | None


def plan(loaded: Loaded[Campaign]) -> Plan:
    """Check a campaign without running it.

    Raises:
        ConfigError: whatever can be known to be wrong without the victim's weights.
    """
    config = loaded.config
    victim = inspect_victim(loaded)
    if only_loading_tells(victim):
        parts = make_parts(loaded, lambda: False)
        with parts.scorer:
            known = inspection_of(parts.classifier)
            return Plan(parts.config, known, planned_evaluations(parts.config))
    shape = victim.input_shape
    if shape is not None:
        encoding, _ = make_encoding(loaded, shape)
        config = _resolved_encoding(config, encoding)
    else:
        _find_encoding(loaded)
    make_fitness(loaded)
    if _named_classes(config):
        if victim.ready:  # only the victim knows its labels
            cells(loaded, make_victim(loaded).labels)
    elif victim.n_classes is not None:
        cells(loaded, [str(i) for i in range(victim.n_classes)])
    check_stop(loaded)
    return Plan(config, victim, planned_evaluations(config))


def planned_evaluations(config: Campaign) -> int | None:
    """Images that a campaign scores when no other stop rule ends it first."""
    stop, evolution = config.stop, config.evolution
    limits = []
    if stop.generations is not None:
        limits.append(evolution.initial + stop.generations * evolution.children)
    for limit in (stop.evaluations, config.scoring.budget):
        if limit is not None:
            whole = (limit - evolution.initial) // evolution.children
            limits.append(evolution.initial + max(0, whole) * evolution.children)
    return min(limits) if limits else None


def check_stop(loaded: Loaded[Campaign]) -> None:
    """Refuse limits that the initial population alone exceeds."""
    config = loaded.config
    for key, limit in (
        ("stop.evaluations", config.stop.evaluations),
        ("scoring.budget", config.scoring.budget),
    ):
        if limit is not None and limit < config.evolution.initial:
            raise loaded.error_at(
                key,
                f"{limit} images do not cover the {config.evolution.initial} initial individuals"
                " (evolution.initial)",
            )


def _check_budget(loaded: Loaded[Campaign], classifier: Classifier) -> None:
    """The budget of a service covers the pictures of its probe as well."""
    budget, initial = loaded.config.scoring.budget, loaded.config.evolution.initial
    if budget is not None and classifier.probed and budget < initial + classifier.probed:
        raise loaded.error_at(
            "scoring.budget",
            f"{budget} images do not cover the {initial} initial individuals (evolution.initial)"
            f" and the {classifier.probed} pictures of the probe",
        )


def make_encoding(loaded: Loaded[Campaign], shape: Shape) -> tuple[Encoding[Any], EncodingSource]:
    """The encoding of a config for images of `shape`."""
    source = _find_encoding(loaded)
    config = loaded.config.encoding
    try:
        return guarded(encodings.load(config.name, shape, config.options)), source
    except EncodingError as error:
        raise loaded.option_error_at(("encoding",), error) from error


def make_parts(
    loaded: Loaded[Campaign],
    should_stop: Callable[[], bool],
    manifest: Mapping[str, Any] | None = None,
    engine: Callable[[Loaded[Any], Classifier], str] | None = None,
    toolbox: base.Toolbox | None = None,
) -> Parts:
    """Everything a campaign runs with.

    Args:
        loaded: its config.
        should_stop: as for `Evaluator`.
        manifest: of the run that is gone on with or looked into; None for a new one.
        engine: chooses what scores the victim in place of the config's engine.
        toolbox: of `toolbox`, with tools of a program.

    Raises:
        ConfigError: the config does not fit the victim, the encoding or this machine.
        UsageError: the toolbox does not fit the config.
    """
    check_stop(loaded)
    replaced = replaced_in(toolbox, loaded.config.evolution)
    classifier = make_victim(loaded)
    _check_budget(loaded, classifier)
    encoding, source = make_encoding(loaded, classifier.input_shape)
    chosen = cells(loaded, classifier.labels)
    config = _resolved_encoding(loaded.config, encoding)
    chosen_engine = None if engine is None else engine(loaded, classifier)
    scorer, scoring = make_scorer(loaded, classifier, pad=True, engine=chosen_engine)
    config = config.model_copy(update={"scoring": scoring})
    if classifier.output == "label":
        raise loaded.error_at(
            "classifier",
            f"{classifier.name} gives only labels, but evolution needs confidences",
        )
    renderer, breeder = recorded_in(manifest) if manifest is not None else (None, None)
    if any(name in replaced for name in VARIATION):
        breeder = HOST  # a program's tools take genomes as the encoding makes them
    if manifest is None and config.scoring.ray is not None:
        breeder = HOST  # genomes travel to the devices, and not from one to the other
    encoding = breeding_on(scorer.device, encoding, breeder)
    drawing = drawing_on(scorer.device, encoding, renderer)
    tools = first_tools(config.evolution, encoding, make_fitness(loaded))
    with_tools(tools, toolbox, replaced)
    fitness = checked(tools.fitness, config.evolution.fitness, replaced)
    if manifest is None and isinstance(encoding, BackgroundEncoding):
        _check_backdrop(loaded, classifier, chosen, encoding.backdrop())
    archive = ChampionArchive(chosen, kind_of(config.evolution.fitness))
    search = MapElites(
        encoding,
        classifier.labels,
        config.seed,
        refine=isinstance(config.evolution, MapElitesConfig) and config.evolution.refine,
        toolbox=tools,
        archive=archive,
    )
    evaluator = Evaluator(scorer, encoding, archive, should_stop, drawing, fitness)
    try:
        algorithm = make_algorithm(
            config.evolution, config.seed, encoding, evaluator, tools, search
        )
    except UsageError as error:
        message = str(error).removeprefix("evolution.algorithm: ")
        raise loaded.error_at("evolution.algorithm", message) from error
    return Parts(
        config, classifier, encoding, source, scorer, archive, evaluator, algorithm, drawing,
        fitness, replaced,
    )  # fmt: skip


def _check_backdrop(
    loaded: Loaded[Campaign], classifier: Classifier, chosen: Sequence[int], backdrop: UInt8Images
) -> None:
    """Refuse classes that the background alone is taken for: nothing is left to be evolved.

    Where all classes are evolved it cannot be helped that one is. The background goes through a
    scorer of its own, since it is no picture of the campaign.

    Args:
        loaded: the config.
        classifier: the victim.
        chosen: the classes that are evolved.
        backdrop: uint8 C x H x W.

    Raises:
        ConfigError: the config names such a class.
    """
    evolution = loaded.config.evolution
    every = set(range(classifier.n_classes)) - {classifier.reject}
    if isinstance(evolution, MapElitesConfig) and every <= set(chosen):
        return
    with Scorer(classifier, device="cpu", workers=1, batch=1) as scorer:
        found = scorer.score(backdrop[None], keep_unscored=True)
    taken = int(found.labels[0])
    if taken in chosen:
        named = "classes" if isinstance(evolution, MapElitesConfig) else "target"
        raise loaded.error_at(
            ("evolution", named),
            f"{classifier.name} already sees class {classifier.labels[taken]} ({taken}) in the"
            f" background alone, with confidence {found.confidence[0, taken]:.2f}; leave that"
            " class out, or give another encoding.background",
        )


def make_fitness(loaded: Loaded[Campaign]) -> Callable[..., Any]:
    """The ``fitness`` of a campaign's toolbox; a file is run.

    Raises:
        ConfigError: it cannot be had.
    """
    try:
        return find_fitness(loaded.config.evolution.fitness)
    except UsageError as error:
        raise loaded.error_at("evolution.fitness", str(error)) from error


def encoding_of(loaded: Loaded[Campaign]) -> Encoding[Any]:
    """The encoding of a campaign; its victim is only loaded if nothing else tells its input shape.

    Raises:
        ConfigError: victim or encoding cannot be had.
    """
    shape = inspect_victim(loaded).input_shape or make_victim(loaded).input_shape
    return make_encoding(loaded, shape)[0]


def make_manifest(parts: Parts, command: str | None) -> dict[str, Any]:
    """``manifest.json`` of a new campaign: what it needs to be understood and gone on with."""
    source = parts.encoding_source
    encoding: dict[str, Any] = {"name": parts.config.encoding.name}
    if source.path is not None:
        encoding["path"], encoding["sha256"] = str(source.path), source.sha256
    return {
        **new_manifest("evolve", parts.classifier, parts.config.seed, command),
        "encoding": encoding,
        "renderer": parts.drawing.name,
        "breeder": breeder_of(parts.encoding),
        **({"toolbox": dict(parts.replaced)} if parts.replaced else {}),
        "config": fixed_part(parts.config, CHANGEABLE),
        "code": code_of(parts.config),
    }


def _find_encoding(loaded: Loaded[Campaign]) -> EncodingSource:
    try:
        return encodings.find(loaded.config.encoding.name)
    except EncodingError as error:
        raise loaded.error_at(("encoding", "name"), str(error)) from error


def _resolved_encoding(config: Campaign, encoding: Encoding[Any]) -> Campaign:
    options = _plain(dict(encoding.options))
    name = config.encoding.name
    new = type(config.encoding).model_validate({"name": name, "options": options})
    return config.model_copy(update={"encoding": new})


def _plain(value: Any) -> Any:
    """Tuples and numpy scalars as the YAML values they stand for."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


def _named_classes(config: Campaign) -> bool:
    """Whether the classes are given by labels, which only the loaded victim knows."""
    evolution = config.evolution
    if isinstance(evolution, MapElitesConfig):
        items = () if evolution.classes == "all" else evolution.classes
        return any(isinstance(item, str) for item in items)
    return isinstance(evolution.target, str)
