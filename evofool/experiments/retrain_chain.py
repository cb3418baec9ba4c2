"""Names of the parts of a retraining loop, and the nets that it trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from evofool.classifiers import Classifier
from evofool.data import Dataset
from evofool.errors import Interrupted
from evofool.experiments import evolving
from evofool.experiments.retrain_config import RetrainConfig, is_training
from evofool.experiments.retrain_setup import FOOLING, Base, Examples
from evofool.images import UInt8Images
from evofool.training.config import TrainConfig

if TYPE_CHECKING:
    import torch

BASE = "base"
State: TypeAlias = "Mapping[str, torch.Tensor]"


@dataclass(frozen=True, order=True)
class NetKey:
    """A net of the loop.

    Attributes:
        round: 0 for the base.
        trained_on: a chain of the config; ``base`` in round 0.
        seed: of the chain.
    """

    round: int
    trained_on: str
    seed: int

    @property
    def name(self) -> str:
        """File name of its weights."""
        return f"round-{self.round}-{self.trained_on}-{self.seed}"

    @property
    def file(self) -> str:
        """Its weights, relative to the run folder."""
        return f"nets/{self.name}.safetensors"

    def before(self, trained_on: str) -> NetKey:
        """The net of the round before, in the chain `trained_on`."""
        return NetKey(self.round - 1, BASE if self.round == 1 else trained_on, self.seed)


@dataclass(frozen=True)
class RunKey:
    """A run of evolution against a net, with the seed of its chain."""

    net: NetKey
    encoding: str

    @property
    def folder(self) -> str:
        """Its run folder, relative to that of the loop."""
        n = self.net
        return f"evolution/round-{n.round}-{n.trained_on}-{self.encoding}-{n.seed}"


def net_keys(config: RetrainConfig, round: int) -> list[NetKey]:
    """The nets of a round; in round 0 one for each seed, all of them the base."""
    chains = config.trained_on if round else (BASE,)
    return [NetKey(round, chain, seed) for chain in chains for seed in config.evolution.seeds]


def campaign(config: RetrainConfig, root: Path, wanted: RunKey, net: Classifier) -> dict[str, Any]:
    """The config of a run of evolution against `net`.

    Args:
        config: of the loop.
        root: its run folder.
        wanted: the run.
        net: the net; of one with a class "fooling", that is no goal.
    """
    evolution, key = config.evolution, wanted.net
    classifier: dict[str, Any] = {"name": str((root / key.file).absolute())}
    if key.round == 0:
        classifier = config.base.model_dump(mode="json", exclude_none=True)
        if is_training(config.base.name):
            classifier = {"name": str(Path(net.name).absolute())}
    goals = net.n_classes - (key.round > 0)
    return evolving.campaign(
        classifier, wanted.encoding, evolution, goals, config.scoring, key.seed
    )


def start_of(config: RetrainConfig, root: Path, base: Base, key: NetKey) -> State | None:
    """The weights that the net `key` is trained from; None for new ones."""
    from evofool.classifiers.checkpoints import read_state_dict

    if config.training.start == "scratch":
        return None
    if key.round == 1:
        return base.state
    before = key.before(key.trained_on)
    return read_state_dict(root / before.file, before.name)


def parts(total: int, shares: int) -> list[int]:
    """`total` in equal parts, the first ones larger by one where it does not divide."""
    return [total // shares + (k < total % shares) for k in range(shares)]


@dataclass(frozen=True)
class Trained:
    """What a retraining left: the file relative to the run folder, images of class n + 1."""

    sha256: str
    images: int
    seconds: float


def retrain(
    config: RetrainConfig,
    key: NetKey,
    base: Base,
    start: State | None,
    examples: Examples,
    fooling: UInt8Images,
    test: Examples,
    out: Path,
    *,
    progress: Callable[[int], None],
    should_stop: Callable[[], bool],
) -> Trained:
    """Train the net `key` and write its weights and card.

    A training that is broken off begins anew: with the same seed it comes to the same weights.

    Args:
        config: of the loop.
        key: the net.
        base: what it is built like.
        start: weights of the net before (of n or n + 1 classes), None for new ones.
        examples: clean images.
        fooling: pictures of class n + 1.
        test: only counted for the card.
        out: the folder of the weights.
        progress: told how many images have been shown.
        should_stop: asked after each step.

    Raises:
        Interrupted: `should_stop` said so.
        Diverged: the loss is no longer finite.
    """
    from evofool.classifiers.architectures import build_architecture, with_scale
    from evofool.classifiers.checkpoints import load_strictly
    from evofool.training.batches import Batches
    from evofool.training.devices import choose_device, repeatable
    from evofool.training.fitting import FitStep, Fitting, initial
    from evofool.training.growing import grown, weighted
    from evofool.training.weights import write_weights

    began = time.perf_counter()
    wanted, n = config.training, base.net.n_classes
    shape = base.net.input_shape
    seed = int(np.random.SeedSequence([config.seed, key.seed, key.round]).generate_state(1)[0])
    if start is None:
        bare = initial(lambda: build_architecture(base.architecture, shape, n + 1), seed)
    elif key.round == 1:
        bare = grown(base.architecture, shape, n, start, seed)
    else:
        bare = build_architecture(base.architecture, shape, n + 1)
        load_strictly(bare, start, key.name, key.name)
    images = np.concatenate([examples.images, fooling])
    labels = np.concatenate([examples.labels, np.full(len(fooling), n, np.int64)])
    device = choose_device(config.device)

    def after(step: FitStep) -> None:
        progress(step.step * wanted.batch)
        if should_stop():
            raise Interrupted("stopped")

    with repeatable():
        fitting = Fitting(
            with_scale(base.architecture, bare, shape[0]),
            Batches(images, labels, wanted.batch, seed, wanted.shift, wanted.mirror),
            epochs=wanted.epochs,
            optimiser=wanted.optimiser,
            seed=seed,
            loss=weighted(n, wanted.weight, len(fooling) / len(images)),
            device=device,
        )
        fitting.run(after)
        fitting.check_weights()
    bare.eval()
    seconds = time.perf_counter() - began
    written = write_weights(
        bare,
        TrainConfig(
            name=key.name,
            architecture=base.architecture,  # type: ignore[arg-type]  # one of them, as was checked
            dataset=config.data.dataset,
            epochs=wanted.epochs,
            batch=wanted.batch,
            optimiser=wanted.optimiser,
            shift=wanted.shift,
            mirror=wanted.mirror,
            device=config.device,
            seed=seed,
        ),
        out,
        Dataset(
            config.data.dataset,
            config.data.split,
            test.images,
            test.labels,
            (*base.net.labels, FOOLING),
        ),
        len(images),
        {
            "retrained": {
                "round": key.round,
                "trained_on": key.trained_on,
                "chain_seed": key.seed,
                "start": wanted.start,
                "fooling_images": len(fooling),
                "weight": wanted.weight,
            },
            "device": device.type,
            "seconds": round(seconds, 1),
        },
    )
    return Trained(written.sha256, len(fooling), seconds)
