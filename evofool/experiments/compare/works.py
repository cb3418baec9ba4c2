"""Works that look for a picture of every class of a net, and note how far they came at what cost.

All count in forward-equivalents: images that went forward through the net plus twice the images
that gradients were taken of. Whatever a method is after, its rows are alike: one per class.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evofool import encodings
from evofool.attacks import Attack
from evofool.attacks.query.noise import NoiseKind, noise_image, noise_images
from evofool.attacks.trace import LARGEST, Trace, powers_of_two
from evofool.classifiers import Classifier
from evofool.experiments.engine import Artifact, Context, Row, Work
from evofool.experiments.engine.context import Scoring
from evofool.experiments.engine.work import work
from evofool.experiments.works.campaign import FOLDER, Campaign, ChampionRow
from evofool.experiments.works.nets import Net
from evofool.experiments.works.pictures import Pictures
from evofool.images import Shape, UInt8Images, decode_png, encode_png
from evofool.randomness import Stream, generator
from evofool.scoring import Scorer
from evofool.store import CampaignFolder, Check

BARS = (0.5, 0.9, 0.99)
"""Confidences from which a picture counts."""
BAR_ODDS = tuple(float(np.log(bar / (1 - bar))) for bar in BARS)


@dataclass(frozen=True)
class SearchRow(Row):
    """How far the search for a class came, which `item` numbers; its PNG is the best picture.

    Attributes:
        costs: forward-equivalents of this search: 1, 2, 4, ... and its share of the budget.
        log_odds: the best of the class up to each of `costs`; None before the first picture.
        reached: cost at which each of `BARS` was reached first, 0 where it never was.
        final: log-odds of the class for the saved picture, scored once more.
        predicted: the class that the net calls that picture.
    """

    type: ClassVar[str] = "search"
    pictured: ClassVar[bool] = True

    costs: tuple[int, ...]
    log_odds: tuple[float | None, ...]
    reached: tuple[int, ...]
    final: float
    predicted: int


@work
class Aimed(Work):
    """A targeted attack on each class by itself, from a picture of noise.

    Attributes:
        net: that is attacked.
        attack: with its parameters.
        start: the noise that it starts from.
        classes: the first so many of the net.
        share: forward-equivalents a class.
        seed: of the noise.
        scoring: how images are scored.
    """

    kind: ClassVar[str] = "aimed"
    rows: ClassVar[tuple[type[Row], ...]] = (SearchRow,)

    net: Net
    attack: Attack
    start: NoiseKind
    classes: int
    share: int
    seed: int
    scoring: Scoring

    @property
    def images(self) -> int:
        """Forward-equivalents at most."""
        return self.share * self.classes

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        noise = noise_images(self.start, net.input_shape, self.classes, self.seed)
        trace = Trace(self.share - net.passes, BAR_ODDS)  # which leaves one picture to be verified
        targets = np.arange(self.classes, dtype=np.int64)
        with context.scorer(net, self.scoring) as scorer:
            result = self.attack(scorer, noise, targets=targets, trace=trace)
            context.notes += result.notes
            yield from search_rows(scorer, trace, self.share)

    def verify(self, context: Context) -> Iterator[Check]:
        """Score the stored pictures again."""
        yield from verify_search(self, self.net, self.scoring, context)


@work
class RandomPictures(Work):
    """Pictures that are only drawn and looked at, each for all classes: no search at all.

    Attributes:
        net: that is asked.
        source: ``noise`` or ``encoding``.
        name: of the noise or of the encoding.
        classes: the first so many of the net.
        share: pictures, those included that are verified.
        seed: of the draws.
        scoring: how images are scored.
    """

    kind: ClassVar[str] = "drawn"
    rows: ClassVar[tuple[type[Row], ...]] = (SearchRow,)

    net: Net
    source: str
    name: str
    classes: int
    share: int
    seed: int
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a picture."""
        return self.share

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        drawn = drawing(self.source, self.name, net.input_shape, self.seed)
        with context.scorer(net, self.scoring) as scorer:
            count = self.share // net.passes - self.classes
            yield from looked_at(scorer, drawn, count, self.classes, self.share)

    def verify(self, context: Context) -> Iterator[Check]:
        """Score the stored pictures again."""
        yield from verify_search(self, self.net, self.scoring, context)


