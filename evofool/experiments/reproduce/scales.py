"""How much a reproduction does: sizes, epochs and seeds of each scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ScaleName = Literal["small", "medium", "paper"]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is done.

    Attributes:
        seeds: of campaigns.
        digits: generations of a campaign on digits, after the first 200 individuals.
        imagenet: generations of a campaign over the 1000 classes, after the first 400.
        crops: that a picture's scores are averaged over there.
        epochs: of trainings on digits, but for those of `defended`.
        cost_seeds: of the nets of the comparison of cost functions.
        rounds: of retraining.
        chains: of retraining: the encodings whose pictures nets are trained on, ``all`` of both.
        retrained: generations of every campaign of the retraining loop.
        retrain_seeds: of the chains of nets.
        pairs: digits that JSMA turns into each of the nine others.
        noise: pictures of noise.
        defended: epochs of adversarial training and of the undefended net beside it.
        shown: test digits that adversarially trained nets and denoisers are attacked with.
        pictures: of ImageNet that nets are attacked with.
        denoised: digits that a denoiser learns from, each with four attacks on it.
        denoiser_epochs: of its training.
        fooling: pictures of class 1001 that a net of ImageNet is retrained on.
        head_epochs: of that retraining.
    """

    seeds: tuple[int, ...]
    digits: int
    imagenet: int
    crops: int
    epochs: int
    cost_seeds: tuple[int, ...]
    rounds: int
    chains: tuple[str, ...]
    retrained: int
    retrain_seeds: tuple[int, ...]
    pairs: int
    noise: int
    defended: int
    shown: int
    pictures: int
    denoised: int
    denoiser_epochs: int
    fooling: int
    head_epochs: int


SCALES: Mapping[ScaleName, Scale] = {
    "small": Scale(
        seeds=(1,), digits=200, imagenet=12, crops=1, epochs=1, cost_seeds=(1,),
        rounds=5, chains=("all",), retrained=80, retrain_seeds=(1,), pairs=20, noise=1000,
        defended=3, shown=1000, pictures=200, denoised=1000, denoiser_epochs=2,
        fooling=2000, head_epochs=10,
    ),
    "medium": Scale(
        seeds=(1, 2, 3), digits=1000, imagenet=500, crops=1, epochs=3, cost_seeds=(1, 2, 3),
        rounds=5, chains=("direct", "cppn", "all"), retrained=80, retrain_seeds=(1, 2, 3),
        pairs=100, noise=10_000,
        defended=6, shown=10_000, pictures=1000, denoised=5000, denoiser_epochs=4,
        fooling=9000, head_epochs=20,
    ),
    "paper": Scale(
        seeds=(1, 2, 3, 4, 5), digits=1010, imagenet=5000, crops=10, epochs=10,
        cost_seeds=(1, 2, 3), rounds=15, chains=("direct", "cppn", "all"), retrained=1000,
        retrain_seeds=(1, 2, 3), pairs=100, noise=10_000,
        defended=12, shown=10_000, pictures=10_000, denoised=30_000, denoiser_epochs=20,
        fooling=9000, head_epochs=50,
    ),
}  # fmt: skip
"""``small`` is for two CPU cores and an hour and a half, ``paper`` as large as published."""
