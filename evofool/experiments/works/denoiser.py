"""The work of training a denoiser for a frozen net (`evofool.defenses.denoising`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from evofool.attacks import Attack
from evofool.experiments.engine import Artifact, Context, Row, Work, outside
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import GivenNet
from evofool.experiments.works.pictures import Pictures
from evofool.experiments.works.written_net import CARD, WEIGHTS
from evofool.files import is_file
from evofool.training import Diverged
from evofool.training.devices import THREADS, choose_device

if TYPE_CHECKING:
    from evofool.defenses.denoising import Recipe


@dataclass(frozen=True)
class DenoiserRow(Row):
    """The result of a training.

    Attributes:
        pictures: that it learnt from, clean and attacked.
    """

    type: ClassVar[str] = "denoiser"

    pictures: int


@work
class TrainedDenoiser(Work):
    """A U-net that learns to undo attacks in front of a frozen net.

    Attributes:
        base: the net.
        sources: nets that the attacks are made on.
        attacks: made on each of them.
        pictures: clean ones.
        recipe: of the training.
        device: ``cpu`` or ``cuda``: of the training.
        scoring: how pictures are attacked.
        settings: the recipe as the training takes it.
        dataset: where the pictures come from, for the card.
        where: the key of the experiment's config that asks for it, for messages.
    """

    kind: ClassVar[str] = "denoiser"
    rows: ClassVar[tuple[type[Row], ...]] = (DenoiserRow,)
    makes: ClassVar[tuple[str, ...]] = (WEIGHTS, CARD)
    continues: ClassVar[bool] = True

    base: GivenNet
    sources: tuple[GivenNet, ...]
    attacks: tuple[Attack, ...]
    pictures: Pictures
    recipe: Mapping[str, Any]
    device: str
    scoring: Scoring
    settings: Recipe = outside()
    dataset: str = outside(default="")
    where: str = outside(default="")

    @classmethod
    def of(
        cls,
        base: GivenNet,
        sources: tuple[GivenNet, ...],
        attacks: tuple[Attack, ...],
        pictures: Pictures,
        settings: Recipe,
        scoring: Scoring,
        dataset: str,
        where: str,
    ) -> TrainedDenoiser:
        """The training that `settings` describe."""
        from evofool.defenses.denoising import recipe_values

        recipe = recipe_values(settings, with_device=False)
        device = choose_device(settings.device).type
        return cls(
            base, sources, attacks, pictures, recipe, device, scoring, settings, dataset, where
        )

    @property
    def images(self) -> int:
        """Pictures that are shown while it is trained, each for three that are scored."""
        made = len(self.pictures) * (1 + len(self.attacks) * len(self.sources))
        return 3 * self.settings.epochs * made

    @property
    def threads(self) -> int:
        """As many as every training takes: they are part of its result."""
        return THREADS

    def place(self, artifact: str, called: str) -> str:
        suffix = {WEIGHTS: "safetensors", CARD: "json"}[artifact]
        return f"training/{called}.{suffix}"

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        from evofool.defenses.denoising import make_pairs, sources_said, train_denoiser

        weights, card = context.place(WEIGHTS), context.place(CARD)
        base = self.base.load(context)
        nets = [source.load(context) for source in self.sources]
        shown = len(self.pictures) * (1 + len(self.attacks) * len(nets))
        if not (is_file(weights) and is_file(card)):
            pairs = make_pairs(
                self.pictures.images,
                self.pictures.labels,
                self.attacks,
                nets,
                lambda net: context.scorer(net, self.scoring),
            )
            facts = {
                "dataset": self.dataset,
                "images": len(self.pictures),
                **sources_said(self.attacks, nets),
            }
            try:
                train_denoiser(
                    base, pairs, self.settings, weights, facts, context.trained,
                    lambda: context.should_stop,
                )  # fmt: skip
            except Diverged as error:
                raise Diverged(f"{self.where}: {error}; lower defense.lr") from error
        yield Artifact(WEIGHTS, self.digest_of(WEIGHTS, weights))
        yield Artifact(CARD, self.digest_of(CARD, card))
        yield DenoiserRow(0, shown)
