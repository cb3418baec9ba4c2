"""The threat matrix: every attack on a net and its defended twin, as works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from evofool.attacks import FGSM, PGD, RFGSM, Attack, Square, SubstituteSettings
from evofool.classifiers import Classifier
from evofool.experiments.defend.config import DefendConfig
from evofool.experiments.engine import Scoring
from evofool.experiments.works.answers import Attacked, Clean, Transferred
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.defended import DefendedNet
from evofool.experiments.works.diagnosed import Diagnosed
from evofool.experiments.works.first_layer import FirstLayer
from evofool.experiments.works.nets import GivenNet, Net
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.substitute import Substitute
from evofool.experiments.works.surface import LossSurfaces

Group: TypeAlias = Literal["clean", "white", "adaptive", "transfer", "black"]
UNDEFENDED, DEFENDED = "undefended", "defended"


@dataclass(frozen=True)
class Threat:
    """One attack on one net.

    Attributes:
        net: `UNDEFENDED` or `DEFENDED`.
        name: the attack, in words.
        group: what the attacker knows.
        work: whose rows are the net's answers.
        source: digest of the net that the pictures were made on, if it was another.
    """

    net: str
    name: str
    group: Group
    work: Clean | Attacked | Transferred | Substitute
    source: str | None = None


@dataclass(frozen=True)
class JudgedNet:
    """The works on one net.

    Attributes:
        name: `UNDEFENDED` or `DEFENDED`.
        clean: answers to clean pictures.
        adaptive: the attack that knows the defense.
        threats: all rows of the matrix, these two among them.
        campaigns: of evolution, by encoding and seed.
        first_layer: its filters.
    """

    name: str
    clean: Clean
    adaptive: Attacked
    threats: tuple[Threat, ...]
    campaigns: Mapping[tuple[str, int], Campaign]
    first_layer: FirstLayer


@dataclass(frozen=True)
class Evaluation:
    """Everything that is measured of a defense, as works.

    Attributes:
        config: what was asked for.
        base: the undefended net.
        pictures: that are attacked.
        defended: the work that makes ``victim.yaml``.
        nets: the undefended one, and the defended one unless it is known to be the same.
        diagnosed: diagnostics of the last of them.
        surfaces: by net.
    """

    config: DefendConfig
    base: Classifier
    pictures: Pictures
    defended: DefendedNet
    nets: tuple[JudgedNet, ...]
    diagnosed: Diagnosed
    surfaces: Mapping[str, LossSurfaces]


@dataclass(frozen=True)
class Source:
    """A net whose adversarial pictures are tried on others, and its name in the matrix."""

    net: GivenNet
    called: str


def named_sources(sources: Sequence[Classifier]) -> list[Source]:
    """Sources with their names: a file by its last part, where no other has the same."""
    last = [Path(source.name).name for source in sources]
    named = []
    for source in sources:
        short = Path(source.name).name
        is_file = Path(source.name).is_absolute()
        called = short if is_file and last.count(short) == 1 else source.name
        named.append(Source(GivenNet.of(source, {"name": source.name}), called))
    return named


class Matrix:
    """Every attack on a net, as a config says how hard they try."""

    def __init__(
        self,
        config: DefendConfig,
        pictures: Pictures,
        start: Pictures,
        sources: Sequence[Source],
        scoring: Scoring,
        classes: int,
    ) -> None:
        self._config, self._scoring, self._classes = config, scoring, classes
        self._pictures, self._start, self._sources = pictures, start, sources

    def judged(self, name: str, net: Net, digest: str | None) -> JudgedNet:
        """The works on one net, whose digest may be known."""
        config, scoring, t = self._config, self._scoring, self._config.threats
        evolution = config.evolution
        clean = Clean(net, self._pictures, scoring)
        adaptive = Attacked(
            net,
            self._pictures,
            PGD(
                eps=t.eps,
                step_size=t.step,
                steps=t.steps,
                restarts=t.restarts,
                random_start=True,
                loss="margin",
                seed=config.seed,
            ),
            scoring,
            adaptive=True,
        )
        campaigns = {}
        if evolution is not None:
            campaigns = {
                (name, seed): Campaign.of(net, encoding, evolution, self._classes, scoring, seed)
                for name, encoding in evolution.named.items()
                for seed in evolution.seeds
            }
        threats = (
            Threat(name, "no attack", "clean", clean),
            *self._white(name, net),
            Threat(name, f"adaptive PGD-{t.steps}", "adaptive", adaptive),
            *self._transferred(name, net, digest),
            *self._black(name, net),
        )
        return JudgedNet(name, clean, adaptive, threats, campaigns, FirstLayer(net))

    def _white(self, name: str, net: Net) -> list[Threat]:
        """Gradients as they are, the defense unknown to the attacker."""
        t, seed = self._config.threats, self._config.seed
        attacks: list[tuple[str, Attack]] = [
            ("FGSM", self._fgsm),
            ("R+FGSM", RFGSM(eps=t.eps, alpha=t.alpha, seed=seed)),
            (
                f"PGD-{t.steps}",
                PGD(
                    eps=t.eps, step_size=t.step, steps=t.steps, restarts=t.restarts, seed=seed
                ),
            ),
        ]  # fmt: skip
        return [
            Threat(name, called, "white", Attacked(net, self._pictures, attack, self._scoring))
            for called, attack in attacks
        ]

    def _transferred(self, name: str, net: Net, digest: str | None) -> list[Threat]:
        """Pictures of other nets, which make all of PGD's steps.

        Those that just cross the source's boundary would not transfer. From a net to itself
        nothing is transferred.
        """
        t = self._config.threats
        whole = PGD(
            eps=t.eps, step_size=t.step, steps=t.steps, seed=self._config.seed, early_stop=False
        )
        return [
            Threat(
                name,
                f"{called} from {source.called}",
                "transfer",
                Transferred(
                    net, Attacked(source.net, self._pictures, attack, self._scoring), self._scoring
                ),
                source.net.digest,
            )
            for source in self._sources
            if source.net.digest != digest
            for called, attack in (("FGSM", self._fgsm), (f"PGD-{t.steps}", whole))
        ]

    def _black(self, name: str, net: Net) -> list[Threat]:
        """Answers only."""
        t, seed, scoring = self._config.threats, self._config.seed, self._scoring
        square = Square(eps=t.eps, queries=t.square_queries, seed=seed)
        taught = Substitute(
            net,
            self._pictures,
            self._start.first(t.substitute_initial),
            SubstituteSettings(seed=seed, rounds=t.substitute_rounds),
            self._fgsm,
            scoring,
        )
        few = self._pictures.first(t.black_images)
        return [
            Threat(name, "substitute, FGSM", "black", taught),
            Threat(name, "Square", "black", Attacked(net, few, square, scoring)),
        ]

    @property
    def _fgsm(self) -> FGSM:
        return FGSM(eps=self._config.threats.eps, seed=self._config.seed)
