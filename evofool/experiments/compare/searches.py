"""From the methods of a config to works: who sees what, and what the budget buys each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from evofool import encodings
from evofool.attacks import Attack, GradientAscent, registry
from evofool.config import Loaded
from evofool.errors import AttackError, UsageError
from evofool.experiments.compare.config import CompareConfig, Method
from evofool.experiments.compare.elsewhere import Elsewhere
from evofool.experiments.compare.passes import TimedPasses
from evofool.experiments.compare.stored.config import RunsConfig
from evofool.experiments.compare.stored.works import StoredSearch
from evofool.experiments.compare.works import (
    Aimed,
    Evolved,
    NaturalPictures,
    RandomPictures,
    Search,
)
from evofool.experiments.engine import Planned
from evofool.experiments.engine.context import Scoring
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.nearest import Nearest
from evofool.experiments.works.nets import GivenNet, quickest
from evofool.experiments.works.pictures import Pictures
from evofool.validation import KeyPath

LEAST_SHARE = 8
"""Forward-equivalents a class below which a comparison says nothing: two steps of a gradient
attack take 6, and its result is looked at twice."""
RESULT = 3
"""Forward-equivalents at the end of an attack: its picture, its floats and the best picture."""
Sees = Literal["weights", "scores", "labels"]
SEEN: Mapping[str, Sees] = {"gradients": "weights", "scores": "scores", "labels": "labels"}
"""What a method must see of a net, by what an attack `needs`."""


@dataclass(frozen=True)
class Arm:
    """A method on a net.

    Attributes:
        victim: the net, by name.
        title: what the method is called.
        sees: what of the net: its weights, its scores, its labels.
        family: ``evolution``, ``gradients``, ``queries``, ``chance`` or ``natural``.
        runs: the work of each seed.
        classes: that share what it costs: a method that works for each class by itself costs as
            many times what one search costs.
        by: name of the attack, else which of `evofool.experiments.compare.config.SOURCES`.
        sought: indices of the classes that it is after; None: all of them.
    """

    victim: str
    title: str
    sees: Sees
    family: str
    runs: Mapping[int, Search | StoredSearch]
    classes: int
    by: str = ""
    sought: tuple[int, ...] | None = None

    @property
    def first_seed(self) -> int:
        """Whose pictures are shown."""
        return next(iter(self.runs))

    @property
    def searches(self) -> Mapping[int, Search]:
        """Those of `runs` that are run here, and not taken over from another run folder."""
        return {s: w for s, w in self.runs.items() if not isinstance(w, StoredSearch)}

    def planned(self) -> Iterator[Planned]:
        """Its works."""
        for seed, work in self.runs.items():
            title = f"{self.title}, {self.victim}, seed {seed}"
            if isinstance(work, Evolved):
                called = f"{_file_name(self.victim)}-{_file_name(self.title)}-{seed}"
                yield Planned(f"{title}: campaign", work.campaign, called)
            yield Planned(title, work)


@dataclass(frozen=True)
class LeftOut:
    """A method that a net cannot be tried with, and why."""

    victim: str
    method: str
    reason: str


@dataclass(frozen=True)
class Measure:
    """The pictures of a method, of one seed, held against something.

    Attributes:
        arm: the method on a net.
        seed: of the search.
        work: what is measured.
        target: the net that they are shown to; empty where they are held against natural pictures.
    """

    arm: Arm
    seed: int
    work: Nearest | Elsewhere
    target: str = ""

    def planned(self) -> Planned:
        """The work under its title."""
        what = f"shown to {self.target}" if self.target else "nearest natural pictures"
        return Planned(f"{self.arm.title}, {self.arm.victim}, seed {self.seed}: {what}", self.work)


@dataclass(frozen=True)
class Compared:
    """All that is compared.

    Attributes:
        config: of the comparison.
        arms: every method on every net.
        left_out: methods that a net cannot be tried with.
        labels: names of the classes of each net that are sought.
        measures: what the pictures of the methods are held against.
        notes: what differs between the runs that are compared, in sentences.
        passes: of nets that give gradients, the work that times them.
    """

    config: CompareConfig | RunsConfig
    arms: tuple[Arm, ...]
    left_out: tuple[LeftOut, ...]
    labels: Mapping[str, tuple[str, ...]]
    measures: tuple[Measure, ...] = ()
    notes: tuple[str, ...] = ()
    passes: Mapping[str, TimedPasses] = field(default_factory=dict)

    @property
    def budget(self) -> int | None:
        """Forward-equivalents of a method, net and seed; None where each run had its own."""
        return self.config.budget if isinstance(self.config, CompareConfig) else None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of all methods."""
        if isinstance(self.config, CompareConfig):
            return self.config.seeds
        return tuple(sorted({seed for arm in self.arms for seed in arm.runs}))

    @property
    def seeds_each(self) -> tuple[int, ...]:
        """How many seeds each method has."""
        return tuple(len(arm.runs) for arm in self.arms)

    def of(self, victim: str) -> tuple[Arm, ...]:
        """The methods on one net."""
        return tuple(arm for arm in self.arms if arm.victim == victim)

    def measures_of(self, arm: Arm, seed: int) -> tuple[Measure, ...]:
        """What the pictures of a method were held against, of one seed."""
        return tuple(m for m in self.measures if m.arm is arm and m.seed == seed)


