"""The rows of the tables that runs leave, as typed records: read from their CSV, checked.

A table is derived from its run and keeps the names of its columns; the fields of a record are
these. What is empty in the table is None.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_type_hints

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from evofool.errors import DamagedError, FolderError, UsageError
from evofool.files import read_file, reason
from evofool.text import written_cell
from evofool.validation import problem_of

if TYPE_CHECKING:
    import pandas
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")
_Parameters = Annotated[dict[str, Any], BeforeValidator(json.loads)]


@dataclass(frozen=True)
class EliteRecord:
    """One class of a campaign of evolution, and the best picture for it.

    Attributes:
        class_index: the class.
        label: its name.
        confidence: of the victim in it, on [0, 1], on the picture as it is saved.
        log_odds: of the same, which does not saturate near 1.
        won: whether it is also the victim's first answer to the picture.
        generation: in which the picture was made; 0 is the initial one.
        individual: ``generation:child``, the same for every class that one picture holds.
        parents: of the picture, ``generation:child`` each.
    """

    class_index: int
    label: str
    confidence: float
    log_odds: float
    won: bool
    generation: int
    individual: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class AttackRecord:
    """One attacked image: a line of ``results.csv``, see docs/attacks.md.

    Attributes:
        attack_index: which of the attacks, in the order of the config and its grids.
        attack: its name.
        parameters: of the attack, the seed included.
        image: number of the image in the run.
        picture: where the image comes from.
        source: its class.
        source_label: the name of that.
        target: the class aimed at, None without one.
        target_label: the name of that, "" without one.
        predicted: the victim's answer to the saved picture; None: its scores are not finite.
        predicted_label: the name of that.
        confidence: in `predicted`, on [0, 1]; None where the victim gives labels alone.
        success_float: whether the float image fools, before it is rounded.
        success_png: whether the saved picture fools.
        complete: False where a budget ended before the attack was through with the image.
        eps: the radius asked for, in fractions of 1; None where the attack has none.
        effective_eps: the radius that 8 bits allow.
        l0: pixels changed.
        l2: Euclidean length of the change, of values on [0, 1].
        linf: its largest value.
        ssim: structural similarity to the clean picture.
        forward_images: images sent forward to craft this one.
        backward_images: images that gradients were taken of.
        verify_forward_images: images sent forward to judge it.
        seconds: its share of those of its chunk.
        png: the picture, in the run folder.
    """

    attack_index: int
    attack: str
    parameters: _Parameters
    image: int
    picture: str
    source: int
    source_label: str
    target: int | None
    target_label: str
    predicted: int | None
    predicted_label: str
    confidence: float | None
    success_float: bool
    success_png: bool
    complete: bool
    eps: float | None
    effective_eps: float | None
    l0: int
    l2: float
    linf: float
    ssim: float
    forward_images: int
    backward_images: int
    verify_forward_images: int
    seconds: float
    png: str


@dataclass(frozen=True)
class ThreatRecord:
    """One threat to one net: a line of ``threats.csv``, see docs/defenses.md.

    Attributes:
        net: ``defended`` or ``undefended``.
        threat: the attack, in words.
        group: what the attacker knows: clean, white, adaptive, transfer or black.
        n: images.
        errors: of these, how many are called a wrong class.
        rate: errors / n.
        low: lower end of Wilson's 95 % interval of the rate.
        high: upper end.
        rejected: images that the net declined to name.
        queries: images sent to the net.
        backward_images: gradients taken of the net.
        seconds: spent.
        detail: parameters and notes.
    """

    net: str
    threat: str
    group: str
    n: int
    errors: int
    rate: float
    low: float
    high: float
    rejected: int
    queries: int
    backward_images: int
    seconds: float
    detail: str


@dataclass(frozen=True)
class CostRecord:
    """One measure of the nets of one cost function: a line of ``costs.csv``, see docs/costs.md.

    Attributes:
        loss: the cost function.
        measure: what was measured, in words.
        n: how many images or cells it was measured on, over all seeds; None of a median.
        hits: of how many it is true; None of a median.
        rate: hits / n, or the median.
        low: lower end of its 95 % interval.
        high: upper end.
        least_of_seeds: the smallest rate of a single seed.
        most_of_seeds: the largest.
    """

    loss: str
    measure: str
    n: int | None
    hits: int | None
    rate: float
    low: float | None
    high: float | None
    least_of_seeds: float | None
    most_of_seeds: float | None


@dataclass(frozen=True)
class ClaimRecord:
    """A claim of the literature, put to the test: a line of ``reproduce.csv``, see docs/papers.md.

    Attributes:
        claim: its name.
        source: the paper.
        published: the figure that it printed; never without a warning where that is not verified.
        mark: how sure that is: ``t`` read in the text, ``c`` in the code, ``m`` from memory.
        statement: the claim, in words.
        rule: how the verdict comes about.
        measured: the figure here, with its interval.
        value: the number that the verdict rests on.
        low: lower end of its 95 % interval; None where the verdict is that of a test.
        high: upper end.
        p: of the test.
        n: observations.
        seeds: independent runs.
        verdict: ``holds``, ``fails`` or ``undecided``; None where it could not be tested.
        missing: why it could not.
        queries: images sent to nets for answers, works shared with other claims included.
        forward_images: images that went forward, likewise.
        backward_images: images that gradients were taken of, likewise.
        seconds: likewise.
        minutes: spent on works that no claim before it needs.
        planned_minutes: that these were planned to take; None at all scales but the small one.
    """

    claim: str
    source: str
    published: str | None
    mark: str
    statement: str
    rule: str
    measured: str | None
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int | None
    seeds: int | None
    verdict: str | None
    missing: str | None
    queries: int
    forward_images: int
    backward_images: int
    seconds: float
    minutes: float
    planned_minutes: float | None


@dataclass(frozen=True)
class MethodRecord:
    """A method on a net: a line of ``compare.csv``, see docs/comparing.md.

    Attributes:
        net: the victim.
        method: what looked for pictures.
        sees: what it needs of the net: ``weights``, ``scores`` or ``labels``.
        family: ``evolution``, ``gradients``, ``queries``, ``chance`` or ``natural``.
        median_confidence: over the classes, then over the seeds.
        measures: all other columns: ``share_0.99``, ``half_at``, ``spent``, ``seconds``...;
            intervals (``median_low``, ``median_high``...) only where a method has several seeds.
    """

    net: str
    method: str
    sees: str
    family: str
    median_confidence: float
    measures: dict[str, float | None] = field(metadata={"columns": True})


@dataclass(frozen=True)
class NetRecord:
    """One net of a chain of retraining: a line of ``retrain.csv``, see docs/retraining.md.

    Attributes:
        round: 0 is the net before any retraining.
        trained_on: what the net was retrained on.
        seed: of its chain.
        fooling_images: how many of these it was trained on.
        training_seconds: spent.
        clean_error: share of clean test images that it gets wrong; None where not measured.
        clean_fooling: share of clean test images that it calls fooling.
        recall_old: share of fooling images of earlier rounds that it recognises.
        ascent: share of classes that gradient ascent reaches.
        evolution: all other columns, of evolution against it: ``median_cppn``, ``cells_99_cppn``...
    """

    round: int
    trained_on: str
    seed: int
    fooling_images: int
    training_seconds: float
    clean_error: float | None
    clean_fooling: float | None
    recall_old: float | None
    ascent: float | None
    evolution: dict[str, float | None] = field(metadata={"columns": True})


def read_records(folder: Path, name: str, kind: type[R], rest: str | None = None) -> tuple[R, ...]:
    """The lines of a table in a run folder as records.

    Args:
        folder: the run folder.
        name: of the table.
        kind: of the records.
        rest: the field that holds all columns that are no field of their own; None allows none.

    Raises:
        FolderError: the run has not written its table yet.
        StoreError: the table is damaged.
    """
    path = folder / name
    if not path.exists():
        raise FolderError(f"{path}: does not exist yet; evofool resume {folder} continues the run")
    own = [each.name for each in fields(kind) if each.name != rest]
    adapter = TypeAdapter(kind)
    try:
        reader = csv.DictReader(io.StringIO(read_file(path).decode("utf-8"), newline=""))
        columns = list(reader.fieldnames or ())
        if columns[: len(own)] != own or (rest is None and len(columns) > len(own)):
            raise ValueError(f"its columns are not {', '.join(own)}")
        records = []
        for line in reader:
            values = _values(line, kind, rest)
            records.append(adapter.validate_python(values))
        return tuple(records)
    except ValidationError as error:
        found = problem_of(error, values, kind)
        raise DamagedError(f"{path}: damaged: {found}; {_mend(folder)}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise DamagedError(f"{path}: damaged: {reason(error)}; {_mend(folder)}") from error


def frame(records: Sequence[DataclassInstance], kind: type[DataclassInstance]) -> pandas.DataFrame:
    """Records as a pandas DataFrame: a column a field, in order.

    A mapping of numbers becomes its columns, any other mapping its JSON text, so that it can be
    grouped by.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise UsageError(
            "to_frame() needs pandas, which is not installed: pip install pandas"
        ) from error
    lines = [_flat(record) for record in records]
    columns = list(lines[0]) if lines else [each.name for each in fields(kind)]
    return pandas.DataFrame(lines, columns=columns)


def _values(
    line: Mapping[str, str], kind: type[DataclassInstance], rest: str | None
) -> dict[str, Any]:
    """The cells of a line by field; empty ones are None where the field may be."""
    if None in line or None in line.values():
        raise ValueError("a line has more or fewer cells than there are columns")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {} if rest is None else {rest: {}}
    for name, cell in line.items():
        text = written_cell(cell)
        if name in hints:
            values[name] = text if text or NoneType not in get_args(hints[name]) else None
        elif rest is not None:
            values[rest][name] = text or None
    return values


def _flat(record: DataclassInstance) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for each in fields(record):
        value = getattr(record, each.name)
        if isinstance(value, dict) and each.metadata.get("columns"):
            cells |= value
        else:
            cells[each.name] = json.dumps(value) if isinstance(value, dict) else value
    return cells


def _mend(folder: Path) -> str:
    return f"evofool resume {folder} writes it again"
