"""The training of a classifier as a kind of run: weights with a card instead of a run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evofool.config import Loaded, yaml_lines
from evofool.errors import UsageError
from evofool.experiments.training_verify import verify_training
from evofool.store import Check, Result
from evofool.text import duration
from evofool.training import TrainConfig

if TYPE_CHECKING:
    from evofool.training import TrainProgress
    from evofool.training.plan import TrainPlan


def plan_lines(plan: TrainPlan) -> list[str]:
    """The resolved config, then what is not here yet."""
    missing = [f"# not ready: {what}" for what in plan.missing]
    return [*yaml_lines(plan.config), *(missing or ["# ready to train"])]


def run_training(
    loaded: Loaded[TrainConfig],
    out: Path | str,
    *,
    command: str | None = None,
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    data: Path | None = None,
    fresh: bool = False,
) -> Result:
    """Train, or go on from the checkpoint in `out`; see `evofool.training.train`.

    Args:
        loaded: what to train.
        out: folder of the weights, which may hold others.
        command: is not recorded: a card says how its weights were made.
        progress: called after every step.
        should_stop: asked after every step.
        data: folder of the data set.
        fresh: start over, whatever checkpoint there is.

    Returns:
        `out`, with ``weights`` and ``card`` (paths), ``test_accuracy`` and
        ``adversarial_accuracy`` (shares, the second perhaps None) and ``seconds``.

    Raises:
        EvofoolError: as `evofool.training.train`.
    """
    from evofool.training import train

    made = train(loaded, data, Path(out), progress, fresh=fresh, should_stop=should_stop)
    return Result(
        Path(out),
        {
            "weights": str(made.weights),
            "card": str(made.card),
            "test_accuracy": made.test_accuracy,
            "adversarial_accuracy": made.adversarial_accuracy,
            "seconds": made.seconds,
        },
    )


def result_lines(result: Result, pages: Sequence[Path]) -> list[str]:
    """The accuracy, and where the weights are."""
    s = result.summary
    lines = [f"test accuracy {s['test_accuracy']:.2%} after {s['seconds']:.0f} s"]
    if s["adversarial_accuracy"] is not None:
        lines.append(f"under the attack it was trained with: {s['adversarial_accuracy']:.1%}")
    return [*lines, s["weights"], s["card"]]


def progress() -> Callable[[TrainProgress], tuple[str, float | None]]:
    """Gives epoch, time left, loss and accuracies in a line.

    The accuracies on the test split stay until those of the next epoch.
    """
    measured = ""

    def line(p: TrainProgress) -> tuple[str, float | None]:
        nonlocal measured
        measured = _measured(p) or measured
        return _progress_line(p, measured), p.step / p.steps

    return line


def _progress_line(p: TrainProgress, measured: str) -> str:
    whose = "teacher, " if p.teacher else ""
    parts = [f"{whose}epoch {p.epoch}/{p.epochs}", f"{duration(p.seconds_left)} left"]
    parts.append(f"loss {p.loss:.4f}")
    if p.accuracy is not None:
        parts.append(f"accuracy {p.accuracy:.1%}")
    if p.resumed_at and p.step == p.resumed_at + 1:
        parts.append(f"continuing from step {p.resumed_at}")
    return "  ".join([*parts, measured] if measured else parts)


def _measured(p: TrainProgress) -> str:
    if p.test_accuracy is None:
        return ""
    text = f"test {p.test_accuracy:.2%}"
    if p.adversarial_accuracy is not None:
        text += f"  attacked {p.adversarial_accuracy:.1%}"
    return text


def verify(
    path: Path | str, *, classifier: str | None = None, encoding: str | None = None
) -> Iterator[Check]:
    """`evofool.experiments.training_verify.verify_training`.

    Raises:
        UsageError: a classifier or an encoding, which a training has not.
    """
    if classifier is not None or encoding is not None:
        raise UsageError("--classifier, --encoding and --engine are for run folders only")
    yield from verify_training(Path(path))
