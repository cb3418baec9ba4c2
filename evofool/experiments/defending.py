"""The run of ``evofool defend``: a defense built, attacked in every way, diagnosed, reported.

Each threat to each net is one transaction; evolution's runs are run folders of their own below
``evolution/``; so a run that was killed goes on from where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.classifiers import Classifier
from evofool.config import Loaded, to_yaml
from evofool.defenses.victims import load_victim
from evofool.errors import ConfigError, FolderError, Interrupted, ScoringError, UsageError
from evofool.experiments.begun import CHANGEABLE, begun_with, check_begun
from evofool.experiments.curves import Curve, read_curve
from evofool.experiments.defend_config import DefendConfig, load_defense
from evofool.experiments.defend_outputs import (
    read_rows,
    read_verdict,
    summary,
    write_curves,
    write_threats,
)
from evofool.experiments.defend_report import write_report
from evofool.experiments.defend_setup import (
    check_defended,
    make_base,
    make_ground,
    strength,
    victim_config,
)
from evofool.experiments.defend_training import early_check, trained_weights
from evofool.experiments.diagnosing import Probe, diagnose
from evofool.experiments.engine.progress import Meter, OnProgress
from evofool.experiments.evolving import campaign, carry_out, evaluations_of
from evofool.experiments.threats import Ground, Threat, threats
from evofool.scoring import Scorer
from evofool.store import DefendFolder, DiagnosticRow, Result
from evofool.store.fixed import refuse_encoding, warn_unchecked
from evofool.store.manifest import check_classifier, new_manifest

VICTIM = "victim.yaml"
"""The defended net, as a victim that every command takes."""


def defend(
    source: Path | str | Mapping[str, Any] | DefendConfig | Loaded[DefendConfig],
    out: Path | str,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    command: str | None = None,
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Judge a defense into a new run folder.

    Args:
        source: a config file, the name of a shipped one, a mapping, or a config object.
        out: the run folder, which must not hold anything yet.
        seed: instead of the config's.
        overrides: ``key.sub=value``.
        command: the command line, for the manifest.
        progress: called now and then.
        should_stop: asked before every request to a net; once it is true the run ends as
            interrupted, all finished threats saved.

    Raises:
        ConfigError: the config is wrong, or does not fit net and data.
        StoreError: the folder cannot be used.
        ScoringError: a net failed; what was done so far is saved.
    """
    if isinstance(source, Loaded) and (overrides or seed is not None):
        raise UsageError("a config that is loaded already takes no overrides and no other seed")
    loaded = source if isinstance(source, Loaded) else load_defense(source, overrides, seed)
    DefendFolder.check_free(Path(out))
    base = make_base(loaded)
    early_check(loaded, base)
    ground = make_ground(loaded, base)
    manifest = new_manifest("defend", base, loaded.config.seed, command)
    manifest |= begun_with(loaded.config)
    manifest["defense"] = loaded.config.defense.model_dump(mode="json", exclude_none=True)
    with DefendFolder.create(Path(out), manifest, to_yaml(loaded.config)) as run:
        return _Loop(loaded, run, base, ground, progress, should_stop).run()


