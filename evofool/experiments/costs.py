"""``evofool defend`` of kind costs: the same net under several cost functions.

The run folder holds a row for every measure of every net in ``run.sqlite``, the nets below
``nets/`` and a run folder for every evolution below ``evolution/``. Each is left as soon as it is
done, so what was interrupted goes on with what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evofool import encodings
from evofool.attacks import FGSM
from evofool.attacks.noise import noise_images
from evofool.classifiers import Classifier, from_module, load_classifier
from evofool.config import Loaded, to_yaml
from evofool.data import Dataset, inspect_dataset, load_dataset
from evofool.errors import (
    ConfigError,
    DataError,
    FolderError,
    Interrupted,
    ScoringError,
    UsageError,
)
from evofool.experiments.begun import CHANGEABLE, begun_with, check_begun
from evofool.experiments.costs_config import CostNet, CostsConfig, load_costs
from evofool.experiments.costs_outputs import (
    CLEAN,
    FGSM_ROW,
    FLOATS,
    MEASURES,
    PICTURES,
    evolution_folder,
    net_name,
    read_champions,
    read_curves,
    summary,
    write_table,
)
from evofool.experiments.costs_report import write_report
from evofool.experiments.defend_outputs import write_curves
from evofool.experiments.engine.progress import Meter, OnProgress
from evofool.experiments.evolving import campaign, carry_out, evaluations_of
from evofool.images import FloatImages, UInt8Images
from evofool.randomness import Stream, generator
from evofool.scoring import Scorer
from evofool.store import CostsFolder, Result, ThreatRow
from evofool.store.defend_schema import RIGHT, WRONG
from evofool.store.fixed import refuse_encoding, warn_unchecked
from evofool.store.manifest import new_manifest
from evofool.training import Diverged, train

REACH = 8.0
"""Deviations up to which noise is drawn as floats: one number in 10^15 lies beyond."""


@dataclass(frozen=True)
class CostsPlan:
    """What a dry run finds out.

    Attributes:
        config: checked.
        trainings: nets that are trained.
        evolved: images that evolution scores, over all nets.
        missing: what is not on this machine, and how to get it.
    """

    config: CostsConfig
    trainings: int
    evolved: int
    missing: tuple[str, ...]


def plan(loaded: Loaded[CostsConfig]) -> CostsPlan:
    """Check a config without running it.

    Raises:
        ConfigError: whatever can be known to be wrong without data.
    """
    config = loaded.config
    try:
        data = inspect_dataset(config.training.dataset)
    except DataError as error:
        raise loaded.error_at("training.dataset", str(error)) from error
    for split in ("train", "test"):
        if split not in data.splits:
            raise loaded.error_at("training.dataset", f"{data.name} has no split {split}")
    _check_encodings(loaded)
    nets = len(config.nets) * len(config.seeds)
    evolved = nets * len(config.evolution.encodings) * evaluations_of(config.evolution)
    return CostsPlan(config, nets, evolved, () if data.present else (data.missing,))


def compare_costs(
    source: Path | str | Mapping[str, Any] | CostsConfig | Loaded[CostsConfig],
    out: Path | str,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    command: str | None = None,
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Train and judge into a new run folder; arguments as in `defending.defend`.

    Raises:
        ConfigError: the config is wrong, or the data set is not here.
        StoreError: the folder cannot be used.
        ScoringError: a net failed; what was done so far is saved.
        Diverged: a training lost its way.
    """
    if isinstance(source, Loaded) and (overrides or seed is not None):
        raise UsageError("a config that is loaded already takes no overrides and no other seed")
    loaded = source if isinstance(source, Loaded) else load_costs(source, overrides, seed)
    CostsFolder.check_free(Path(out))
    _check_encodings(loaded)
    test_set = load_test_set(loaded)
    manifest = new_manifest("costs", None, loaded.config.seed, command)
    manifest |= begun_with(loaded.config)
    with CostsFolder.create(Path(out), manifest, to_yaml(loaded.config)) as run:
        return _Loop(loaded, run, test_set, progress, should_stop).run()


