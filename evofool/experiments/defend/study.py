"""The evaluation of a defense: its plan, the threat matrix above all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from evofool.attacks import FGSM, PGD, RFGSM, Attack, Square, SubstituteSettings
from evofool.classifiers import Classifier
from evofool.config import Loaded
from evofool.errors import StoreError, UsageError
from evofool.experiments.defend.config import DefendConfig, load_defense
from evofool.experiments.defend.preparing import Prepared, prepare
from evofool.experiments.defend.setup import (
    Config,
    check_encodings,
    load_pictures,
    load_sources,
    make_base,
)
from evofool.experiments.engine import Plan, Planned, Results
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.study import Study
from evofool.experiments.works.answers import Attacked, Clean, Transferred
from evofool.experiments.works.campaign import Campaign
from evofool.experiments.works.defended import DefendedNet
from evofool.experiments.works.diagnosed import Diagnosed, Probe
from evofool.experiments.works.first_layer import FirstLayer
from evofool.experiments.works.nets import GivenNet, Net
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.substitute import Substitute
from evofool.experiments.works.surface import LossSurfaces
from evofool.report.output import Report
from evofool.store.experiment import ExperimentFolder
from evofool.store.files import read_json

Group: TypeAlias = Literal["clean", "white", "adaptive", "transfer", "black"]
UNDEFENDED, DEFENDED = "undefended", "defended"
SURFACES = 3
"""Pictures of which the loss around them is drawn."""


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


class DefendStudy(Study[DefendConfig]):
    """A defense, judged beside its undefended net.

    Attributes:
        victim: the undefended net.
        pictures: that are attacked.
        defended: the work that makes ``victim.yaml``.
        nets: the undefended one, and the defended one unless it is known to be the same.
        diagnosed: diagnostics of the last of them.
        surfaces: by net.
    """

    kind = "defend"
    config = DefendConfig
    moved = "an evaluation names several nets; put the file where config.yaml says"
    load = staticmethod(load_defense)

    def __init__(self, loaded: Config, base: Classifier) -> None:
        config = loaded.config
        self.loaded = loaded
        scoring = config.scoring.resolved()
        given = GivenNet.of(base, config.base.model_dump(mode="json", exclude_none=True))
        check_encodings(loaded)
        prepared = prepare(loaded, given, scoring)
        self.pictures, start = load_pictures(loaded, base)
        sources = load_sources(loaded, ("sources",), config.sources, base)
        self.defended = _defended(loaded, prepared, given, start, scoring)
        nets: dict[str, Net] = {UNDEFENDED: given}
        if not prepared.is_base:
            nets[DEFENDED] = self.defended
        named = named_sources(sources)
        matrix = Matrix(config, self.pictures, start, named, scoring, base.n_classes)
        digests = {UNDEFENDED: base.digest, DEFENDED: prepared.digest}
        self.nets = tuple(matrix.judged(name, net, digests[name]) for name, net in nets.items())
        last = list(nets.values())[-1]
        threats, probed = config.threats, self.pictures.first(config.threats.black_images)
        probe = Probe(
            threats.eps, threats.step, threats.steps, threats.random_points, config.seed
        )  # fmt: skip
        self.diagnosed = Diagnosed(last, given, probed, probe, scoring)
        clean = tuple(net.clean for net in self.nets)
        self.surfaces = {
            name: LossSurfaces(
                net, clean, self.pictures, threats.eps, SURFACES, config.seed, scoring
            )
            for name, net in nets.items()
        }
        plan = Plan(
            [
                *([] if prepared.trains is None else [prepared.trains]),
                Planned("the defended net", self.defended),
                *(planned for net in self.nets for planned in _planned_threats(net)),
                *(planned for net in self.nets for planned in _planned_campaigns(net)),
                Planned("diagnostics", self.diagnosed),
                *(
                    Planned(f"loss around pictures, {name} net", work)
                    for name, work in self.surfaces.items()
                ),
                *(Planned(f"first layer, {net.name} net", net.first_layer) for net in self.nets),
            ]
        )
        super().__init__(loaded, plan, base)

    @classmethod
    def make(cls, loaded: Loaded[DefendConfig]) -> DefendStudy:
        return cls(loaded, make_base(loaded))

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.defend.report import report

        return report(self, results, manifest)

    def described(self) -> dict[str, Any]:
        defense = self.loaded.config.defense
        return {"defense": defense.model_dump(mode="json", exclude_none=True)}

    @classmethod
    def outcome(cls, run: ExperimentFolder) -> dict[str, Any]:
        """The defense, and the verdict of a finished run."""
        defense = run.manifest.get("defense")
        verdict = None
        if run.meta().get("status") == "finished":
            summary = read_json(run.path / "summary.json")
            judged = summary.get("verdict")
            verdict = judged.get("colour") if isinstance(judged, dict) else None
            if verdict is None:
                raise StoreError(f"{run.path / 'summary.json'}: damaged: verdict")
        name = str(defense.get("name")) if isinstance(defense, dict) else None
        return {"defense": name, "verdict": verdict}


def _defended(
    loaded: Config, prepared: Prepared, base: GivenNet, start: Pictures, scoring: Scoring
) -> DefendedNet:
    defense = prepared.defense
    learns = defense is not None and defense.learns
    if defense is not None and learns:
        try:
            defense.check_clean(len(start))
        except UsageError as error:
            raise loaded.error_at("data.start", str(error)) from error
    return DefendedNet(
        prepared.net,
        prepared.identity,
        prepared.denoiser,
        start if learns else None,
        scoring,
        base,
        defense,
        prepared.called,
    )


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
                (encoding, seed): Campaign.of(
                    net, encoding, evolution, self._classes, scoring, seed
                )
                for encoding in evolution.encodings
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


def _planned_threats(net: JudgedNet) -> list[Planned]:
    works: list[Planned] = []
    for threat in net.threats:
        if isinstance(threat.work, Transferred):
            crafted, source = threat.work.crafted, threat.name
            works.append(Planned(f"pictures: {source}", crafted))
        works.append(Planned(f"{threat.name} on the {net.name} net", threat.work))
    return works


def _planned_campaigns(net: JudgedNet) -> list[Planned]:
    return [
        Planned(f"evolution, {encoding}, {net.name} net", work, f"{net.name}-{encoding}-{seed}")
        for (encoding, seed), work in net.campaigns.items()
    ]
