"""The work of putting a defense around a net: it writes ``victim.yaml``, which every command takes.

What a defense learns from clean pictures, such as a detector's threshold, is learnt here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from evofool.classifiers import Classifier
from evofool.config import ClassifierConfig, to_yaml
from evofool.defenses.base import Defense
from evofool.defenses.victims import VictimConfig, adapted, load_victim
from evofool.errors import EvofoolError, StoreError, UsageError
from evofool.experiments.checked import difference
from evofool.experiments.engine import Artifact, Context, Row, Work, outside
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.denoiser import TrainedDenoiser
from evofool.experiments.works.nets import GivenNet, Net
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.written_net import WEIGHTS
from evofool.store import write_atomically

VICTIM = "victim"
FILE = "victim.yaml"


@dataclass(frozen=True)
class DefendedRow(Row):
    """The identity of a defended net.

    Attributes:
        name: of the net with its defense.
        digest: of the net, as `evofool.classifiers` counts it.
        labels: of its classes; of one that may reject, the last is for "no answer".
        reject: the class that stands for "no answer", or None.
        adapts: whether an attack that knows the defense differentiates something else.
        options: of the defense, with all that it has learnt.
    """

    type: ClassVar[str] = "defended"

    name: str
    digest: str
    labels: tuple[str, ...]
    reject: int | None
    adapts: bool
    options: dict[str, Any]


@work
class DefendedNet(Work):
    """A net with a defense around it.

    Attributes:
        net: the undefended net, or one that the defense has trained in its place.
        identity: of what stands around it, as far as it is known beforehand; None for nothing.
        denoiser: that is trained first and stands around it.
        clean: pictures that the defense learns from; None where it learns nothing.
        scoring: how these are scored.
        base: of which it must have the labels and the input shape.
        defense: what stands around it; None for nothing, or a denoiser that is trained first.
        called: how a config names the defense.
    """

    kind: ClassVar[str] = "defended"
    rows: ClassVar[tuple[type[Row], ...]] = (DefendedRow,)
    makes: ClassVar[tuple[str, ...]] = (VICTIM,)

    net: Net
    identity: Mapping[str, Any] | None
    denoiser: TrainedDenoiser | None
    clean: Pictures | None
    scoring: Scoring
    base: GivenNet
    defense: Defense | None = outside(default=None)
    called: str = outside(default="")

    @property
    def images(self) -> int:
        """Clean pictures that it learns from."""
        return 0 if self.clean is None else len(self.clean)

    def place(self, artifact: str, called: str) -> str:
        return FILE

    def digest_of(self, artifact: str, path: Path) -> str:
        """The digest of the net that the file describes, wherever its parts lie."""
        try:
            return load_victim(path).digest
        except EvofoolError as error:
            raise StoreError(f"{path}: {error}") from error

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net, path = self.net.load(context), context.place(VICTIM)
        if (fault := difference(net, self.base.classifier)) is not None:
            raise UsageError(f"the defended net cannot be compared: {fault}")
        defense = self._fitted(context, net)
        options = {} if defense is None else defense.options()
        if self.denoiser is not None:
            options = {"weights": _beside(context.artifact(self.denoiser, WEIGHTS), path)}
        spec = dict(self.net.named(context))
        if isinstance(self.net, Work):
            spec = {"name": _beside(Path(spec["name"]), path)}  # so that the folder can be moved
        around = {"name": self.called, **options} if self.called else None
        written = VictimConfig.model_validate(
            {"base": ClassifierConfig.model_validate(spec), "defense": around}
        )
        try:
            write_atomically(path, to_yaml(written).encode())
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror})") from error
        victim = load_victim(path)
        yield Artifact(VICTIM, victim.digest)
        yield DefendedRow(
            0,
            victim.name,
            victim.digest,
            victim.labels,
            victim.reject,
            adapted(victim) is not None,
            options,
        )

    def load(self, context: Context) -> Classifier:
        """The defended net."""
        return load_victim(context.artifact(self, VICTIM))

    def named(self, context: Context) -> Mapping[str, Any]:
        """By its file."""
        return {"name": str(context.artifact(self, VICTIM))}

    def _fitted(self, context: Context, net: Classifier) -> Defense | None:
        if self.defense is None or self.clean is None:
            return self.defense
        with context.scorer(net, self.scoring) as scorer:
            return self.defense.fit(self.clean.images, scorer)


def _beside(file: Path, other: Path) -> str:
    """`file` as `other`, which lies above it, names it."""
    return file.relative_to(other.parent).as_posix()