@work
class NaturalPictures(Work):
    """Natural pictures, each looked at for all classes.

    Attributes:
        net: that is asked.
        pictures: in the order in which they are looked at; there may be fewer than `share`.
        classes: the first so many of the net.
        share: pictures, those included that are verified.
        scoring: how images are scored.
    """

    kind: ClassVar[str] = "natural"
    rows: ClassVar[tuple[type[Row], ...]] = (SearchRow,)

    net: Net
    pictures: Pictures
    classes: int
    share: int
    scoring: Scoring

    @property
    def images(self) -> int:
        """One a picture."""
        return min(self.share, len(self.pictures))

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        net = self.net.load(context)
        count = min(self.share // net.passes - self.classes, len(self.pictures))
        with context.scorer(net, self.scoring) as scorer:
            yield from looked_at(
                scorer, lambda a, b: self.pictures.images[a:b], count, self.classes, self.share
            )

    def verify(self, context: Context) -> Iterator[Check]:
        """Score the stored pictures again."""
        yield from verify_search(self, self.net, self.scoring, context)


@work
class Evolved(Work):
    """The champions of a campaign, and how far each class had come at what cost.

    Attributes:
        campaign: over all classes at once.
        share: forward-equivalents of the campaign and of this.
    """

    kind: ClassVar[str] = "evolved"
    version: ClassVar[int] = 2
    rows: ClassVar[tuple[type[Row], ...]] = (SearchRow,)

    campaign: Campaign
    share: int

    @property
    def images(self) -> int:
        """One a champion."""
        return len(self.campaign.goals)

    def run(self, context: Context) -> Iterator[Row | Artifact]:
        campaign = self.campaign
        net = campaign.net.load(context)
        champions = context.with_pictures(campaign, ChampionRow)
        with CampaignFolder.open(context.artifact(campaign, FOLDER)) as run:
            generations, wins = run.generations(), run.wins()
        trace = Trace(self.share, BAR_ODDS)
        trace.begin(1 + max(campaign.goals), net.input_shape)
        self._first(net, trace, context)
        # what was sent up to the end of each generation
        forward = [row.forward_images for row in generations]
        for win in wins:
            before = forward[win.id.generation - 1] if win.id.generation else 0
            cost = win_cost(win.id.child, before, forward[win.id.generation], net.passes)
            _noted(trace, win.class_index, win.log_odds, cost)
        for row in champions:
            trace.pictures[row.item] = decode_png(row.png or b"")
        with context.scorer(net, campaign.scoring) as scorer:
            yield from search_rows(scorer, trace, self.share, [row.item for row in champions])

    def verify(self, context: Context) -> Iterator[Check]:
        """Score the stored pictures again."""
        yield from verify_search(self, self.campaign.net, self.campaign.scoring, context)

    def _first(self, net: Classifier, trace: Trace, context: Context) -> None:
        """Show a trace the random pictures that a campaign begins with.

        A campaign stores of each generation only those that win a class in the end. Its first
        generation is drawn and scored again here, only to know how far it was after 1, 2, 4, ...
        pictures: that costs the method nothing and is not counted.
        """
        campaign = self.campaign
        encoding = campaign.written or campaign.encoding
        drawn = drawing(
            "encoding", encoding, net.input_shape, campaign.seed, campaign.encoding_options
        )
        with context.scorer(net, campaign.scoring, counted=False) as scorer:
            show(scorer, trace, drawn, campaign.initial, 1 + max(campaign.goals))


Search = Aimed | RandomPictures | NaturalPictures | Evolved
"""A work whose rows are `SearchRow`."""

Draw = Callable[[int, int], UInt8Images]
"""Pictures `a` to `b` - 1 of a source, uint8 N x C x H x W."""


def drawing(
    source: str, name: str, shape: Shape, seed: int, options: Mapping[str, Any] | None = None
) -> Draw:
    """Pictures of noise, or random ones of an encoding, that depend on (seed, number) alone."""
    if source == "noise":
        kind: NoiseKind = name  # type: ignore[assignment]  # which the config has checked
        return lambda a, b: np.stack([noise_image(kind, shape, seed, k) for k in range(a, b)])
    encoding = encodings.load(name, shape, options)

    def sampled(a: int, b: int) -> UInt8Images:
        rngs = (generator(seed, Stream.SAMPLE, 0, k) for k in range(a, b))
        return encoding.render([encoding.sample(rng) for rng in rngs], shape[1:])

    return sampled


def looked_at(
    scorer: Scorer, draw: Draw, count: int, classes: int, share: int
) -> Iterator[SearchRow]:
    """The best of the first `count` pictures of a source for each class.

    Args:
        scorer: of the net.
        draw: the source.
        count: pictures.
        classes: the first so many of the net.
        share: forward-equivalents, those of verifying included.
    """
    trace = Trace(share, BAR_ODDS)
    trace.begin(classes, scorer.classifier.input_shape)
    show(scorer, trace, draw, count, classes)
    yield from search_rows(scorer, trace, share)


def show(scorer: Scorer, trace: Trace, draw: Draw, count: int, classes: int) -> None:
    """Score the first `count` pictures of a source, and show each to a trace for all classes.

    Args:
        scorer: of the net.
        trace: of so many searches as there are classes.
        draw: the source.
        count: pictures.
        classes: the first so many of the net.
    """
    rows, passes = np.arange(classes), scorer.classifier.passes
    for start in range(0, count, scorer.batch):
        pictures = draw(start, min(start + scorer.batch, count))
        odds = scorer.score(pictures).log_odds[:, :classes]
        for k, picture in enumerate(pictures):
            same = np.broadcast_to(picture, (classes, *picture.shape))  # which copies nothing
            trace.saw(rows, same, odds[k], np.full(classes, (start + k + 1) * passes))


def search_rows(
    scorer: Scorer, trace: Trace, share: int, rows: list[int] | None = None
) -> Iterator[SearchRow]:
    """What a search came to: its best pictures, scored once more as they are saved.

    Args:
        scorer: of the net.
        trace: of the search.
        share: forward-equivalents of each class.
        rows: the classes that have a picture; those that the trace has one of by default.
    """
    if rows is None:
        rows = np.flatnonzero(np.isfinite(trace.best)).tolist()
    if not rows:
        return
    scores = scorer.score(trace.pictures[rows])
    costs = tuple(powers_of_two(share).tolist())
    for k, row in enumerate(rows):
        curve = [trace.log_odds[row, bisect_right(trace.costs, cost) - 1] for cost in costs]
        yield SearchRow(
            row,
            costs,
            tuple(None if np.isnan(odds) else float(odds) for odds in curve),
            tuple(trace.reached[row].tolist()),
            float(np.clip(scores.log_odds[k, row], -LARGEST, LARGEST)),
            int(scores.labels[k]),
            png=encode_png(trace.pictures[row]),
        )


def verify_search(work: Work, asked: Net, scoring: Scoring, context: Context) -> Iterator[Check]:
    """Score the pictures of a search again, and hold the confidences against the stored ones.

    Args:
        work: whose rows are `SearchRow`.
        asked: the net.
        scoring: how they are scored.
        context: of the work.
    """
    rows = context.with_pictures(work, SearchRow)
    title = f"{context.planned.title}, again"
    if not rows:
        yield Check(title, None, "it found no picture")
        return
    net = asked.load(context)
    with context.scorer(net, scoring) as scorer:
        odds = scorer.score(np.stack([decode_png(row.png or b"") for row in rows])).log_odds
    own: NDArray[np.float64] = np.array([odds[k, row.item] for k, row in enumerate(rows)])
    stored = np.array([row.final for row in rows])
    wrong = int((np.abs(np.clip(own, -LARGEST, LARGEST) - stored) > 1e-2).sum())
    detail = (
        f"{wrong} of {len(rows)} pictures have another confidence than stored"
        if wrong
        else f"{len(rows)} pictures have the confidence that is stored"
    )
    yield Check(title, not wrong, detail)


def win_cost(child: int, before: int, after: int, passes: int) -> int:
    """What a campaign had sent when it scored a child of a generation.

    A picture of a generation is known at its end at the latest; where pictures were scored twice,
    that is in what the generation sent.

    Args:
        child: its number in the generation.
        before: images forward up to the end of the generation before.
        after: images forward up to the end of its own.
        passes: images that go forward for one picture of it.
    """
    return min(before + (child + 1) * passes, after)


def _noted(trace: Trace, row: int, log_odds: float, cost: int) -> None:
    """Show a trace a picture that is not at hand."""
    trace.saw(
        np.array([row]), trace.pictures[[row]], np.array([log_odds]), np.array([cost])
    )  # fmt: skip
