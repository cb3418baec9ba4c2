"""The work of training a net from a config of kind train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from evofool.classifiers import Classifier, load_classifier
from evofool.data import Dataset
from evofool.errors import StoreError
from evofool.experiments.engine import Artifact, Context, Row, Work, outside
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures
from evofool.files import is_file
from evofool.store.files import read_json
from evofool.training import TrainConfig, train
from evofool.training.devices import choose_device

WEIGHTS, CARD = "weights", "card"


@dataclass(frozen=True)
class TrainedRow(Row):
    """What a training came to.

    Attributes:
        digest: of the net, as `evofool.classifiers` counts it.
    """

    type: ClassVar[str] = "trained"

    digest: str


@work
class Trained(Work):
    """A net trained from new weights on the training split of a data set.

    Attributes:
        recipe: the training config, without what does not determine the weights.
        data: of the training split.
        device: ``cpu`` or ``cuda``.
        sources: nets that adversarial pictures are made on, in the order of the config.
        config: the whole config.
        folder: of the weights, below the run folder.
        images_shown: over all epochs.
    """

    kind: ClassVar[str] = "trained"
    rows: ClassVar[tuple[type[Row], ...]] = (TrainedRow,)
    makes: ClassVar[tuple[str, ...]] = (WEIGHTS, CARD)
    continues: ClassVar[bool] = True

    recipe: Mapping[str, Any]
    data: str
    device: str
    sources: tuple[GivenNet, ...]
    config: TrainConfig = outside()
    folder: str = outside(default="nets")
    images_shown: int = outside(default=0)

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        data: Dataset,
        sources: tuple[GivenNet, ...] = (),
        folder: str = "nets",
    ) -> Trained:
        """The training of a config on `data`, its training split."""
        recipe = config.model_dump(mode="json", exclude={"kind", "name", "device"})
        return cls(
            recipe,
            Pictures.of(data.images, data.labels).digest,
            choose_device(config.device).type,
            sources,
            config,
            folder,
            config.epochs * len(data),
        )

    @property
    def images(self) -> int:
        """An image that is trained on takes about as long as three that are scored."""
        return 3 * self.images_shown

    def place(self, artifact: str, called: str) -> str:
        suffix = {WEIGHTS: "safetensors", CARD: "json"}[artifact]
        return f"{self.folder}/{called}.{suffix}"

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        weights, card = context.place(WEIGHTS), context.place(CARD)
        if not (is_file(weights) and is_file(card)):
            train(
                self.config.model_copy(update={"name": weights.stem}),
                out=weights.parent,
                progress=context.trained,
                should_stop=lambda: context.should_stop,
            )
        yield Artifact(WEIGHTS, self.digest_of(WEIGHTS, weights))
        yield Artifact(CARD, self.digest_of(CARD, card))
        yield TrainedRow(0, self.load(context).digest)

    def load(self, context: Context) -> Classifier:
        """The trained net."""
        return context.net(self, WEIGHTS, lambda path: load_classifier(str(path)))

    def named(self, context: Context) -> Mapping[str, Any]:
        """By its weights."""
        return {"name": str(context.artifact(self, WEIGHTS))}


def seconds_of(card: Any) -> float:
    """Seconds that a training took, from its card; 0 where it does not say.

    Raises:
        StoreError: it is damaged.
    """
    value = read_json(card).get("seconds", 0.0)
    if not isinstance(value, int | float):
        raise StoreError(f"{card}: damaged: seconds")
    return float(value)
