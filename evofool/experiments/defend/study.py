"""The evaluation of a defense as a study: its plan of works and its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evofool.config import Loaded
from evofool.data import DataSets
from evofool.errors import DamagedError, UsageError
from evofool.experiments.checked import check_encodings
from evofool.experiments.defend.config import DefendConfig, resolve
from evofool.experiments.defend.matrix import (
    DEFENDED,
    UNDEFENDED,
    Evaluation,
    JudgedNet,
    Matrix,
    named_sources,
)
from evofool.experiments.defend.preparing import Prepared, prepare
from evofool.experiments.defend.setup import (
    Config,
    load_pictures,
    load_sources,
    make_base,
)
from evofool.experiments.engine import Plan, Planned, Results, Scoring
from evofool.experiments.engine.study import Study
from evofool.experiments.works.answers import Transferred
from evofool.experiments.works.defended import DefendedNet
from evofool.experiments.works.diagnosed import Diagnosed, Probe
from evofool.experiments.works.nets import GivenNet, Net
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.surface import LossSurfaces
from evofool.report.output import Report
from evofool.store.experiment import ExperimentFolder
from evofool.store.files import read_json

SURFACES = 3
"""Pictures of which the loss around them is drawn."""


class DefendStudy(Study[DefendConfig]):
    """A defense, judged beside its undefended net.

    Attributes:
        evaluation: the works by what they are about.
    """

    kind = "defend"
    config = DefendConfig
    moved = "an evaluation names several nets; put the file where config.yaml says"
    resolve = staticmethod(resolve)

    def __init__(self, loaded: Config, evaluation: Evaluation, prepared: Prepared) -> None:
        self.evaluation = evaluation
        nets = evaluation.nets
        plan = Plan(
            [
                *([] if prepared.trains is None else [prepared.trains]),
                Planned("the defended net", evaluation.defended),
                *(planned for net in nets for planned in _planned_threats(net)),
                *(planned for net in nets for planned in _planned_campaigns(net)),
                Planned("diagnostics", evaluation.diagnosed),
                *(
                    Planned(f"loss around pictures, {name} net", work)
                    for name, work in evaluation.surfaces.items()
                ),
                *(Planned(f"first layer, {net.name} net", net.first_layer) for net in nets),
            ]
        )
        super().__init__(loaded, plan, evaluation.base)

    @classmethod
    def make(cls, loaded: Loaded[DefendConfig], data: DataSets | None = None) -> DefendStudy:
        """As every study; `data` holds what was read before."""
        sets = data or DataSets()
        config, base = loaded.config, make_base(loaded)
        scoring = config.scoring.resolved()
        given = GivenNet.of(base, config.base.model_dump(mode="json", exclude_none=True))
        check_encodings(loaded)
        prepared = prepare(loaded, given, scoring, sets)
        pictures, start = load_pictures(loaded, base, sets)
        sources = named_sources(load_sources(loaded, ("sources",), config.sources, base))
        defended = _defended(loaded, prepared, given, start, scoring)
        nets: dict[str, Net] = {UNDEFENDED: given}
        if not prepared.is_base:
            nets[DEFENDED] = defended
        matrix = Matrix(config, pictures, start, sources, scoring, base.n_classes)
        digests = {UNDEFENDED: base.digest, DEFENDED: prepared.digest}
        judged = tuple(matrix.judged(name, net, digests[name]) for name, net in nets.items())
        t, seed = config.threats, config.seed
        probe = Probe(t.eps, t.step, t.steps, t.random_points, seed)
        last, probed = list(nets.values())[-1], pictures.first(t.black_images)
        clean = tuple(net.clean for net in judged)
        evaluation = Evaluation(
            config,
            base,
            pictures,
            defended,
            judged,
            Diagnosed(last, given, probed, probe, scoring),
            {
                name: LossSurfaces(net, clean, pictures, t.eps, SURFACES, seed, scoring)
                for name, net in nets.items()
            },
        )
        return cls(loaded, evaluation, prepared)

    def report(self, results: Results, manifest: Mapping[str, Any]) -> Report:
        from evofool.experiments.defend.report import report  # which imports matplotlib

        return report(self.evaluation, results, manifest)

    def described(self) -> dict[str, Any]:
        defense = self.loaded.config.defense
        return {"defense": defense.model_dump(mode="json", exclude_none=True)}

    @classmethod
    def counted(cls, run: ExperimentFolder, roles: Mapping[str, str]) -> dict[str, Any]:
        """The defense, and the verdict of a finished run."""
        defense = run.manifest.get("defense")
        verdict = None
        if run.meta().get("status") == "finished":
            summary = read_json(run.path / "summary.json")
            judged = summary.get("verdict")
            verdict = judged.get("colour") if isinstance(judged, dict) else None
            if verdict is None:
                raise DamagedError(f"{run.path / 'summary.json'}: damaged: verdict")
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
