"""The retraining loop: evolve, add what fools as a class of its own, retrain, evolve anew.

Nguyen, Yosinski, Clune (CVPR 2015, section 3.5). Each chain of nets has a seed and the encodings
that it is trained on; every net of it is attacked in every encoding. Nets, measures and runs of
evolution are stored as they are done, so a loop that was killed goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evofool.classifiers import Classifier, load_classifier
from evofool.config import Loaded, to_yaml
from evofool.errors import (
    ClassifierError,
    FolderError,
    Interrupted,
    ScoringError,
    UsageError,
)
from evofool.experiments.begun import CHANGEABLE, begun_with, check_begun
from evofool.experiments.engine.progress import Meter, OnProgress
from evofool.experiments.evolving import carry_out, evaluations_of, finished
from evofool.experiments.retrain_chain import (
    BASE,
    NetKey,
    RunKey,
    campaign,
    net_keys,
    retrain,
    start_of,
)
from evofool.experiments.retrain_config import RetrainConfig, is_training, load_retraining
from evofool.experiments.retrain_measures import (
    OTHERS,
    OWN,
    Pictures,
    own_measures,
    shown_elsewhere,
)
from evofool.experiments.retrain_outputs import read_curves, summary, write_curves, write_table
from evofool.experiments.retrain_report import write_report
from evofool.experiments.retrain_setup import (
    Base,
    Examples,
    base_of,
    by_name,
    check_encodings,
    load_base_training,
    load_retrain_run,
    make_base,
    make_examples,
    make_others,
)
from evofool.scoring import Scorer
from evofool.store import NetRow, Result, RetrainFolder
from evofool.store.fixed import refuse_encoding, warn_unchecked
from evofool.store.manifest import new_manifest
from evofool.training import Diverged, train


def run_retraining(
    source: Path | str | Mapping[str, Any] | RetrainConfig | Loaded[RetrainConfig],
    out: Path | str,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    command: str | None = None,
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Run a retraining loop into a new run folder.

    Args:
        source: a config file, the name of a shipped one, a mapping, or a config object.
        out: the run folder, which must not hold anything yet.
        seed: instead of the config's.
        overrides: ``key.sub=value``.
        command: the command line, for the manifest.
        progress: called now and then.
        should_stop: asked before every request to a net and after every step of training; once it
            is true the loop ends as interrupted, all that is done saved.

    Raises:
        ConfigError: the config is wrong, or does not fit net and data.
        StoreError: the folder cannot be used.
        ScoringError: a net failed; what was done so far is saved.
        Diverged: a training failed; what was done so far is saved.
    """
    if isinstance(source, Loaded) and (overrides or seed is not None):
        raise UsageError("a config that is loaded already takes no overrides and no other seed")
    loaded = source if isinstance(source, Loaded) else load_retraining(source, overrides, seed)
    RetrainFolder.check_free(Path(out))
    check_encodings(loaded)
    if is_training(loaded.config.base.name):
        training = load_base_training(loaded).config
        known = Classifier(training.name, (), (1, 1, 1), "trained by the run itself")
    else:
        base = make_base(loaded)
        known = base.net
        make_examples(loaded, known)
        make_others(loaded, known)
    manifest = new_manifest("retrain", known, loaded.config.seed, command)
    manifest |= begun_with(loaded.config)
    with RetrainFolder.create(Path(out), manifest, to_yaml(loaded.config)) as run:
        return _Loop(loaded, run, progress, should_stop).run()


