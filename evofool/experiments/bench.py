"""``evofool bench``: what this machine does, for planning a campaign.

Everything is measured in one process. A campaign's generations alternate with bare scoring of as
many ready images by the same engine, threads and batch, so that both see the same machine; the
first generations, which compile and warm up, are left out.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from evofool import encodings
from evofool.classifiers import Classifier, load_classifier
from evofool.config import load_campaign
from evofool.errors import UsageError
from evofool.evolution.campaign import Progress, evolve
from evofool.evolution.drawing import accelerated, drawing_on
from evofool.images import UInt8Images
from evofool.scoring import Batch, EngineUnavailable, OutOfMemory, Scorer, pick_device
from evofool.scoring.scorer import usable_cores
from evofool.store.manifest import versions

PAPER_IMAGES = 400 + 5001 * 400
"""Images of the published ImageNet CPPN campaign (Nguyen et al. 2015, released settings)."""
WARM_UP = 2
"""Generations that are not measured: they compile kernels and fill caches."""
BATCHES = (5, 10, 25, 50, 100)
BATCHES_ON_A_GPU = (25, 50, 100, 200, 400)
WORKERS_ON_A_GPU = 4
"""Threads that only tell a GPU what to do wait for each other when they are many."""
NODES = 20
"""Hidden nodes, about, of the graphs that are drawn."""


@dataclass(frozen=True)
class Rendering:
    """CPPN genomes drawn a second by one thread, at `side` x `side` with `channels`.

    `renderer` is what drew them, as a run's manifest records it, on `device`.
    """

    side: int
    channels: int
    genomes_per_second: float
    renderer: str
    device: str


@dataclass(frozen=True)
class Scoring:
    """Ready images scored a second, by all workers; `way` is how the engine computes."""

    classifier: str
    engine: str
    device: str
    workers: int
    batch: int
    images_per_second: float
    way: str = ""


@dataclass(frozen=True)
class CampaignSpeed:
    """A campaign beside bare scoring.

    Attributes:
        efficiency: median over alternations of campaign over bare scoring.
        spread: smallest and largest of these.
        ceiling: score / (score + render), seconds of one thread (or of the GPU, which does
            both): what no overlap can beat.
        renderer: what drew the campaign's pictures; bare scoring gets its images where these are.
        slowest: the slowest generation over the median one; transactions are in it.
        paper_images: images of the published ImageNet CPPN campaign.
        paper_hours: for these at this speed.
    """

    classifier: str
    encoding: str
    engine: str
    device: str
    renderer: str
    workers: int
    batch: int
    alternations: int
    images_per_second: float
    scoring_per_second: float
    efficiency: float
    spread: tuple[float, float]
    ceiling: float
    slowest: float
    paper_images: int
    paper_hours: float


@dataclass(frozen=True)
class Report:
    """All of a bench; `sent` is how many pictures each service among the victims was sent."""

    machine: dict[str, Any]
    rendering: list[Rendering]
    scoring: list[Scoring]
    suggested_batch: dict[str, int]
    campaign: list[CampaignSpeed]
    sent: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def bench(
    classifiers: Sequence[str | Mapping[str, Any]],
    *,
    alternations: int = 9,
    seconds: float = 1.0,
    workers: int | None = None,
    device: str = "auto",
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure this machine.

    Args:
        classifiers: victims, as in a config. A service is sent every picture that is measured.
        alternations: generations that are held against bare scoring.
        seconds: at least so long each rendering and scoring rate is measured.
        workers: threads; by default one for each usable core, on a GPU `WORKERS_ON_A_GPU` at most.
        device: as `Scorer`.
        say: told what comes next.

    Raises:
        UsageError: fewer than one alternation, or a victim that cannot be had.
    """
    if alternations < 1:
        raise UsageError("bench: at least one alternation is needed")
    here = pick_device(device)
    if workers is None:
        cores = usable_cores()
        workers = min(cores, WORKERS_ON_A_GPU) if accelerated(here) else cores
    victims = [_victim(name) for name in classifiers]  # before minutes are spent on rendering
    rendering, scoring, campaigns = [], [], []
    suggested: dict[str, int] = {}
    for side, channels in ((28, 1), (224, 3)):
        say(f"rendering at {side}")
        rate, renderer = rendering_rate((channels, side, side), seconds, here)
        rendering.append(Rendering(side, channels, rate, renderer, here))
    sent: dict[str, int] = {}
    for spec, victim in zip(classifiers, victims, strict=True):
        name = spec if isinstance(spec, str) else victim.name
        tally = _Tally(victim)
        if victim.is_service:
            say(f"{name} is a service: each picture is sent to it, and may have to be paid for")
        rows = []
        for engine in ("auto",) if victim.predict is not None else ("torch", "onnxruntime"):
            say(f"scoring {name}" if engine == "auto" else f"scoring {name} with {engine}")
            rows += scoring_rates(victim, engine, device, workers, seconds, tally)
        scoring += rows
        best = max(rows, key=lambda row: row.images_per_second)
        suggested[name] = suggest(rows, best.engine)
        say(f"a campaign against {name}")
        campaigns.append(
            campaign_speed(
                spec, victim, suggested[name], workers, device, alternations, seconds, tally
            )
        )
        if victim.is_service:
            sent[name] = tally.sent
    machine = {
        "platform": platform.platform(),
        "processor": processor(),
        "device": _device_name(here),
        "usable_cores": usable_cores(),
        "versions": versions(),
    }
    return Report(machine, rendering, scoring, suggested, campaigns, sent)


