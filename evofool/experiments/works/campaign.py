"""The work of evolving images against a net: a MAP-Elites campaign in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from evofool.classifiers.identity.code import code_digest
from evofool.config.campaign import EncodingConfig
from evofool.errors import StoreError
from evofool.evolution.campaign import evolve
from evofool.evolution.campaign import resume as resume_evolution
from evofool.evolution.outputs import png_name, read_table
from evofool.evolution.verify import verify as verify_evolution
from evofool.experiments.engine import Artifact, Context, Row, Work, outside
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.nets import GivenNet, Net, moved_to, quickest
from evofool.files import is_file, read_file, reason
from evofool.images import decode_png
from evofool.plugins import in_file
from evofool.render.masks import digest_of
from evofool.store import CampaignFolder, Check, state_of
from evofool.store.records.works import Cost

FOLDER = "campaign"


class Budget(Protocol):
    """How much is evolved, as configs say it."""

    @property
    def initial(self) -> int:
        """Random individuals before the first generation."""

    @property
    def children(self) -> int:
        """Individuals a generation."""

    @property
    def generations(self) -> int:
        """Not counting the initial individuals."""


@dataclass(frozen=True)
class GenerationRow(Row):
    """A generation of a campaign.

    Attributes:
        evaluations: images scored so far.
        median: over the cells, of the confidence in the cell's class; None where it has none.
    """

    type: ClassVar[str] = "generation"

    evaluations: int
    median: float | None


@dataclass(frozen=True)
class ChampionRow(Row):
    """The best picture of a class, which `item` numbers; its PNG is the saved one.

    Attributes:
        confidence: of the net in that class.
    """

    type: ClassVar[str] = "champion"
    pictured: ClassVar[bool] = True

    confidence: float


@work
class Campaign(Work):
    """MAP-Elites against a net, over all or some of its classes.

    Attributes:
        net: a white box.
        encoding: by name, with the options that it has by default; of a file, class and digest.
        initial: random individuals before the first generation.
        children: individuals a generation.
        generations: not counting the initial individuals.
        classes: the first so many are sought, or those that are listed; of a net that may reject,
            that class is no goal.
        scoring: how images are scored.
        seed: of the campaign.
        written: the encoding as a config names it, ``path/to/file.py:Class`` where it is a file's.
    """

    kind: ClassVar[str] = "campaign"
    rows: ClassVar[tuple[type[Row], ...]] = (GenerationRow, ChampionRow)
    makes: ClassVar[tuple[str, ...]] = (FOLDER,)
    continues: ClassVar[bool] = True

    net: Net
    encoding: str
    initial: int
    children: int
    generations: int
    classes: int | tuple[int, ...]
    scoring: Scoring
    seed: int
    written: str | None = outside(default=None)

    @classmethod
    def of(
        cls,
        net: Net,
        encoding: EncodingConfig,
        budget: Budget,
        classes: int | tuple[int, ...],
        scoring: Scoring,
        seed: int,
    ) -> Campaign:
        """A campaign of the size that a config says, in an encoding as a config names it."""
        if not isinstance(classes, int) and classes == tuple(range(len(classes))):
            classes = len(classes)  # the same campaign has one address, however it is written
        name = encoding.name
        code = code_digest(name)  # not the path: an address is the same wherever files lie
        identity = name if code is None else f"{name.rpartition(':')[2]} {code}"
        campaign = Campaign(
            net, identity, budget.initial, budget.children, budget.generations, classes,
            quickest(net, scoring), seed, name,
        )  # fmt: skip
        return campaign.with_options(encoding.options)

    def with_options(self, options: Mapping[str, Any]) -> Campaign:
        """The same with options of its encoding, as a config has them; without any it is itself."""
        if not options:
            return self
        own: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        return EncodedCampaign(**own, options=without_paths(options), given=dict(options))

    @property
    def encoding_options(self) -> Mapping[str, Any]:
        """Of the encoding, as a config has them; empty where they are those by default."""
        return {}

    @property
    def goals(self) -> tuple[int, ...]:
        """The classes that are sought."""
        return tuple(range(self.classes)) if isinstance(self.classes, int) else self.classes

    @property
    def images(self) -> int:
        """Images that it scores."""
        return self.initial + self.generations * self.children

    def place(self, artifact: str, called: str) -> str:
        return f"evolution/{called}"

    def digest_of(self, artifact: str, path: Path) -> str:
        """The campaign's archive digest."""
        with CampaignFolder.open(path) as run:
            summary = run.summary()
            if state_of(run)[0] != "finished" or summary is None:
                raise StoreError(f"{path}: the campaign has not ended")
            return str(summary.get("archive_digest"))

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        path = context.place(FOLDER)
        self._evolve(context, path)
        yield Artifact(FOLDER, self.digest_of(FOLDER, path))
        with CampaignFolder.open(path) as run:
            generations = run.generations()
            table = read_table(run)
        last = generations[-1]
        context.book(Cost(queries=last.evaluations, forward_images=last.forward_images))
        for row in generations:
            median = row.stats.get("median")
            yield GenerationRow(
                row.generation, row.evaluations, None if median is None else float(median)
            )
        pngs = {c: _picture(path / png_name(c)) for c in sorted(table)}
        if pngs and isinstance(self.net, GivenNet):
            images = np.stack([decode_png(png) for png in pngs.values()])
            context.take_answers(self.net.classifier, path, images)
        for c, png in pngs.items():
            yield ChampionRow(c, table[c]["confidence"], png=png)

    def verify(self, context: Context) -> Iterator[Check]:
        """All that `evofool verify` looks at in the campaign's own folder, as one check."""
        path = context.artifact(self, FOLDER)
        checks = list(verify_evolution(path, classifier=moved_to(self.net, context)))
        wrong = [f"{check.name}: {check.detail}" for check in checks if check.ok is False]
        detail = "; ".join(wrong[:2]) or f"{len(checks)} checks are fine"
        yield Check(path.name, not wrong, detail)

    def config(self, classifier: Mapping[str, Any]) -> dict[str, Any]:
        """The config of the campaign, as a mapping.

        Args:
            classifier: how its net is named.
        """
        return {
            "classifier": dict(classifier),
            "encoding": {"name": self.written or self.encoding, **self.encoding_options},
            "evolution": {
                "algorithm": "map_elites",
                "initial": self.initial,
                "children": self.children,
                "classes": list(self.goals),
            },
            "stop": {"generations": self.generations},
            "scoring": {
                "engine": self.scoring.engine,
                "device": self.scoring.on,
                "batch": self.scoring.batch,
                "workers": self.scoring.workers,
            },
            "seed": self.seed,
        }

    def _evolve(self, context: Context, path: Path) -> None:
        """Begin the campaign or go on with it, unless it is done."""

        def stop() -> bool:
            return context.should_stop

        def report(progress: Any) -> None:
            context.reached(progress.evaluations)

        if not is_file(path / "manifest.json"):
            config = self.config(self.net.named(context))
            evolve(config, path, command=context.command, progress=report, should_stop=stop)
        elif not is_finished(path):
            moved = moved_to(self.net, context)
            resume_evolution(path, classifier=moved, progress=report, should_stop=stop)


