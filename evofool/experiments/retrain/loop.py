"""A retraining loop: its nets, round by round, and the works that measure each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from evofool.attacks import GradientAscent
from evofool.classifiers import Classifier, load_classifier
from evofool.experiments.engine import Planned, Results, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.retrain.config import RetrainConfig
from evofool.experiments.retrain.fooling import Bred, Recognised
from evofool.experiments.retrain.retrained import Retrained
from evofool.experiments.retrain.shown import Ascent, Shown
from evofool.experiments.works.answers import Clean
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.nets import GivenNet, Net
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.trained import Trained
from evofool.experiments.works.written_net import WEIGHTS
from evofool.training.devices import choose_device

BASE = "base"
"""Stands for the chain of round 0."""


@dataclass(frozen=True, order=True)
class NetKey:
    """A net of the loop.

    Attributes:
        round: 0 for the base.
        trained_on: a chain of the config; ``base`` in round 0.
        seed: of the chain.
    """

    round: int
    trained_on: str
    seed: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"round-{self.round}-{self.trained_on}-{self.seed}"

    def before(self) -> NetKey:
        """The net of the round before, in the same chain."""
        return NetKey(self.round - 1, BASE if self.round == 1 else self.trained_on, self.seed)


@dataclass(frozen=True)
class JudgedNet:
    """The works of one net of the loop.

    Attributes:
        net: itself.
        clean: clean test pictures.
        campaigns: against it, by encoding.
        recall_old: pictures that it was trained on; None of the base.
        recall_first: by encoding, the first pictures of its own campaigns; none of the base.
        recall_last: by encoding, the last ones.
        ascent: gradients as an attacker, or None.
        shown: its champions by encoding and the name of the other net.
    """

    net: Net
    clean: Clean
    campaigns: Mapping[str, Campaign]
    recall_old: Recognised | None
    recall_first: Mapping[str, Recognised]
    recall_last: Mapping[str, Recognised]
    ascent: Ascent | None
    shown: Mapping[tuple[str, str], Shown]


class Loop:
    """The nets of a loop.

    Args:
        config: of the loop.
        base: the net of round 0.
        known: the same, or what it will be like once it is trained.
        architecture: of the base.
        clean: pictures to train on, and pictures to test on.
        others: nets that champions are shown to, by name.

    Attributes:
        classes: real ones.
        nets: all of the loop, round by round.
    """

    def __init__(
        self,
        config: RetrainConfig,
        base: Net,
        known: Classifier,
        architecture: str,
        clean: tuple[Pictures, Pictures],
        others: Mapping[str, GivenNet],
    ) -> None:
        self.base, self.known, self.config = base, known, config
        self.classes = len(known.labels)
        self.nets: dict[NetKey, JudgedNet] = {}
        self._architecture, self._others = architecture, others
        self._train, self._test = clean
        self._scoring: Scoring = config.scoring.resolved()
        self._device = choose_device(config.device).type
        self._bare: dict[NetKey, Net] = {}
        for round in range(config.rounds + 1):
            self._add_round(round)

    def chains(self, round: int) -> tuple[str, ...]:
        """The chains that have a net of their own in a round."""
        return self.config.chains if round else (BASE,)

    def keys(self, round: int) -> list[NetKey]:
        """The nets of a round; in round 0 one for each seed, all of them the base."""
        seeds = self.config.evolution.seeds
        return [NetKey(round, chain, seed) for chain in self.chains(round) for seed in seeds]

    def base_net(self, results: Results) -> Classifier:
        """The base, which the loop may have trained itself."""
        if isinstance(self.base, Trained):
            return load_classifier(str(results.path(self.base, WEIGHTS)))
        return self.known

    # what is to be measured

    def _add_round(self, round: int) -> None:
        keys = self.keys(round)
        for key in keys:
            self._bare[key] = self._net(key) if round else self.base
        for key in keys:
            self.nets[key] = self._judged(key)

    def _net(self, key: NetKey) -> Retrained:
        config = self.config
        seed = np.random.SeedSequence([config.seed, key.seed, key.round]).generate_state(1)[0]
        before = None if config.training.start == "scratch" else self._bare[key.before()]
        return Retrained(
            self.base,
            before,
            self._train,
            self._bred_before(key),
            config.training,
            self._device,
            int(seed),
            self._architecture,
            config.device,
            self._test,
            {"round": key.round, "trained_on": key.trained_on, "chain_seed": key.seed},
            (config.data.dataset, config.data.split),
        )

    def _bred_before(self, key: NetKey) -> tuple[Bred, ...]:
        """What the net `key` is trained on: of all rounds before, in the encodings of its chain."""
        config, bred = self.config, []
        encodings = config.encodings_of(key.trained_on)
        while key.round > 0:
            total = config.images.first if key.round == 1 else config.images.more
            key = key.before()
            for encoding, count in zip(encodings, parts(total, len(encodings)), strict=True):
                bred.append(self._bred(self.nets[key].campaigns[encoding], count))
        return tuple(bred)

    def _bred(self, campaign: Campaign, count: int) -> Bred:
        early = round(count * self.config.images.first_share)
        return Bred(campaign, early, count - early)

    def _judged(self, key: NetKey) -> JudgedNet:
        config, scoring, net = self.config, self._scoring, self._bare[key]
        campaigns = {
            name: Campaign.of(net, encoding, config.evolution, self.classes, scoring, key.seed)
            for name, encoding in config.evolution.named.items()
        }
        more = {e: self._bred(campaign, config.images.more) for e, campaign in campaigns.items()}
        first = {e: Bred(b.campaign, b.early, 0) for e, b in more.items() if b.early}
        last = {e: Bred(b.campaign, 0, b.late) for e, b in more.items() if b.late}
        old = self._bred_before(key)
        grown = key.round > 0

        def recognised(bred: tuple[Bred, ...]) -> Recognised:
            return Recognised(net, bred, self.classes, scoring)

        return JudgedNet(
            net,
            Clean(net, self._test, scoring),
            campaigns,
            recognised(old) if grown else None,
            {e: recognised((b,)) for e, b in first.items()} if grown else {},
            {e: recognised((b,)) for e, b in last.items()} if grown else {},
            self._ascent(net),
            {
                (encoding, name): Shown(campaign, other, scoring)
                for encoding, campaign in campaigns.items()
                for name, other in self._shown_to(key).items()
            },
        )

    def _ascent(self, net: Net) -> Ascent | None:
        wanted = self.config.ascent
        if wanted is None:
            return None
        attack = GradientAscent(steps=wanted.steps, confidence=wanted.confidence)
        seed = self.config.seed
        return Ascent(net, attack, wanted.images, self.classes, seed, self._scoring)

    def _shown_to(self, key: NetKey) -> dict[str, Net]:
        """The net of the next seed and those of ``others``."""
        seeds = self.config.evolution.seeds
        nets: dict[str, Net] = {}
        if key.round and len(seeds) > 1:
            following = seeds[(seeds.index(key.seed) + 1) % len(seeds)]
            nets["another seed"] = self._bare[NetKey(key.round, key.trained_on, following)]
        return nets | dict(self._others)

    def planned(self) -> Iterator[Planned]:
        """All works, in the order in which they are to be run."""
        if isinstance(self.base, Trained):
            yield Planned("training of the base", self.base, self.base.name)
        for key, judged in self.nets.items():
            at = f"round {key.round}"
            against = "the base" if key.round == 0 else f"the net trained on {key.trained_on}"
            of = f"{against}, seed {key.seed}"
            if isinstance(judged.net, Retrained):
                yield Planned(f"{at}: training on {key.trained_on}", judged.net, key.name)
            for encoding, campaign in judged.campaigns.items():
                called = f"round-{key.round}-{key.trained_on}-{encoding}-{key.seed}"
                yield Planned(f"{at}: evolution, {encoding}, {of}", campaign, called)
            measures: list[tuple[str, Work | None]] = [
                ("clean pictures", judged.clean),
                ("pictures it was trained on", judged.recall_old),
                *((f"first pictures, {e}", w) for e, w in judged.recall_first.items()),
                *((f"last pictures, {e}", w) for e, w in judged.recall_last.items()),
                ("gradient ascent", judged.ascent),
                *((f"champions, {e}, shown to {o}", w) for (e, o), w in judged.shown.items()),
            ]
            for name, work in measures:
                if work is not None:
                    yield Planned(f"{at}: {name}, {of}", work)


def parts(total: int, shares: int) -> list[int]:
    """`total` in equal parts, the first ones larger by one where it does not divide."""
    return [total // shares + (k < total % shares) for k in range(shares)]
