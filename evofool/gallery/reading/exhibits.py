"""The pictures of a run as a gallery shows them, whatever made them: exhibits in a collection.

One reader a kind of run folder makes a `Collection` (`evofool.gallery.reading.collect`); everything
else in this package sees collections only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from evofool.attacks.runs.rows import ImageRow, ResultRow
from evofool.gallery.reading.asking import StoredVictim
from evofool.images import Size, UInt8Images
from evofool.report.tables import Cell
from evofool.store import IndividualId

_KEY = re.compile(r"[0-9]{1,12}(-[0-9]{1,12}){0,2}")


@dataclass(frozen=True)
class Exhibit:
    """One picture.

    Attributes:
        key: unique in its collection, ``207`` or ``003-00012``: names files and permalinks.
        class_index: that it was made for; of an attacked image the victim's answer.
        label: of that class, from the victim.
        confidence: for that class, on [0, 1], of the picture as saved; None where the victim
            gives labels alone.
        won: whether that class is also the victim's first answer; of an attacked image whether
            the attack succeeded.
        generation: in which it was made; None where there are none.
        individual: its name in the run, such as ``12:7``.
        size: of what it was made from (connections, genes, bytes), in `unit`.
        unit: of `size`.
        result: what an attack came to; None of whatever else.
        attack: number of that attack in its run.
    """

    key: str
    class_index: int
    label: str
    confidence: float | None
    won: bool
    generation: int | None = None
    individual: str = ""
    size: int = 0
    unit: str = ""
    result: ResultRow | None = None
    attack: int = -1

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise ValueError(f"a key is one to three numbers of up to 12 digits, not {self.key!r}")
        if self.confidence is not None and not 0.0 <= self.confidence <= 1.0:  # a NaN fails both
            raise ValueError(f"a confidence lies on [0, 1], not {self.confidence}")

    @property
    def stem(self) -> str:
        """Of its files: ``0207``."""
        return self.key.zfill(4)

    @property
    def rank(self) -> tuple[bool, float, int]:
        """Orders exhibits, the surest first; of attacks those that succeeded before the others."""
        lost = self.result is not None and not self.won
        return lost, -(self.confidence or 0.0), self.class_index


@dataclass(frozen=True)
class Step:
    """One ancestor in the line from a random individual to an elite.

    Attributes:
        id: of the individual.
        class_index: the class whose cell it held when it was bred from (of the elite: its own).
        confidence: for that class when it won it; None where nobody asked the victim.
    """

    id: IndividualId
    class_index: int
    confidence: float | None


@dataclass(frozen=True)
class Point:
    """The cells of a run after a number of evaluations, for the plot of its course."""

    evaluations: int
    median: float
    quartiles: tuple[float, float] | None
    shares: Mapping[str, float]


class Source(Protocol):
    """Where the exhibits of a collection come from."""

    def png(self, exhibit: Exhibit) -> bytes:
        """The picture as it is saved, provenance inside."""
        ...

    def render(self, exhibit: Exhibit, size: Size) -> UInt8Images:
        """The picture anew, C x H x W at any size; raises `EvofoolError` where there is none."""
        ...

    def describe(self, exhibit: Exhibit) -> Mapping[str, Any]:
        """What the encoding says of its genome; empty where there is none."""
        ...

    def line(self, exhibit: Exhibit) -> Sequence[Step]:
        """From the oldest ancestor to the exhibit itself; empty where there is no ancestry."""
        ...

    def family(self, exhibit: Exhibit) -> set[IndividualId]:
        """Everyone who has to be bred again to show its ancestors."""
        ...

    def genome_bytes(self, exhibit: Exhibit) -> int:
        """Of the dump of its genome."""
        ...

    def frames(self, ids: Sequence[IndividualId]) -> Mapping[IndividualId, UInt8Images]:
        """The pictures of ancestors, C x H x W at the victim's input size."""
        ...


@runtime_checkable
class StagedSource(Protocol):
    """A source that can show how a picture is put together."""

    def stages(self, exhibit: Exhibit) -> Sequence[tuple[str, UInt8Images]]:
        """Words, and the picture up to there; empty where the encoding has no stages."""
        ...


@dataclass(frozen=True)
class AttackVariant:
    """An attack with its parameters.

    Attributes:
        name: with what the config says of it: ``pgd, eps 0.3, steps 40``. Unique in its run.
        parameters: all of them.
        row: of the table of attacks: `evofool.gallery.reading.attacked.COLUMNS`, without the name.
        notes: on what a person should know.
    """

    name: str
    parameters: str
    row: Sequence[Cell]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Clean:
    """An image before it was attacked; `digest` names its pixels, in whatever run."""

    row: ImageRow
    digest: str


@dataclass
class Attacks:
    """What a collection of attacked images has besides its exhibits.

    Attributes:
        variants: by number of the attack.
        images: that were attacked, by index.
        clean: PNG of an exhibit before the attack.
        change: PNG of what the attack added to it, amplified around grey.
        own_labels: whether the victim's own answers are used as labels.
    """

    variants: Sequence[AttackVariant]
    images: Mapping[int, Clean]
    clean: Callable[[Exhibit], bytes]
    change: Callable[[Exhibit], bytes]
    own_labels: bool


@dataclass(frozen=True)
class Moved:
    """New places of files that were moved since the run; None for those that were not.

    Attributes:
        classifier: of the victim.
        encoding: of the encoding.
    """

    classifier: str | None = None
    encoding: str | None = None


IN_PLACE = Moved()


@dataclass
class Collection:
    """The exhibits of one run, with the facts about it.

    Attributes:
        key: unique in a gallery, ``[a-z0-9-]``: names folders and permalinks.
        name: of the run folder.
        kind: ``evolve`` or ``attack``.
        victim: name of the classifier; `digest` that of its weights.
        shape: channels, height, width of its pictures.
        labels: of all the victim's classes.
        status: ``finished``, ``running`` or ``interrupted``.
        classes: how many cells the run has; of attacks, how many the victim knows.
        facts: name and text, in the order in which a page shows them.
        no_ancestry: why no exhibit has any; empty where they have.
        course: of the run.
        source: of pictures, genomes and ancestors.
    """

    key: str
    name: str
    kind: str
    victim: str
    digest: str
    encoding: str
    algorithm: str
    seed: int
    run_id: str
    status: str
    command: str
    config: str
    shape: tuple[int, int, int]
    labels: Sequence[str]
    classes: int
    exhibits: Sequence[Exhibit]
    source: Source
    facts: Sequence[tuple[str, str]] = ()
    no_ancestry: str = ""
    course: Sequence[Point] = ()
    channels: Sequence[str] = ()
    """Names of the outputs of the encoding's graphs, such as H, L, S."""
    stored_victim: StoredVictim | None = None
    """The classifier, where the run folder says which."""
    attacks: Attacks | None = None
    """Of kind ``attack``."""
    saved: bool = True
    """Whether ``images/`` of the run folder holds the pictures as they are now."""

    def caption(self, exhibit: Exhibit) -> str:
        """Its label; of an attacked image also that of its own class."""
        if self.attacks is None or exhibit.result is None:
            return exhibit.label
        was = self.labels[self.attacks.images[exhibit.result.image].row.label]
        return f"{exhibit.label.split(',')[0]} (was {was.split(',')[0]})"

    @property
    def size(self) -> Size:
        """Height and width of the pictures."""
        return self.shape[1:]

    @property
    def small(self) -> bool:
        """Whether pictures are shown with square pixels, and are their own thumbnails."""
        return max(self.size) <= SMALL


SMALL = 96
"""Longest side up to which a picture is small."""