def _picture(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise StoreError(f"{path}: {reason(error)}") from error


@work
class EncodedCampaign(Campaign):
    """MAP-Elites against a net with options of the encoding, such as a mask.

    Attributes:
        options: that it does not have by default; of a picture its sha256 and not its path.
        given: the same as the config has them.
    """

    kind: ClassVar[str] = "encoded-campaign"

    options: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] | None = outside(default=None)

    @property
    def encoding_options(self) -> Mapping[str, Any]:
        return self.options if self.given is None else self.given


def without_paths(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of an encoding with files by what is in them: the same wherever these lie.

    Raises:
        ValueError: a picture cannot be read.
    """

    def plain(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: plain(name, inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [plain("", inner) for inner in value]
        if key == "picture" and isinstance(value, str):
            return digest_of(value)
        code = code_digest(value) if isinstance(value, str) and in_file(value) else None
        return value if code is None else f"{value.rpartition(':')[2]} {code}"

    return {name: plain(name, inner) for name, inner in options.items()}


def is_finished(path: Path) -> bool:
    """Whether the campaign in a folder has come to its end."""
    with CampaignFolder.open(path) as run:
        return state_of(run)[0] == "finished"


def evaluations_of(budget: Budget | None) -> int:
    """Images that one campaign scores."""
    if budget is None:
        return 0
    return budget.initial + budget.generations * budget.children
