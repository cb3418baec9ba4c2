"""`evofool.evolve`, `evofool.attack`, `evofool.defend`: runs as programs begin them.

They take what the functions behind them take, and also a victim that is a Python object, as
``classifier=`` or in a mapping at the place of its name.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool.classifiers import Classifier
from evofool.classifiers.live import handed_over
from evofool.errors import UsageError

if TYPE_CHECKING:
    from evofool.config import AttackCampaign, Campaign
    from evofool.evolution.campaign import Progress
    from evofool.experiments.defend_config import DefendConfig
    from evofool.experiments.engine.progress import ExperimentProgress
    from evofool.store import Result


def evolve(
    source: Path | str | Mapping[str, Any] | Campaign,
    out: Path | str,
    *,
    classifier: Classifier | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Run a campaign into a new run folder.

    Args:
        source: a config file, the name of a shipped one, a mapping, or a config object.
        out: the run folder, which must not hold anything yet.
        classifier: the victim, instead of the config's.
        seed: instead of the config's.
        overrides: ``key.sub=value``.
        progress: called after each generation.
        should_stop: asked between micro-batches; once it is true the campaign ends with the
            pictures of its last whole generation. The result's ``status`` is then
            ``interrupted``, and `evofool.resume` goes on from there.

    Raises:
        ConfigError: the config is wrong, or does not fit its victim.
        StoreError: the folder cannot be used.
        ScoringError: the victim failed; what was done so far is saved.
    """
    from evofool.evolution.campaign import evolve as run

    with _named(source, "classifier", classifier, overrides) as (written, changes):
        return run(
            written, out, seed=seed, overrides=changes, progress=progress,
            should_stop=should_stop, pictures_when_stopped=True,
        )  # fmt: skip


def attack(
    source: Path | str | Mapping[str, Any] | AttackCampaign,
    out: Path | str,
    *,
    classifier: Classifier | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    progress: Callable[[ExperimentProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Run the attacks of a config into a new run folder.

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
    from evofool.experiments.attack.run import attack as run

    with _named(source, "classifier", classifier, overrides) as (written, changes):
        return run(
            written, out, seed=seed, overrides=changes, progress=progress,
            should_stop=should_stop, pictures_when_stopped=True,
        )  # fmt: skip


def defend(
    source: Path | str | Mapping[str, Any] | DefendConfig,
    out: Path | str,
    *,
    classifier: Classifier | None = None,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    progress: Callable[[ExperimentProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Judge a defense into a new run folder.

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
        Interrupted: `should_stop` was true; all finished threats are saved.
    """
    from evofool.experiments.defending import defend as run

    with _named(source, "base", classifier, overrides) as (written, changes):
        return run(
            written, out, seed=seed, overrides=changes, progress=progress, should_stop=should_stop
        )


@contextlib.contextmanager
def _named(
    source: Any, key: str, victim: Classifier | None, overrides: Sequence[str]
) -> Iterator[tuple[Any, Sequence[str]]]:
    """The config and its overrides with a name in place of an object, which can be loaded by it."""
    if isinstance(source, Mapping) and isinstance(source.get(key), Classifier):
        if victim is not None:
            raise UsageError(
                f"the victim is given twice, as classifier= and as {key} of the config"
            )
        victim = source[key]
        source = {name: value for name, value in source.items() if name != key}
    if victim is None:
        yield source, overrides
        return
    with handed_over(victim) as name:
        yield source, [*overrides, f"{key}={{name: {json.dumps(name)}}}"]