def resume_retraining(
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Go on with a loop from its folder, to the same end as if it had never stopped.

    Args:
        path: the run folder.
        classifier: not for this kind of run.
        encoding: not for this kind of run.
        overrides: of ``scoring.workers`` only.
        progress: as in `run_retraining`.
        should_stop: as in `run_retraining`.

    Raises:
        FolderError: no run of this kind, or other nets than it was made with.
        StoreError: a damaged run folder.
        RunBusyError: another process is running it.
        ConfigError, UsageError: what would change the result.
    """
    if classifier is not None:
        raise UsageError(
            "--classifier: a retraining loop names several nets; put the file where config.yaml"
            " says"
        )
    refuse_encoding(encoding)
    CHANGEABLE.check_overrides(overrides)
    with RetrainFolder.open(Path(path), writable=True) as run:
        loaded = load_retrain_run(run, overrides)
        check_begun(run, loaded.config)
        warn_unchecked(run)
        return _Loop(loaded, run, progress, should_stop).run()


@dataclass(frozen=True)
class _Ground:
    """What stays the same over the rounds."""

    base: Base
    train: Examples
    test: Examples
    others: tuple[Classifier, ...]


class _Loop:
    def __init__(
        self,
        loaded: Loaded[RetrainConfig],
        run: RetrainFolder,
        progress: OnProgress | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self.loaded, self.config = loaded, loaded.config
        self.folder = run
        self._meter = Meter(progress, should_stop, run.seconds())
        self._pictures = Pictures(run.path, loaded.config)

    def run(self) -> Result:
        """Everything that is not done yet."""
        folder = self.folder
        folder.set_meta({"status": "running", "stop_reason": ""})
        try:
            ground = self._ground()
            self._made = {(n.round, n.trained_on, n.seed): n for n in folder.nets()}
            self._measured = {(m.round, m.trained_on, m.seed, m.part) for m in folder.measures()}
            self._plan(ground)
            for round in range(self.config.rounds + 1):
                self._round(ground, round)
            self._meter.begin("report", 0)
            found = self._outputs(ground)
        except (Interrupted, ScoringError, Diverged) as error:
            if isinstance(error, Interrupted):
                folder.set_meta({"status": "interrupted"})
                raise Interrupted(self._way_on("stopped")) from error
            raise type(error)(self._way_on(str(error))) from error
        folder.write_json("summary.json", found)
        folder.set_meta({"status": "finished"})
        return Result(folder.path, found)

    def _outputs(self, ground: _Ground) -> dict[str, Any]:
        folder, config = self.folder, self.config
        curves = read_curves(folder, config)
        write_curves(folder, curves)
        write_table(folder, config, curves)
        found = summary(folder, config, ground.base.net, curves)
        write_report(folder, config, found, curves)
        return found

    def _way_on(self, what: str) -> str:
        path = self.folder.path
        return f"{what}; what is done is saved; go on with: evofool resume {path}"

    def _ground(self) -> _Ground:
        if is_training(self.config.base.name):
            self._train_base()
        base = base_of(self.folder, self.loaded)
        train_on, test = make_examples(self.loaded, base.net)
        return _Ground(base, train_on, test, make_others(self.loaded, base.net))

    def _train_base(self) -> None:
        training = load_base_training(self.loaded)
        folder = self.folder.path / "training"
        if (folder / f"{training.config.name}.json").is_file():  # the card is written last
            return
        self._meter.begin("training", 0)
        train(
            training,
            out=folder,
            progress=self._meter.trained,
            should_stop=self._meter.should_stop,
        )

    # how much there is to do

    def _plan(self, ground: _Ground) -> None:
        keys = [key for r in range(self.config.rounds + 1) for key in net_keys(self.config, r)]
        each = evaluations_of(self.config.evolution)
        runs = len(keys) * len(self.config.evolution.encodings)
        trained = sum(self._cost(ground, key) for key in keys)
        self._meter.plan(runs + len(keys), each * runs + trained)

    def _cost(self, ground: _Ground, key: NetKey) -> int:
        """An image that is trained on takes about as long as one that is evolved."""
        if key.round == 0:
            return 0
        images = self.config.images
        shown = len(ground.train) + images.first + (key.round - 1) * images.more
        return shown * self.config.training.epochs

    # a round

    def _round(self, ground: _Ground, round: int) -> None:
        nets = {key: self._net(ground, key) for key in net_keys(self.config, round)}
        for key, net in nets.items():
            for encoding in self.config.evolution.encodings:
                self._evolve(RunKey(key, encoding), net)
            self._measure(ground, key, net)
        for key in nets:
            self._show(ground, key, nets)

    def _net(self, ground: _Ground, key: NetKey) -> Classifier:
        """The net, which is trained first if it is not there."""
        row = self._made.get((key.round, key.trained_on, key.seed))
        cost = self._cost(ground, key)
        if key.round == 0:
            net = ground.base.net
            if row is None:
                self._commit(key, NetRow(0, BASE, key.seed, "", net.digest, 0, 0.0))
        elif row is None:
            self._meter.begin(f"round {key.round}: training on {key.trained_on}", cost)
            trained = retrain(
                self.config,
                key,
                ground.base,
                start_of(self.config, self.folder.path, ground.base, key),
                ground.train,
                self._pictures.before(key),
                ground.test,
                self.folder.path / "nets",
                progress=self._meter.reached,
                should_stop=self._meter.should_stop,
            )
            net = self._load(key)
            self._commit(
                key,
                NetRow(
                    key.round,
                    key.trained_on,
                    key.seed,
                    key.file,
                    net.digest,
                    trained.images,
                    trained.seconds,
                ),
            )
            return net
        else:
            self._meter.skip(cost)
            net = self._load(key)
        if row is not None and row.digest != net.digest:
            raise FolderError(
                f"{self.folder.path}: the net of round {key.round} is not the one that the run was"
                " begun with; begin a new run"
            )
        return net

    def _commit(self, key: NetKey, row: NetRow) -> None:
        self.folder.commit_net(row, self._meter.seconds)
        self._made[key.round, key.trained_on, key.seed] = row

    def _load(self, key: NetKey) -> Classifier:
        try:
            return load_classifier(str(self.folder.path / key.file))
        except ClassifierError as error:
            raise FolderError(f"{self.folder.path}: damaged: {error}") from error

    # attacks

    def _evolve(self, wanted: RunKey, net: Classifier) -> None:
        """One run, begun or gone on with, unless it is done."""
        path = self.folder.path / wanted.folder
        each = evaluations_of(self.config.evolution)
        if (path / "manifest.json").is_file() and finished(path):
            self._meter.skip(each)
            return
        key = wanted.net
        against = "the base" if key.round == 0 else f"the net trained on {key.trained_on}"
        self._meter.begin(
            f"round {key.round}: evolution, {wanted.encoding}, seed {key.seed}, {against}", each
        )

        carry_out(
            campaign(self.config, self.folder.path, wanted, net),
            path,
            self._meter,
            self.folder.manifest.get("command"),
        )
        self.folder.set_meta({"seconds": repr(self._meter.seconds)})

    # measures

    def _measure(self, ground: _Ground, key: NetKey, net: Classifier) -> None:
        if (key.round, key.trained_on, key.seed, OWN) in self._measured:
            return
        old = self._pictures.before(key) if key.round else np.empty((0, *net.input_shape), np.uint8)
        with self._scorer(net) as scorer:
            rows = own_measures(
                self.config,
                key,
                scorer,
                ground.base.net.n_classes,
                ground.test,
                old,
                self._pictures,
                self.folder.path,
            )
        self.folder.commit_measures(rows, self._meter.seconds)

    def _show(self, ground: _Ground, key: NetKey, nets: Mapping[NetKey, Classifier]) -> None:
        """The champions against a net, to the net of the next seed and to those of `others`."""
        if (key.round, key.trained_on, key.seed, OTHERS) in self._measured:
            return
        seeds = self.config.evolution.seeds
        other_nets = by_name(ground.others)
        if key.round and len(seeds) > 1:
            following = seeds[(seeds.index(key.seed) + 1) % len(seeds)]
            beside = NetKey(key.round, key.trained_on, following)
            other_nets = {"another seed": nets[beside], **other_nets}
        with ExitStack() as stack:
            others = [
                (name, stack.enter_context(self._scorer(net))) for name, net in other_nets.items()
            ]
            rows = shown_elsewhere(key, self.config.evolution.encodings, others, self.folder.path)
        if rows:
            self.folder.commit_measures(rows, self._meter.seconds)

    def _scorer(self, net: Classifier) -> Scorer:
        scoring = self.config.scoring
        return Scorer(
            net,
            engine="torch",  # that evolution uses, and that gives gradients
            device=scoring.device,
            batch=scoring.batch,
            workers=scoring.workers,
            before=self._stopped,
        )

    def _stopped(self, _: int) -> None:
        if self._meter.should_stop():
            raise Interrupted("stopped")
