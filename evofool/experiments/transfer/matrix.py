"""The works of a transfer matrix: what is made on which net and shown to which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from evofool.attacks import Attack
from evofool.attacks.registry import describe, grid, parameters_of, title
from evofool.classifiers import Classifier
from evofool.config import Loaded, chosen_classes
from evofool.data import DataSets
from evofool.errors import AttackError
from evofool.experiments.attack.sources import open_source, read_samples
from evofool.experiments.checked import check_encodings
from evofool.experiments.engine import Planned, Scoring
from evofool.experiments.transfer.config import (
    TransferConfig,
)
from evofool.experiments.transfer.nets import (
    Config,
    MatrixNet,
    class_map,
    load_nets,
)
from evofool.experiments.transfer.works import ChampionsShown, Ranked
from evofool.experiments.works.answers import Attacked
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.noise import NoiseAnswers
from evofool.experiments.works.pictures import Pictures


@dataclass(frozen=True)
class Matrix:
    """All works of a matrix by what they are about; names are those of nets.

    Attributes:
        config: what was asked for.
        sources: nets that pictures are made on.
        targets: nets that they are shown to.
        trainings: of nets that are trained first.
        noise: by target.
        clean: by target.
        crafted: by attack and source.
        attacked: by attack, source and target.
        campaigns: by encoding, source and seed.
        champions: by encoding, source, seed and target.
        notes: on cells that are left out, and on images.
    """

    config: TransferConfig
    sources: tuple[MatrixNet, ...]
    targets: tuple[MatrixNet, ...]
    trainings: tuple[Planned, ...]
    noise: Mapping[str, NoiseAnswers]
    clean: Mapping[str, Ranked]
    crafted: Mapping[tuple[str, str], Attacked]
    attacked: Mapping[tuple[str, str, str], Ranked]
    campaigns: Mapping[tuple[str, str, int], Campaign]
    champions: Mapping[tuple[str, str, int, str], ChampionsShown]
    notes: tuple[str, ...]

    @cached_property
    def in_common(self) -> frozenset[tuple[str, str]]:
        """Sources and targets that are not the same, but share a net: an ensemble, its members."""
        return frozenset(
            (source.name, target.name)
            for source in self.sources
            for target in self.targets
            if source.shares_a_net(target)
        )

    @cached_property
    def unseen(self) -> tuple[str, ...]:
        """Targets without a net of any source, where a source is an ensemble; else none."""
        if all(len(source.parts) == 1 for source in self.sources):
            return ()
        seen = frozenset(part for source in self.sources for part in source.parts)
        return tuple(target.name for target in self.targets if not target.parts & seen)

    def planned(self) -> Iterator[Planned]:
        """Every work with its title, in the order in which they are done."""
        files = {net.name: net.file for net in self.sources}
        yield from self.trainings
        for target, clean in self.clean.items():
            yield Planned(f"clean pictures, {target}", clean)
        for (attack, source), crafted in self.crafted.items():
            yield Planned(f"{attack} on {source}", crafted)
        for (attack, source, target), cell in self.attacked.items():
            yield Planned(f"{attack} from {source} to {target}", cell)
        for target, noise in self.noise.items():
            yield Planned(f"noise, {target}", noise)
        for (encoding, source, seed), campaign in self.campaigns.items():
            called = f"{files[source]}-{encoding}-{seed}"
            yield Planned(f"evolution, {encoding}, {source}, seed {seed}", campaign, called)
        for (encoding, source, seed, target), shown in self.champions.items():
            yield Planned(f"champions, {encoding}, seed {seed}, from {source} to {target}", shown)


def make_matrix(loaded: Config) -> Matrix:
    """The works of a config, with its nets and pictures loaded.

    Raises:
        ConfigError: nets, classes or pictures do not fit.
    """
    config = loaded.config
    check_encodings(loaded)
    attacks = attacks_of(loaded)
    data = DataSets()
    sources, targets, trainings = load_nets(loaded, data)
    maps = _maps(loaded, sources, targets)
    scoring = config.scoring.resolved()
    notes: dict[str, None] = {}

    def pictures(net: MatrixNet) -> Pictures:
        labelled, faults = read_pictures(loaded, net.classifier, data)
        notes.update(dict.fromkeys(faults))
        return labelled

    crafted: dict[tuple[str, str], Attacked] = {}
    attacked: dict[tuple[str, str, str], Ranked] = {}
    clean: dict[str, Ranked] = {}
    if attacks:
        every = {net.name: net for net in (*sources, *targets)}
        shown = {name: pictures(net) for name, net in every.items()}
        for net in targets:
            clean[net.name] = Ranked(
                net.net, shown[net.name], (), net.classifier.input_shape, net.answered(scoring)
            )
        for name, attack in attacks.items():
            for source in sources:
                if (why := _cannot(attack, source)) is not None:
                    notes[f"{name} on {source.name} is left out: {why}"] = None
                    continue
                made = Attacked(source.net, shown[source.name], attack, source.scored(scoring))
                crafted[name, source.name] = made
                for net in targets:
                    attacked[name, source.name, net.name] = Ranked(
                        net.net,
                        made,
                        maps[source.name, net.name],
                        net.classifier.input_shape,
                        net.answered(scoring),
                    )
    campaigns, champions, noise = _evolved(loaded, sources, targets, maps, scoring)
    return Matrix(
        config, sources, targets, trainings, noise, clean, crafted, attacked, campaigns, champions,
        tuple(notes),
    )  # fmt: skip


def _evolved(
    loaded: Config,
    sources: tuple[MatrixNet, ...],
    targets: tuple[MatrixNet, ...],
    maps: Mapping[tuple[str, str], tuple[int, ...]],
    scoring: Scoring,
) -> tuple[
    dict[tuple[str, str, int], Campaign],
    dict[tuple[str, str, int, str], ChampionsShown],
    dict[str, NoiseAnswers],
]:
    campaigns: dict[tuple[str, str, int], Campaign] = {}
    champions: dict[tuple[str, str, int, str], ChampionsShown] = {}
    config, wanted = loaded.config, loaded.config.evolution
    if wanted is None:
        return campaigns, champions, {}
    where = ("evolution", "classes")
    goals = {net.name: chosen_classes(loaded, where, wanted.classes, net.labels) for net in sources}
    for name, encoding in wanted.named.items():
        for source in sources:
            for seed in wanted.seeds:
                campaign = Campaign.of(
                    source.net, encoding, wanted, goals[source.name], source.scored(scoring), seed
                )
                campaigns[name, source.name, seed] = campaign
                for net in targets:
                    champions[name, source.name, seed, net.name] = ChampionsShown(
                        net.net,
                        campaign,
                        maps[source.name, net.name],
                        net.classifier.input_shape,
                        net.answered(scoring),
                    )
    noise = {
        net.name: NoiseAnswers(
            net.net, "pictures", config.noise, config.seed, net.answered(scoring)
        )
        for net in targets
    }
    return campaigns, champions, noise


def _cannot(attack: Attack, source: MatrixNet) -> str | None:
    """Why an attack cannot be made on a net; None where it can."""
    if attack.needs == "gradients" and not source.white:
        return "it needs gradients, which the net does not give"
    if attack.needs == "scores" and source.classifier.output == "label":
        return "it needs confidences, but the net gives only labels"
    return None


def _maps(
    loaded: Config, sources: tuple[MatrixNet, ...], targets: tuple[MatrixNet, ...]
) -> dict[tuple[str, str], tuple[int, ...]]:
    maps = {}
    for source in sources:
        for target in targets:
            try:
                maps[source.name, target.name] = class_map(source, target)
            except LookupError as error:
                raise loaded.error_at(target.where, str(error)) from error
    return maps


def read_pictures(
    loaded: Loaded[Any], net: Classifier, data: DataSets | None = None
) -> tuple[Pictures, tuple[str, ...]]:
    """The labelled pictures of a config as inputs of a net, and notes on them.

    Args:
        loaded: the config.
        net: whose inputs they become.
        data: those that were read before.

    Raises:
        ConfigError: they cannot be read, have no labels, or other classes than the net.
    """
    source = open_source(cast(Any, loaded), net, data)  # it reads `images` and `seed` alone
    if not source.labelled:
        raise loaded.error_at(
            "images", "have no labels, and without labels there are no errors; add labels"
        )
    samples, faults = read_samples(source, range(len(source)))
    if not samples:
        raise loaded.error_at("images", f"no picture can be used: {faults[0]}")
    images = np.stack([sample.pixels for sample in samples])
    labels = np.array([sample.label for sample in samples], np.int64)
    return Pictures.of(images, labels), (*source.notes, *faults)


def attacks_of(loaded: Config) -> dict[str, Attack]:
    """The attacks of a config, every combination of every grid, by their name in tables.

    Raises:
        ConfigError: an unknown one or a wrong parameter, at its place.
    """
    config = loaded.config
    by_name: dict[str, Attack] = {}
    for index, entry in enumerate(config.attacks):
        try:
            if describe(entry.name).aim not in ("untargeted", "both"):
                raise AttackError(f"{entry.name} cannot be aimed away from a given class")
            for attack in grid(entry.name, {"seed": config.seed, **entry.options}):
                name = _name(title(entry.name), attack, entry.options)
                if name in by_name:
                    raise AttackError(f"{name} occurs twice")
                by_name[name] = attack
        except AttackError as error:
            raise loaded.option_error_at(("attacks", index), error, entry.options) from error
    return by_name


def _name(name: str, attack: Attack, options: Mapping[str, object]) -> str:
    """An attack with the parameters that its config gives."""
    values = {key: value for key, value in parameters_of(attack).items() if key in options}
    shown = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
    return " ".join((name, ", ".join(shown))).strip()
