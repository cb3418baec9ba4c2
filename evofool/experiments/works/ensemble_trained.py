"""The work of ensemble adversarial training whose static sources are trained by other works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from evofool.data import Dataset
from evofool.experiments.engine import Artifact, Context, Row
from evofool.experiments.engine.work import work
from evofool.experiments.works.trained import Trained
from evofool.experiments.works.written_net import WEIGHTS
from evofool.training import EnsembleAdversaryConfig, TrainConfig


@work
class EnsembleTrained(Trained):
    """A net trained on adversaries of other nets, which are trained before it (Tramèr et al. 2018).

    `Trained` takes static sources that lie in files already. These lie in the run folder, beside
    this net: the config names them by what the plan calls them.

    Attributes:
        taught_by: the nets that adversaries are made on besides the net itself, in the order in
            which they are drawn from.
    """

    kind: ClassVar[str] = "ensemble-trained"

    taught_by: tuple[Trained, ...] = ()

    @classmethod
    def by(cls, config: TrainConfig, data: Dataset, taught_by: tuple[Trained, ...]) -> Trained:
        """The training of `config` on `data`, its training split.

        Args:
            config: its adversary is an ensemble; the sources that it names do not count.
            data: the training split.
            taught_by: the sources.
        """
        if not isinstance(config.adversary, EnsembleAdversaryConfig):
            raise TypeError(f"{config.name} is not ensemble adversarial training")
        trained = cls.of(config, data)
        assert isinstance(trained, EnsembleTrained)
        return replace(trained, taught_by=taught_by)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        sources = tuple(context.artifact(net, WEIGHTS).stem for net in self.taught_by)
        config = self.config
        assert isinstance(config, TrainConfig)
        written = config.model_dump(mode="json")
        written["adversary"]["sources"] = list(sources)
        named = replace(self, config=TrainConfig.model_validate(written))
        yield from super(EnsembleTrained, named).run(context)
