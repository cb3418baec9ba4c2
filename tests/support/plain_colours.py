"""A whole experiment, as short as one can be: how sure is a net of pictures of one colour?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from evofool.classifiers import load_classifier
from evofool.config import Loaded, Model
from evofool.experiments import engine
from evofool.experiments.works.nets import GivenNet, Net
from evofool.kinds import Kind
from evofool.report.output import Report
from evofool.report.tables import Count, Number, Table, Text


class ColoursConfig(Model):
    kind: Literal["colours"] = "colours"
    nets: list[str]
    levels: list[int] = [0, 128, 255]  # noqa: RUF012
    seed: int = 1


@dataclass(frozen=True)
class Sureness(engine.Row):
    type: ClassVar[str] = "sureness"
    predicted: int
    confidence: float


@engine.work
class PlainColour(engine.Work):
    kind: ClassVar[str] = "plain-colour"
    rows: ClassVar[tuple[type[engine.Row], ...]] = (Sureness,)
    net: Net
    levels: tuple[int, ...]

    def run(self, context: engine.Context) -> Iterator[engine.Row]:
        net = self.net.load(context)
        pictures = np.stack([np.full(net.input_shape, v, np.uint8) for v in self.levels])
        with context.scorer(net, engine.Scoring(8, "cpu", on="cpu")) as scorer:
            for k, sure in enumerate(scorer.confidence(pictures)):
                yield Sureness(k, int(sure.argmax()), float(sure.max()))


class Colours(engine.Study[ColoursConfig]):
    kind = "colours"
    config = ColoursConfig

    @classmethod
    def make(cls, loaded: Loaded[ColoursConfig]) -> Colours:
        config = loaded.config
        given = [GivenNet.of(load_classifier(name), {"name": name}) for name in config.nets]
        works = [PlainColour(net, tuple(config.levels)) for net in given]
        pairs = zip(config.nets, works, strict=True)
        return cls(
            loaded, engine.Plan([engine.Planned(f"colours, {name}", work) for name, work in pairs])
        )

    def report(self, results: engine.Results, manifest: Mapping[str, Any]) -> Report:
        rows = [
            (planned.title, self.loaded.config.levels[row.item], row.confidence)
            for planned in self.plan
            for row in results.rows(planned.work, Sureness)
        ]
        table = Table([Text("net"), Count("level"), Number("confidence")], rows)
        return Report(str(table.html()), {}, {"colours.csv": table}, {"rows": len(rows)})


COLOURS = Kind(name="colours", about="sureness of colours", study="plain_colours:Colours")