def resume_defense(
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Go on with an evaluation from its folder, to the same end as if it had never stopped.

    Args:
        path: the run folder.
        classifier: not for this kind of run.
        encoding: not for this kind of run.
        overrides: of ``scoring.workers`` only.
        progress: as in `defend`.
        should_stop: as in `defend`.

    Raises:
        FolderError: no run of this kind, or other nets than it was made with.
        StoreError: a damaged run folder.
        RunBusyError: another process is running it.
        ConfigError, UsageError: what would change the result.
    """
    if classifier is not None:
        raise UsageError(
            "--classifier: an evaluation names several nets; put the file where config.yaml says"
        )
    refuse_encoding(encoding)
    CHANGEABLE.check_overrides(overrides)
    with DefendFolder.open(Path(path), writable=True) as run:
        loaded = load_defense_run(run, overrides)
        check_begun(run, loaded.config)
        warn_unchecked(run)
        base = make_base(loaded)
        check_classifier(run.path, run.manifest, base)
        ground = make_ground(loaded, base)
        return _Loop(loaded, run, base, ground, progress, should_stop).run()


def load_defense_run(run: DefendFolder, overrides: Sequence[str] = ()) -> Loaded[DefendConfig]:
    """The config of a run folder.

    Raises:
        FolderError: it is damaged.
    """
    try:
        return load_defense(run.path / "config.yaml", overrides, check_files=False)
    except ConfigError as error:
        if overrides:
            raise
        raise FolderError(f"{run.path}: damaged: {error}") from error


@dataclass(frozen=True)
class _Evolution:
    """One run of evolution against one net."""

    net: str
    encoding: str
    seed: int

    @property
    def folder(self) -> str:
        return f"evolution/{self.net}-{self.encoding}-{self.seed}"


class _Loop:
    def __init__(
        self,
        loaded: Loaded[DefendConfig],
        run: DefendFolder,
        base: Classifier,
        ground: Ground,
        progress: OnProgress | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self.loaded, self.config = loaded, loaded.config
        self.folder, self.base, self.ground = run, base, ground
        self._meter = Meter(progress, should_stop, run.seconds())

    def run(self) -> Result:
        """Everything that is not done yet."""
        folder = self.folder
        folder.set_meta({"status": "running", "stop_reason": ""})
        try:
            victim = self._victim()
            nets = {"undefended": self.base}
            if victim.digest != self.base.digest:
                nets["defended"] = victim
            self._work(nets)
            curves = self._curves(nets)
            verdict = read_verdict(folder.diagnostics())
            rows = read_rows(folder)
            write_threats(folder, rows)
            write_curves(folder, curves)
            known = {"name": victim.name, "digest": victim.digest, "file": VICTIM}
            found = summary(folder, self.config, known, rows, curves, verdict)
            self._meter.begin("report", 0)
            write_report(folder, self.config, nets, self.ground, found, curves, self._scorer)
        except (Interrupted, ScoringError) as error:
            if isinstance(error, Interrupted):
                folder.set_meta({"status": "interrupted"})
                raise Interrupted(self._way_on("stopped")) from error
            raise type(error)(self._way_on(str(error))) from error
        folder.write_json("summary.json", found)
        folder.set_meta({"status": "finished"})
        return Result(folder.path, found)

    def _way_on(self, what: str) -> str:
        path = self.folder.path
        return f"{what}; what is done is saved; go on with: evofool resume {path}"

    # the defended net

    def _victim(self) -> Classifier:
        """The net that ``victim.yaml`` describes, which is made first if it is not there."""
        folder, path = self.folder, self.folder.path / VICTIM
        known = folder.meta().get("victim")
        if known is None:
            weights = trained_weights(
                self.loaded, self.base, folder.path, self._scorer, self._meter
            )
            wanted = victim_config(self.loaded, self.base, self.ground.start, self._scorer, weights)
            folder.write_file(VICTIM, to_yaml(wanted).encode())
        victim = load_victim(path)
        check_defended(self.loaded, victim, self.base)
        if known is None:
            folder.set_meta({"victim": json.dumps({"digest": victim.digest})})
        elif not victim.is_known_as(str(json.loads(known).get("digest"))):
            raise FolderError(
                f"{path}: is not the net that the run was begun with; begin a new run"
            )
        return victim

    # the work

    def _work(self, nets: Mapping[str, Classifier]) -> None:
        folder, tried = self.folder, strength(self.config)
        matrix = [
            (net, position, threat)
            for net, victim in nets.items()
            for position, threat in enumerate(
                threats(net, victim, self.ground, tried, self._scorer)
            )
        ]
        runs = self._evolutions(nets)
        each = evaluations_of(self.config.evolution)
        probed = 8 * self._probed * tried.steps + self._probed * self.config.threats.random_points
        total = sum(t.images for _, _, t in matrix) + each * len(runs) + probed
        meter = self._meter
        meter.plan(len(matrix) + len(runs) + 1, total)
        stored = {net: len(folder.threats(net)) for net in nets}
        for net, position, threat in matrix:
            if position < stored[net]:
                meter.skip(threat.images)
                continue
            meter.begin(f"{threat.name} on the {net} net", threat.images)
            self._threat(position, threat)
        for each_run in runs:
            meter.begin(f"evolution, {each_run.encoding}, {each_run.net} net", each)
            self._evolve(each_run)
        if folder.diagnostics():
            meter.skip(probed)
        else:
            meter.begin("diagnostics", probed)
            self._diagnose(nets)
        meter.begin("", 0)

    def _threat(self, position: int, threat: Threat) -> None:
        row = threat.run()
        self.folder.commit_threat(position, row, self._meter.seconds)

    @property
    def _probed(self) -> int:
        return min(len(self.ground.images), self.config.threats.black_images)

    def _diagnose(self, nets: Mapping[str, Classifier]) -> None:
        """All on the same images: the first ones, which Square was run on."""
        net = list(nets)[-1]
        n, tried = self._probed, strength(self.config)
        probe = Probe(
            eps=tried.eps,
            step_size=tried.step_size,
            steps=tried.steps,
            random_points=self.config.threats.random_points,
            seed=tried.seed,
        )
        rows = self.folder.threats(net)
        white = {r.threat: r.rate_of_first(n) for r in rows if r.group == "white"}
        black = {r.threat: r.rate_of_first(n) for r in rows if r.group in ("transfer", "black")}
        images, labels = self.ground.images[:n], self.ground.labels[:n]
        with self._scorer(nets[net]) as own, self._scorer(self.base) as other:
            found = diagnose(own, other, images, labels, probe, white, black)
        self.folder.commit_diagnostics(
            [DiagnosticRow(key, value, detail) for key, (value, detail) in found.items()],
            self._meter.seconds,
        )

    # evolution

    def _evolutions(self, nets: Mapping[str, Classifier]) -> list[_Evolution]:
        wanted = self.config.evolution
        if wanted is None:
            return []
        return [
            _Evolution(net, encoding, seed)
            for net in nets
            for encoding in wanted.encodings
            for seed in wanted.seeds
        ]

    def _evolve(self, wanted: _Evolution) -> None:
        """One run, begun or gone on with, unless it is done."""
        path = self.folder.path / wanted.folder

        carry_out(
            self._campaign(wanted),
            path,
            self._meter,
            self.folder.manifest.get("command"),
            moved=self._name(wanted.net) if wanted.net == "defended" else None,
        )
        self.folder.set_meta({"seconds": repr(self._meter.seconds)})

    def _campaign(self, wanted: _Evolution) -> dict[str, Any]:
        evolution, scoring = self.config.evolution, self.config.scoring
        assert evolution is not None
        base = self.config.base.model_dump(mode="json", exclude_none=True)
        net = {"name": self._name("defended")} if wanted.net == "defended" else base
        return campaign(
            net, wanted.encoding, evolution, self.base.n_classes, scoring, wanted.seed
        )  # fmt: skip

    def _name(self, net: str) -> str:
        return str((self.folder.path / VICTIM).absolute())

    def _curves(self, nets: Mapping[str, Classifier]) -> list[Curve]:
        evolution = self.config.evolution
        if evolution is None:
            return []
        return [
            read_curve(
                net,
                encoding,
                evolution.seeds,
                [
                    self.folder.path / _Evolution(net, encoding, seed).folder
                    for seed in evolution.seeds
                ],
            )
            for net in nets
            for encoding in evolution.encodings
        ]

    def _scorer(self, net: Classifier) -> Scorer:
        scoring = self.config.scoring
        return Scorer(
            net,
            engine="torch",  # for both nets the one that gives the gradients
            device=scoring.device,
            batch=scoring.batch,
            workers=scoring.workers,
            before=self._meter.scored,
        )
