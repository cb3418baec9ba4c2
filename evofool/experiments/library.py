"""The functions for programs: start runs, resume them, look at them.

The victim may be a Python object, passed as ``classifier=`` or put into a mapping in place of its
name. The functions return typed results.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.classifiers import Classifier
from evofool.classifiers.sources.live import handed_over
from evofool.errors import UsageError
from evofool.experiments import runs
from evofool.experiments.results import AttackRun, DefendRun, EvolveRun, Run, run_of

if TYPE_CHECKING:
    from deap import base

    from evofool.config import AttackCampaign, Campaign, Loaded
    from evofool.encodings import Encoding
    from evofool.evolution.campaign import Progress
    from evofool.experiments.defend.config import DefendConfig
    from evofool.experiments.engine.progress import ExperimentProgress
    from evofool.images import Shape
    from evofool.store import Check
    from evofool.training import TrainConfig, TrainProgress, TrainResult


def evolve(
    source: Path | str | Mapping[str, Any] | Campaign,
    out: Path | str,
    *,
    classifier: Classifier | str | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    toolbox: base.Toolbox | None = None,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    ray: bool | str = False,
) -> EvolveRun:
    """Evolve pictures that fool a classifier, in a new run folder.

    >>> run = evofool.evolve("configs/quickstart.yaml", "runs/first", seed=1)
    >>> run.images()                         # one picture per class, N x C x H x W, uint8
    >>> run.to_frame().confidence.median()

    Args:
        source: a config file, the name of a shipped config, a mapping, or a config object.
        out: the run folder, which must not hold anything yet.
        classifier: the victim, or its name, instead of the config's.
        seed: instead of the config's.
        overrides: ``key.sub=value``.
        toolbox: from `evofool.evolution.toolbox`, with your own tools; `evofool.resume` needs it
            again.
        progress: called after each generation.
        should_stop: called between micro-batches; once it is true the campaign ends with the
            pictures of its last whole generation. The result's ``status`` is then
            ``interrupted``, and `evofool.resume` continues from there.
        ray: the address of a Ray cluster that draws and scores, or True to start one on this
            machine. The result is the same.

    Raises:
        ConfigError: the config is wrong, or does not fit its victim.
        StoreError: the folder cannot be used.
        ScoringError: the victim failed; what was done so far is saved.
    """
    from evofool.config import ray_overrides
    from evofool.evolution.campaign import evolve as run

    with _named(source, "classifier", classifier, overrides) as (written, changes):
        result = run(
            written, out, seed=seed, overrides=[*changes, *ray_overrides(ray)],
            toolbox=toolbox, progress=progress, should_stop=should_stop, pictures_when_stopped=True,
        )  # fmt: skip
    return EvolveRun(result.path, result.summary)


def attack(
    source: Path | str | Mapping[str, Any] | AttackCampaign,
    out: Path | str,
    *,
    classifier: Classifier | str | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    progress: Callable[[ExperimentProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> AttackRun:
    """Attack a classifier with given pictures, in a new run folder.

    >>> run = evofool.attack("configs/attack-mnist.yaml", "runs/attacks", seed=1)
    >>> run.to_frame().groupby("attack").success_png.mean()

    Args:
        source: as in `evolve`.
        out: as in `evolve`.
        classifier: as in `evolve`.
        seed: as in `evolve`.
        overrides: as in `evolve`.
        progress: called now and then.
        should_stop: asked before every request to the victim; once it is true the run ends with
            pictures and tables of all whole chunks, as interrupted.

    Raises:
        ConfigError: the config is wrong, or does not fit its victim.
        StoreError: the folder cannot be used.
        ScoringError: the victim failed; what was done so far is saved.
    """
    from evofool.experiments.attack.study import AttackStudy
    from evofool.experiments.engine.life import begin

    with _named(source, "classifier", classifier, overrides) as (written, changes):
        result = begin(
            AttackStudy, written, out, seed=seed, overrides=changes, progress=progress,
            should_stop=should_stop, draw_when_stopped=True,
        )  # fmt: skip
    return AttackRun(result.path, result.summary)


def defend(
    source: Path | str | Mapping[str, Any] | DefendConfig,
    out: Path | str,
    *,
    classifier: Classifier | str | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    progress: Callable[[ExperimentProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> DefendRun:
    """Judge a defense: the defended and the undefended net under the same threats.

    >>> run = evofool.defend("configs/defend/mnist-fgsm.yaml", "runs/defense", seed=1)
    >>> run.to_frame().pivot(index="threat", columns="net", values="rate")

    Args:
        source: a config of kind defend, as in `evolve`.
        out: as in `evolve`.
        classifier: the undefended net, instead of the config's ``base``.
        seed: as in `evolve`.
        overrides: as in `evolve`.
        progress: called now and then.
        should_stop: asked before every request to a net; once it is true the run ends.

    Raises:
        ConfigError: the config is wrong, or does not fit net and data.
        StoreError: the folder cannot be used.
        ScoringError: a net failed; what was done so far is saved.
        Interrupted: `should_stop` was true; all that is done is saved.
    """
    from evofool.experiments.defend.study import DefendStudy
    from evofool.experiments.engine.life import Options, begin

    with _named(source, "base", classifier, overrides) as (written, changes):
        options = Options(progress, should_stop)
        result = begin(DefendStudy, written, out, seed=seed, overrides=changes, options=options)
    return DefendRun(result.path, result.summary)


def resume(
    path: Path | str | os.PathLike[str],
    *,
    classifier: str | Classifier | None = None,
    overrides: Sequence[str] = (),
    progress: Callable[[Any], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    **options: Any,
) -> Run:
    """Continue a run of any kind, with the same result as if it had never stopped.

    A run that has ended continues if a limit is raised (``overrides=["stop.generations=500"]``);
    otherwise its pictures and tables are made again.

    Args:
        path: the run folder, or what `evolve`, `attack` or `defend` returned.
        classifier: where the victim is now, if its file has moved; or the victim itself, where the
            run was begun with a Python object.
        overrides: ``key.sub=value``, only for keys that change no result: limits, workers, budget.
        progress: as in the function that started the run.
        should_stop: as there; what is done is saved, and `Interrupted` is raised.
        options: what else runs of this kind take (``encoding=``: the new path of its file).

    Raises:
        StoreError: no run folder, a damaged one, or one whose config or victim has changed.
        ConfigError, UsageError: an override that would change the result.
        ScoringError: the victim failed; what was done so far is saved.
        Interrupted: `should_stop` was true.
    """
    folder = Path(path)
    result = runs.resume(
        folder, classifier=classifier, overrides=overrides, progress=progress,
        should_stop=should_stop, **options,
    )  # fmt: skip
    return run_of(runs.kind_of(folder), result)


def status(path: Path | str | os.PathLike[str]) -> dict[str, Any]:
    """How far a run has come, as JSON values: ``status``, ``kind``, ``seconds``, its counts...

    It loads no classifier, and works while another process runs the campaign.

    Args:
        path: the run folder, or what `evolve`, `attack` or `defend` returned.

    Raises:
        StoreError: no run folder, or a damaged one.
    """
    return runs.status(Path(path))


def verify(
    path: Path | str | os.PathLike[str],
    *,
    classifier: str | Classifier | None = None,
    encoding: str | None = None,
    engine: str | None = None,
) -> list[Check]:
    """Check that a run folder is intact, and that its pictures do what they claim.

    >>> assert all(check.ok is not False for check in evofool.verify("runs/first"))

    Args:
        path: the run folder, what `evolve`, `attack` or `defend` returned, or what `train` wrote.
        classifier: where the victim is now, if its file has moved; or the victim itself, where the
            run was begun with a Python object.
        encoding: where the encoding's file is now, if it has moved.
        engine: what scores the pictures of kinds evolve and attack again: ``torch``,
            ``onnxruntime``, or None for torch if the victim's module is available.

    Returns:
        A `Check` for each thing that was checked: ``name``, ``ok`` (None: nothing to check yet)
        and ``detail``, a sentence for people.

    Raises:
        StoreError: no run folder, or one too damaged to check.
        ConfigError: its victim is not available.
        UsageError: an engine for another kind of run.
    """
    return list(runs.verify(Path(path), classifier=classifier, encoding=encoding, engine=engine))


def train(
    source: Path | str | Mapping[str, Any] | TrainConfig | Loaded[TrainConfig],
    out: Path | str = "weights",
    *,
    data: Path | str | None = None,
    overrides: Sequence[str] = (),
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    fresh: bool = False,
) -> TrainResult:
    """Train a classifier; writes ``NAME.safetensors`` and its card ``NAME.json``.

    The weights file is then a victim by its name: ``load_classifier("weights/NAME.safetensors")``.
    If `out` holds a checkpoint of exactly this training, it continues from there.

    Args:
        source: a config of kind train, as in `evolve`.
        out: folder for the files; made if it is not there.
        data: the folder of data sets; by default ``$EVOFOOL_DATA``, else ``~/.cache/evofool``.
        overrides: ``key.sub=value``.
        progress: called after every step.
        should_stop: called after every step; if true, a checkpoint is written and training ends.
        fresh: start over, ignoring any checkpoint.

    Returns:
        Paths of weights and card, accuracy on the test split (on [0, 1]) and seconds.

    Raises:
        ConfigError: the config is wrong.
        DataError: the data set is missing or damaged.
        UsageError: no such device, or a checkpoint of another training.
        Diverged: the loss is no longer finite.
        Interrupted: `should_stop` was true.
    """
    from evofool.config import Loaded, load_model
    from evofool.training import TrainConfig
    from evofool.training import train as run

    if isinstance(source, Loaded) and overrides:
        raise UsageError("a config that is already loaded takes no overrides")
    loaded = source if isinstance(source, Loaded) else load_model(source, TrainConfig, overrides)
    folder = None if data is None else Path(data)
    return run(loaded, folder, Path(out), progress, fresh=fresh, should_stop=should_stop)


def load_encoding(
    name: str, shape: Shape, options: Mapping[str, Any] | None = None
) -> Encoding[Any]:
    """Load an encoding: what genomes are, how they vary, and how they become pictures.

    >>> cppn = evofool.load_encoding("cppn", (3, 64, 64), {"colour": "hsv"})
    >>> genome = cppn.sample(np.random.default_rng(1))
    >>> cppn.render([genome], (256, 256))        # 1 x 3 x 256 x 256, uint8: any size will do

    Args:
        name: one that ``evofool list encodings`` shows (shipped, or of an installed package), or
            ``path/to/file.py:Class``. A file is code, and is run.
        shape: channels (1 or 3), height and width of the victim's input.
        options: of the encoding, checked by it.

    Raises:
        EncodingError: no such encoding, file or class, or an option is unknown or wrong.
    """
    from evofool.encodings import load

    return load(name, shape, options)


@contextlib.contextmanager
def _named(
    source: Any, key: str, victim: Classifier | str | None, overrides: Sequence[str]
) -> Iterator[tuple[Any, Sequence[str]]]:
    """The config and its overrides with a name in place of an object, which can be loaded by it."""
    if isinstance(source, Mapping) and isinstance(source.get(key), Classifier):
        if victim is not None:
            raise UsageError(
                f"the victim is given twice, as classifier= and as {key} in the config"
            )
        victim = source[key]
        source = {name: value for name, value in source.items() if name != key}
    if victim is None:
        yield source, overrides
        return
    if isinstance(victim, str):
        yield source, [*overrides, f"{key}={json.dumps(victim)}"]
        return
    if not isinstance(victim, Classifier):
        raise UsageError(
            "classifier= takes a name, or what evofool.from_module or evofool.load_classifier"
            f" returns, not {type(victim).__name__}"
        )
    with handed_over(victim) as name:
        yield source, [*overrides, f"{key}={{name: {json.dumps(name)}}}"]
