"""Training a denoiser for a frozen net: pictures of several attacks and sources, one guide.

Liao et al., CVPR 2018, 1712.02976: adversarial pictures are made once, beforehand, by several
attacks on several nets; the clean ones are among them; a U-net learns to undo what was done.
"""

from __future__ import annotations

import copy
import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evofool.attacks import Attack
from evofool.attacks.registry import parameters_of
from evofool.classifiers import Classifier
from evofool.classifiers.build import freeze
from evofool.defenses.denoiser import write_denoiser
from evofool.defenses.guides import Guide, guide_loss
from evofool.defenses.unet import UNet
from evofool.images import UInt8Images, to_float
from evofool.scoring import Scorer
from evofool.training import OptimiserConfig, TrainProgress, initial
from evofool.training.batches import Batches
from evofool.training.checkpointed import fit_checkpointed
from evofool.training.devices import choose_device, repeatable
from evofool.training.fitting import Fitting
from evofool.training.state import Checkpoints
from evofool.training.weights import version

MakeScorer = Callable[[Classifier], AbstractContextManager[Scorer]]


@dataclass(frozen=True)
class Recipe:
    """How a denoiser is trained.

    Attributes:
        guide: what it is to bring back (`guides.guide_loss`).
        width: maps of the U-net's first level.
        levels: of the U-net.
        epochs: passes over all pictures, attacked and clean.
        batch: pictures a step.
        lr: of Adam, at the start; x .1 after 60 % of the steps, x .01 after 90 % (the paper's).
        device: where to train.
        seed: of the initial weights and the order.
    """

    guide: Guide
    width: int
    levels: int
    epochs: int
    batch: int
    lr: float
    device: str = "auto"
    seed: int = 1


@dataclass(frozen=True)
class Pairs:
    """N pictures, and the clean one of M that each was made from.

    Attributes:
        pictures: uint8 N x C x H x W; the clean ones first.
        clean: uint8 M x C x H x W.
        labels: (M,), the classes of the clean pictures.
        index: (N,), which clean picture each picture was made from.
    """

    pictures: UInt8Images
    clean: UInt8Images
    labels: NDArray[np.int64]
    index: NDArray[np.int64]

    def digest(self) -> str:
        """Hex sha256 of everything."""
        sha256 = hashlib.sha256(self.pictures.tobytes())
        sha256.update(self.index.tobytes() + self.labels.tobytes())
        return sha256.hexdigest()


def make_pairs(
    images: UInt8Images,
    labels: NDArray[np.int64],
    attacks: Sequence[Attack],
    sources: Sequence[Classifier],
    make_scorer: MakeScorer,
) -> Pairs:
    """The clean pictures, and each of them attacked by every attack on every source.

    Attacked pictures are kept whether they fool or not: the denoiser is to undo failed attempts
    too.

    Args:
        images: M x C x H x W, the clean pictures.
        labels: (M,), their classes.
        attacks: what they are attacked with.
        sources: the nets that are attacked.
        make_scorer: gives the scorer of a net.
    """
    parts = [images]
    for source in sources:
        with make_scorer(source) as scorer:
            parts += [attack(scorer, images, labels).pixels for attack in attacks]
    index = np.tile(np.arange(len(images)), len(parts))
    return Pairs(np.concatenate(parts), images, labels, index)


def train_denoiser(
    base: Classifier,
    pairs: Pairs,
    recipe: Recipe,
    path: Path,
    facts: Mapping[str, Any],
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> str:
    """Trains a U-net before the frozen `base`, writes it with its card, returns the sha256.

    Where a checkpoint of exactly this training lies beside `path`, it goes on from there.

    Args:
        base: a white box; neither its weights nor its statistics change.
        pairs: the training pictures.
        recipe: how to train.
        path: where to write the weights; ends in ``.safetensors``.
        facts: how the pairs were made; they go into the card.
        progress: called after every step.
        should_stop: called after every step; if it returns true, the training ends.

    Raises:
        UsageError: the base does not fit the guide, or its pictures do not fit the U-net.
        Diverged: the loss is no longer finite.
        Interrupted: `should_stop` returned true; a checkpoint is kept.
    """
    device = choose_device(recipe.device)
    net = initial(lambda: UNet(base.input_shape, recipe.width, recipe.levels), recipe.seed)
    checkpoints = Checkpoints(
        path.parent,
        path.stem,
        {
            "recipe": recipe_values(recipe, with_device=False),
            "base": base.digest,
            "data": pairs.digest(),
            "device": device.type,
            "torch": torch.__version__,
        },
    )
    with repeatable():
        fitting = Fitting(
            net,
            # a column: a row of whole numbers would be taken for classes
            Batches(pairs.pictures, pairs.index[:, None], recipe.batch, recipe.seed),
            epochs=recipe.epochs,
            optimiser=OptimiserConfig(name="adam", lr=recipe.lr, weight_decay=0, schedule="steps"),
            seed=recipe.seed,
            loss=_loss(base, pairs, recipe.guide, device),
            device=device,
        )
        fitted = fit_checkpointed(fitting, checkpoints, progress, should_stop)
    sha256 = write_denoiser(
        net.eval(),  # type: ignore[arg-type]
        path,
        {
            "base": {"name": base.name, "digest": base.digest},
            "recipe": recipe_values(recipe),
            **facts,
            "pictures": len(pairs.pictures),
            "last_loss": fitted.loss,
            "seconds": round(fitted.seconds, 1),
            "trained_on": device.type,
            "versions": {
                "evofool": version("evofool"),
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
        },
    )
    checkpoints.discard()
    return sha256


def recipe_values(recipe: Recipe, with_device: bool = True) -> dict[str, Any]:
    """A recipe as JSON values."""
    settings = {
        "loss": recipe.guide, "width": recipe.width, "levels": recipe.levels,
        "epochs": recipe.epochs, "batch": recipe.batch, "lr": recipe.lr, "seed": recipe.seed,
    }  # fmt: skip
    return {**settings, "device": recipe.device} if with_device else settings


def sources_said(
    attacks: Sequence[Attack], sources: Sequence[Classifier]
) -> dict[str, list[dict[str, Any]]]:
    """Attacks and sources for a card: no paths, which are nobody else's concern."""
    return {
        "attacks": [{"name": a.name, "seed": a.seed, **parameters_of(a)} for a in attacks],
        "sources": [{"name": Path(s.name).name, "digest": s.digest} for s in sources],
    }


def _loss(
    base: Classifier, pairs: Pairs, guide: Guide, device: torch.device
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Denoised pictures and numbers of clean ones to losses.

    The net is a copy outside the module in training: no mode, checkpoint or optimiser reaches it.
    """
    assert base.module is not None
    frozen = copy.deepcopy(base.module)
    freeze(frozen)
    frozen.to(device)
    distance = guide_loss(guide, base, frozen)
    clean, labels = torch.from_numpy(pairs.clean), torch.from_numpy(pairs.labels)

    def loss(denoised: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        own = index[:, 0].cpu()
        wanted = torch.from_numpy(to_float(clean[own].numpy())).to(device)
        return distance(denoised, wanted, labels[own].to(device))

    return loss