def arm(
    loaded: Loaded[CompareConfig],
    index: int,
    name: str,
    given: GivenNet,
    scoring: Scoring,
    pictures: Mapping[str, Pictures | str],
) -> Arm | LeftOut:
    """Method `index` of a config on a net.

    Args:
        loaded: the config.
        index: of the method.
        name: of the victim in tables.
        given: the victim.
        scoring: how images are scored.
        pictures: natural ones by split, or why there are none.

    Raises:
        ConfigError: an unknown encoding or attack, or a parameter that is wrong.
    """
    config, method = loaded.config, loaded.config.methods[index]
    net = given.classifier
    classes = min(config.classes or net.n_classes, net.n_classes)
    share = config.budget // classes
    runs: dict[int, Search] = {}
    if not net.white_box:
        scoring = replace(scoring, engine="auto")
    sees, family, each = _kind_of(loaded, index, method), "chance", 1
    if net.output == "label":
        return LeftOut(name, method.title, "the net gives only labels, no confidences")
    if method.attack is not None:
        family, each = ("gradients" if sees == "weights" else "queries"), classes
        for seed in config.seeds:
            attack = _attack(loaded, index, method, share // net.passes, seed)
            try:
                attack.check_victim(net)
            except UsageError as error:
                return LeftOut(name, method.title, str(error))
            runs[seed] = Aimed(given, attack, method.start, classes, share, seed, scoring)
    elif method.evolution is not None:
        family = "evolution"
        for seed in config.seeds:
            runs[seed] = _evolved(config, method, given, classes, scoring, seed)
    elif method.pictures is not None:
        family, drawn = "natural", pictures[method.pictures]
        if isinstance(drawn, str):
            return LeftOut(name, method.title, drawn)
        for seed in config.seeds:
            own = shuffled(drawn, seed, config.budget)
            runs[seed] = NaturalPictures(
                given, own, classes, config.budget, quickest(given, scoring)
            )
    else:
        source = "noise" if method.noise is not None else "encoding"
        drawn_by = method.noise or method.random or ""
        for seed in config.seeds:
            runs[seed] = RandomPictures(
                given, source, drawn_by, classes, config.budget, seed, quickest(given, scoring)
            )
    return Arm(name, method.title, sees, family, runs, each, method.by)


def check_method(loaded: Loaded[CompareConfig], index: int) -> None:
    """Refuse a method that names nothing that there is; no net is needed.

    Raises:
        ConfigError: at its place.
    """
    method = loaded.config.methods[index]
    _kind_of(loaded, index, method)
    if method.attack is not None:
        _attack(loaded, index, method, LEAST_SHARE, loaded.config.seeds[0])


def shuffled(pictures: Pictures, seed: int, most: int) -> Pictures:
    """At most `most` of the pictures, in an order that the seed gives."""
    from evofool.randomness import Stream, generator

    order = generator(seed, Stream.CHOICE, 0, 0).permutation(len(pictures))[:most]
    return Pictures.of(pictures.images[order], pictures.labels[order])


def _kind_of(loaded: Loaded[CompareConfig], index: int, method: Method) -> Sees:
    """What a method sees of a net."""
    where: KeyPath = ("methods", index)
    try:
        if method.attack is not None:
            described = registry.describe(method.attack)
            if described.aim not in ("both", "targeted"):
                raise AttackError(f"{method.attack} cannot be aimed at a class")
            return SEEN[described.needs]
        for encoding in (method.evolution, method.random):
            if encoding is not None:
                encodings.find(encoding)
    except UsageError as error:
        key = next(k for k in ("attack", "evolution", "random") if getattr(method, k))
        raise loaded.error_at((*where, key), str(error)) from error
    return "scores"


def _attack(
    loaded: Loaded[CompareConfig], index: int, method: Method, share: int, seed: int
) -> Attack:
    """The attack of a method, which spends `share` forward-equivalents where it can be told to.

    It need not stay near the noise that it starts from, so `eps` is 1 unless the config says else.
    """
    assert method.attack is not None
    known = {p.name for p in registry.describe(method.attack).parameters}
    options = dict(method.options)
    left = max(1, share - RESULT)
    spending = {"steps": max(1, left // 3), "queries": left, "eps": 1.0}
    if method.attack == GradientAscent.name:
        options.setdefault("confidence", None)
    for name, value in spending.items():
        if name in known:
            options.setdefault(name, value)
    try:
        attacks = list(registry.grid(method.attack, {**options, "seed": seed}))
    except AttackError as error:
        raise loaded.option_error_at(("methods", index), error, method.options) from error
    if len(attacks) > 1:
        raise loaded.error_at(
            ("methods", index),
            "a list of values would make several methods; write each of them as a method of its"
            " own",
        )
    return attacks[0]


def _evolved(
    config: CompareConfig,
    method: Method,
    net: GivenNet,
    classes: int,
    scoring: Scoring,
    seed: int,
) -> Evolved:
    """A campaign that fits the budget, its champions' verification included."""
    assert method.evolution is not None
    passes = net.classifier.passes
    pictures = config.budget // passes - classes
    initial = min(method.initial, max(1, pictures // 2))
    children = min(method.children, max(1, pictures // 2))
    # a population is scored in whole batches, which would cost more than it has pictures
    scoring = quickest(net, replace(scoring, batch=min(scoring.batch, initial, children)))
    first, each = (-(-n // scoring.batch) * scoring.batch for n in (initial, children))
    generations = max(1, (pictures - first) // each)
    campaign = Campaign(
        net, method.evolution, initial, children, generations, classes, scoring, seed
    )
    return Evolved(campaign.with_options(method.options), config.budget)


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in text)[:80]
