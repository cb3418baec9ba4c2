"""The work of training a net from a config of kind train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from evofool.classifiers.identity.files import sha256_file
from evofool.config import Loaded
from evofool.data import Dataset
from evofool.errors import DamagedError
from evofool.experiments.engine import Artifact, Context, Row, outside
from evofool.experiments.engine.work import work
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.written_net import WEIGHTS, WrittenNet
from evofool.store.files import read_json
from evofool.training import Diverged, TrainConfig, train
from evofool.training.devices import choose_device
from evofool.training.finished import UNSET
from evofool.training.plan import start_weights


@dataclass(frozen=True)
class TrainedRow(Row):
    """The result of a training.

    Attributes:
        digest: of the net, as `evofool.classifiers` counts it.
    """

    type: ClassVar[str] = "trained"

    digest: str


@work
class Trained(WrittenNet):
    """A net trained from new weights on the training split of a data set.

    Attributes:
        recipe: the training config, without what does not determine the weights.
        data: of the training split.
        device: ``cpu`` or ``cuda``.
        sources: digests of the nets that adversarial pictures are made on, in the config's order.
        config: the whole config; a `Loaded` one also knows where its paths start.
        folder: of the weights, below the run folder.
        images_shown: over all epochs.
        where: the key of the experiment's config that asks for it, for messages.
    """

    kind: ClassVar[str] = "trained"
    rows: ClassVar[tuple[type[Row], ...]] = (TrainedRow,)
    continues: ClassVar[bool] = True

    recipe: Mapping[str, Any]
    data: str
    device: str
    sources: tuple[str, ...]
    config: TrainConfig | Loaded[TrainConfig] = outside()
    folder: str = outside(default="nets")
    images_shown: int = outside(default=0)
    where: str = outside(default="")

    @classmethod
    def of(
        cls,
        config: TrainConfig | Loaded[TrainConfig],
        data: Dataset,
        sources: tuple[str, ...] = (),
        folder: str = "nets",
        where: str = "",
    ) -> Trained:
        """The training of a config on `data`, its training split."""
        plain = _plain(config)
        recipe = plain.model_dump(
            mode="json",
            exclude={"kind": True, "name": True, "device": True, "adversary": {"sources"}},
        )  # fmt: skip
        recipe = {k: v for k, v in recipe.items() if k not in UNSET or v is not None}
        if (start := start_weights(plain)) is not None:
            recipe["start"] = sha256_file(start)
        return cls(
            recipe,
            Pictures.of(data.images, data.labels).digest,
            choose_device(plain.device).type,
            sources,
            config,
            folder,
            _images_shown(plain, len(data)),
            where,
        )

    @property
    def images(self) -> int:
        """An image that is trained on takes about as long as three that are scored."""
        return 3 * self.images_shown

    @property
    def name(self) -> str:
        """What the config calls the net."""
        return _plain(self.config).name

    def place(self, artifact: str, called: str) -> str:
        return super().place(artifact, called).replace("nets/", f"{self.folder}/", 1)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        yield from self.written(context, lambda: self._train(context))
        yield TrainedRow(0, self.load(context).digest)

    def _train(self, context: Context) -> None:
        weights = context.place(WEIGHTS)
        try:
            train(
                _called(self.config, weights.stem),
                out=weights.parent,
                progress=context.trained,
                should_stop=lambda: context.should_stop,
            )
        except Diverged as error:
            raise Diverged(f"{self.where}: {error}" if self.where else str(error)) from error


def _images_shown(config: TrainConfig, count: int) -> int:
    """Over all epochs; of features that are calculated once, each picture once."""
    shown = count if config.limit is None else min(config.limit, count)
    return shown * (1 if config.on_features else config.epochs)


def _plain(config: TrainConfig | Loaded[TrainConfig]) -> TrainConfig:
    return config.config if isinstance(config, Loaded) else config


def _called(
    config: TrainConfig | Loaded[TrainConfig], name: str
) -> TrainConfig | Loaded[TrainConfig]:
    """A config under another name."""
    renamed = _plain(config).model_copy(update={"name": name})
    return replace(config, config=renamed) if isinstance(config, Loaded) else renamed


def seconds_of(card: Any) -> float:
    """Seconds that a training took, from its card; 0 where it does not say.

    Raises:
        StoreError: it is damaged.
    """
    value = read_json(card).get("seconds", 0.0)
    if not isinstance(value, int | float):
        raise DamagedError(f"{card}: damaged: seconds")
    return float(value)