class _Tally:
    """Counts the pictures that a victim is sent."""

    def __init__(self, victim: Classifier) -> None:
        self.sent = victim.probed

    def add(self, sent: Mapping[str, int]) -> None:
        """What a ledger shows."""
        self.sent += sent["total"]


def _victim(spec: str | Mapping[str, Any]) -> Classifier:
    """A victim that a campaign can be measured with.

    Raises:
        UsageError: it cannot be had, or gives nothing that evolution could climb.
    """
    victim = load_classifier(spec)
    if victim.output == "label":
        raise UsageError(f"bench: {victim.name} gives only labels, but evolution needs confidences")
    return victim


def rendering_rate(
    shape: tuple[int, int, int], seconds: float, device: str = "cpu"
) -> tuple[float, str]:
    """CPPN genomes a second by this thread, for graphs of about `NODES` hidden nodes, drawn by
    what a campaign on `device` draws with, whose name comes second.
    """
    encoding = encodings.load("cppn", shape)
    genomes = grown(encoding, 64)
    drawing = drawing_on(device, encoding)

    def draw() -> int:
        images = drawing.to_score(genomes, shape[1:])
        wait_for(device)  # a GPU has only been told to draw when the call returns
        return len(images)

    draw()
    return _rate(draw, seconds), drawing.name


def grown(encoding: encodings.Encoding[Any], count: int) -> list[Any]:
    """Random graphs, mutated until they have `NODES` hidden nodes."""
    rng = np.random.default_rng(1)
    genomes = []
    for _ in range(count):
        genome = encoding.sample(rng)
        while encoding.describe(genome)["hidden"] < NODES:
            genome = encoding.mutate(genome, rng)
        genomes.append(genome)
    return genomes


def scoring_rates(
    victim: Classifier, engine: str, device: str, workers: int, seconds: float, tally: _Tally
) -> list[Scoring]:
    """Images a second of one engine over batches; none where it cannot serve the victim."""
    rates: list[Scoring] = []
    for batch in BATCHES_ON_A_GPU if accelerated(pick_device(device)) else BATCHES:
        try:
            scorer = Scorer(
                victim, engine=engine, device=device, batch=batch, workers=workers, pad=True
            )
        except (EngineUnavailable, UsageError):
            return rates
        with scorer:
            ready = ready_images(victim, batch, scorer.device)
            try:
                _scored(scorer, ready, 2 * workers)  # warms up
                rate = _rate(partial(_scored, scorer, ready, 2 * workers), seconds)
            except OutOfMemory:
                return rates
            finally:
                tally.add(scorer.ledger.shown())
            rates.append(
                Scoring(victim.name, scorer.engine, scorer.device, workers, batch, rate, scorer.way)
            )
    return rates


