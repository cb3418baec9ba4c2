"""Genomes on a device that are made when they are needed, many in one go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Recipe:
    """How genes are made: at random, by mutation of one parent, or by crossover of two.

    Attributes:
        keys: those of Philox.
        parents: none, one or two.
        rate: probability of a gene to mutate.
        side: which of a pair's two children this is, 0 or 1.
    """

    keys: tuple[int, int]
    parents: tuple[TensorGenome, ...] = ()
    rate: float = 0.0
    side: int = 0


class TensorGenome:
    """A genome on a device: its genes, or only their recipe until the genes are needed.

    Args:
        genes: float32 (n,) on [0, 1].
        recipe: how to make them, where they have not been made.
    """

    __slots__ = ("genes", "recipe")

    def __init__(self, genes: torch.Tensor | None = None, recipe: Recipe | None = None) -> None:
        self.genes = genes
        self.recipe = recipe