def resume_costs(
    path: Path | str,
    *,
    classifier: str | None = None,
    encoding: str | None = None,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Go on with a comparison from its folder; arguments as in `defending.resume_defense`.

    Raises:
        FolderError: no run of this kind, or a net in it is damaged.
        StoreError: a damaged run folder.
        RunBusyError: another process is running it.
        ConfigError, UsageError: what would change the result.
    """
    if classifier is not None:
        raise UsageError("--classifier: a comparison of costs trains its own nets")
    refuse_encoding(encoding)
    CHANGEABLE.check_overrides(overrides)
    with CostsFolder.open(Path(path), writable=True) as run:
        loaded = load_costs_run(run, overrides)
        check_begun(run, loaded.config)
        warn_unchecked(run)
        return _Loop(loaded, run, load_test_set(loaded), progress, should_stop).run()


def load_costs_run(run: CostsFolder, overrides: Sequence[str] = ()) -> Loaded[CostsConfig]:
    """The config of a run folder.

    Raises:
        FolderError: it is damaged.
    """
    try:
        return load_costs(run.path / "config.yaml", overrides)
    except ConfigError as error:
        if overrides:
            raise
        raise FolderError(f"{run.path}: damaged: {error}") from error


def load_test_set(loaded: Loaded[CostsConfig]) -> Dataset:
    """The pictures that nets are judged on.

    Raises:
        ConfigError: they are not here.
    """
    try:
        return load_dataset(loaded.config.training.dataset, "test")
    except DataError as error:
        raise loaded.error_at("training.dataset", str(error)) from error


def load_net(folder: Path, name: str) -> Classifier:
    """A net of a run, by its name ``LOSS-SEED``."""
    return load_classifier(str((folder / "nets" / f"{name}.safetensors").absolute()))


def noise_net(net: Classifier) -> Classifier:
    """`net` for noise as floats: an input x on [0, 1] stands for `REACH` (2 x - 1).

    So draws of N(0, I), most of which no picture can hold, go through a Scorer like all else.
    """
    assert net.module is not None
    return from_module(
        net.module,
        input_shape=net.input_shape,
        name=net.name,
        labels=net.labels,
        output=net.output,
        link=net.link,
        mean=[0.5],
        std=[0.5 / REACH],
    )


def float_noise(shape: tuple[int, int, int], n: int, seed: int) -> FloatImages:
    """`n` draws of N(0, I) as `noise_net` takes them: the draws that `noise_images` cuts off."""
    found = np.empty((n, *shape), np.float32)
    for index in range(n):
        draws = generator(seed, Stream.NOISE, index, 0).standard_normal(shape, dtype=np.float32)
        found[index] = np.clip(draws / (2 * REACH) + 0.5, 0, 1)
    return found


def _check_encodings(loaded: Loaded[CostsConfig]) -> None:
    for index, name in enumerate(loaded.config.evolution.encodings):
        try:
            encodings.find(name)
        except UsageError as error:
            raise loaded.error_at(("evolution", "encodings", index), str(error)) from error


class _Loop:
    def __init__(
        self,
        loaded: Loaded[CostsConfig],
        run: CostsFolder,
        test_set: Dataset,
        progress: OnProgress | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self.loaded, self.config = loaded, loaded.config
        self.folder, self.test_set = run, test_set
        self._meter = Meter(progress, should_stop, run.seconds())
        chosen = generator(self.config.seed, Stream.CHOICE, 0, 0).permutation(len(test_set))
        self._chosen = chosen[: self.config.images]

    def run(self) -> Result:
        """Everything that is not done yet."""
        folder, config = self.folder, self.config
        folder.set_meta({"status": "running", "stop_reason": ""})
        try:
            for seed in config.seeds:
                for net in config.nets:
                    self._train(net, seed)
            self._plan()
            for seed in config.seeds:
                for net in config.nets:
                    self._judge(net, seed)
            curves = read_curves(folder, config)
            champions = read_champions(folder, config)
            found = summary(folder, config, curves, champions)
            write_table(folder, found)
            write_curves(folder, curves)
            write_report(folder, config, found, curves, champions, self.test_set.label_names)
        except (Interrupted, ScoringError, Diverged) as error:
            if isinstance(error, Interrupted):
                folder.set_meta({"status": "interrupted"})
            what = "stopped" if isinstance(error, Interrupted) else str(error)
            raise type(error)(
                f"{what}; what is done is saved; go on with: evofool resume {folder.path}"
            ) from error
        folder.write_json("summary.json", found)
        folder.set_meta({"status": "finished"})
        return Result(folder.path, found)

    def _train(self, net: CostNet, seed: int) -> None:
        wanted = self.config.training_of(net, seed)
        folder = self.folder.path / "nets"
        if (folder / f"{wanted.name}.json").is_file():  # the card is written last
            return
        train(
            wanted,
            out=folder,
            progress=self._meter.trained,
            should_stop=self._meter.should_stop,
        )
        self.folder.set_meta({"seconds": repr(self._meter.seconds)})

    # judging

    def _plan(self) -> None:
        nets = len(self.config.nets) * len(self.config.seeds)
        rows = sum(self._images_of_rows())
        runs = len(self.config.evolution.encodings)
        each = runs * evaluations_of(self.config.evolution)
        self._meter.plan(nets * (4 + runs), nets * (rows + each))

    def _images_of_rows(self) -> tuple[int, int, int, int]:
        noise = self.config.rubbish.images
        return len(self.test_set), noise, noise, 3 * len(self._chosen)

    def _judge(self, net: CostNet, seed: int) -> None:
        name = net_name(net.loss, seed)
        victim = load_net(self.folder.path, name)
        done = len(self.folder.threats(name))
        measures = (self._clean, self._floats, self._pictures, self._fgsm)
        for position, images in enumerate(self._images_of_rows()):
            if position < done:
                self._meter.skip(images)
                continue
            self._meter.begin(f"{MEASURES[position]}, {name}", images)
            row = measures[position](name, victim)
            self.folder.commit_threat(position, row, self._meter.seconds)
        for encoding in self.config.evolution.encodings:
            each = evaluations_of(self.config.evolution)
            self._meter.begin(f"evolution, {encoding}, {name}", each)
            self._evolve(name, victim, encoding, seed)
        self._meter.begin("", 0)

    def _clean(self, name: str, victim: Classifier) -> ThreatRow:
        began = time.perf_counter()
        with self._scorer(victim) as scorer:
            wrong = scorer.labels(self.test_set.images) != self.test_set.labels
            return _row(name, CLEAN, "clean", wrong, scorer, began)

    def _floats(self, name: str, victim: Classifier) -> ThreatRow:
        rubbish = self.config.rubbish
        noise = float_noise(victim.input_shape, rubbish.images, self.config.seed)
        return self._noise(name, noise_net(victim), noise, FLOATS)

    def _pictures(self, name: str, victim: Classifier) -> ThreatRow:
        rubbish = self.config.rubbish
        noise = noise_images("normal", victim.input_shape, rubbish.images, self.config.seed)
        return self._noise(name, victim, noise, PICTURES)

    def _noise(
        self, name: str, victim: Classifier, noise: UInt8Images | FloatImages, row: str
    ) -> ThreatRow:
        began = time.perf_counter()
        with self._scorer(victim) as scorer:
            most = scorer.confidence(noise).max(1)
            claimed = most > self.config.rubbish.threshold
            detail = f"median largest confidence {np.median(most):.4f}"
            return _row(name, row, "noise", claimed, scorer, began, detail)

    def _fgsm(self, name: str, victim: Classifier) -> ThreatRow:
        began = time.perf_counter()
        attack = FGSM(eps=self.config.eps, seed=self.config.seed)
        images, labels = self.test_set.images[self._chosen], self.test_set.labels[self._chosen]
        with self._scorer(victim) as scorer:
            result = attack(scorer, images, labels)
            wrong = result.predicted != labels
            return _row(name, FGSM_ROW, "white", wrong, scorer, began, f"eps {attack.eps:g}")

    def _evolve(self, name: str, victim: Classifier, encoding: str, seed: int) -> None:
        where = str((self.folder.path / "nets" / f"{name}.safetensors").absolute())
        config = campaign(
            {"name": where},
            encoding,
            self.config.evolution,
            victim.n_classes,
            self.config.scoring,
            seed,
        )
        path = self.folder.path / evolution_folder(name, encoding)
        carry_out(config, path, self._meter, self.folder.manifest.get("command"), moved=where)
        self.folder.set_meta({"seconds": repr(self._meter.seconds)})

    def _scorer(self, net: Classifier) -> Scorer:
        scoring = self.config.scoring
        return Scorer(
            net,
            engine="torch",  # the one that gives the gradients, for all measures
            device=scoring.device,
            batch=scoring.batch,
            workers=scoring.workers,
            before=self._meter.scored,
        )


def _row(
    net: str,
    what: str,
    group: str,
    bad: Any,
    scorer: Scorer,
    began: float,
    detail: str = "",
) -> ThreatRow:
    outcomes = "".join(WRONG if one else RIGHT for one in np.asarray(bad).tolist())
    return ThreatRow(
        net,
        what,
        group,
        outcomes,
        scorer.queries,
        scorer.backward_images,
        time.perf_counter() - began,
        detail,
    )