def suggest(rows: Sequence[Scoring], engine: str) -> int:
    """The smallest batch within 3 % of the fastest: small ones wait less at a generation's end."""
    rates = {row.batch: row.images_per_second for row in rows if row.engine == engine}
    return min(batch for batch, rate in rates.items() if rate >= 0.97 * max(rates.values()))


def campaign_speed(
    spec: str | Mapping[str, Any],
    victim: Classifier,
    batch: int,
    workers: int,
    device: str,
    alternations: int,
    seconds: float,
    tally: _Tally,
) -> CampaignSpeed:
    """A real CPPN campaign in a temporary folder, each generation beside bare scoring."""
    children = 8 * batch if batch <= 32 else 4 * batch
    config = {
        "classifier": spec,
        "encoding": {"name": "cppn"},
        "evolution": {"initial": children, "children": children},
        "stop": {"generations": WARM_UP + alternations},
        "scoring": {"batch": batch, "workers": workers, "device": device},
    }
    generations: list[float] = []
    bare: list[float] = []
    with Scorer(victim, device=device, batch=batch, workers=workers, pad=True) as scorer:
        ready = ready_images(victim, batch, scorer.device)
        resumed = time.perf_counter()

        def between(_: Progress) -> None:
            nonlocal resumed
            now = time.perf_counter()
            generations.append(now - resumed)
            _scored(scorer, ready, children // batch)
            resumed = time.perf_counter()
            bare.append(resumed - now)

        with tempfile.TemporaryDirectory(prefix="evofool-bench-") as folder:
            run = evolve(load_campaign(config), Path(folder) / "run", progress=between)
            tally.add(run.summary["sent"])
        tally.add(scorer.ledger.shown())
        engine, here = scorer.engine, scorer.device
    generations, bare = generations[1 + WARM_UP :], bare[1 + WARM_UP :]
    ratios = [b / g for b, g in zip(bare, generations, strict=True)]
    speed, renderer = rendering_rate(victim.input_shape, seconds, here)
    drawn = 1 / speed
    scored = median(bare) / children * (1 if accelerated(here) else workers)
    rate = children / median(generations)
    return CampaignSpeed(
        classifier=spec if isinstance(spec, str) else victim.name,
        encoding="cppn",
        engine=engine,
        device=here,
        renderer=renderer,
        workers=workers,
        batch=batch,
        alternations=len(ratios),
        images_per_second=rate,
        scoring_per_second=children / median(bare),
        efficiency=median(ratios),
        spread=(min(ratios), max(ratios)),
        ceiling=scored / (scored + drawn),
        slowest=max(generations) / median(generations),
        paper_images=PAPER_IMAGES,
        paper_hours=PAPER_IMAGES / rate / 3600,
    )


def random_images(victim: Classifier, count: int) -> UInt8Images:
    """Noise of the victim's input shape."""
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, *victim.input_shape), dtype=np.uint8)


def ready_images(victim: Classifier, count: int, device: str) -> Batch:
    """Noise where a campaign scored on `device` has its pictures."""
    images = random_images(victim, count)
    if not accelerated(device):
        return images
    import torch

    return torch.from_numpy(images).to(device)


def wait_for(device: str) -> None:
    """Until a GPU has done what it was told; a CPU has when a call returns."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


def _scored(scorer: Scorer, images: Batch, times: int) -> int:
    """Scores come to the host, so that they are there when this returns."""
    return sum(len(scores) for scores in scorer.map([lambda: images] * times))


def _rate(work: Callable[[], int], seconds: float) -> float:
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds or done == 0:
        done += work()
    return done / spent


def _device_name(device: str) -> str:
    """A GPU by its name, else "cpu"."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"


def processor() -> str:
    """The name of the processor, for people."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
