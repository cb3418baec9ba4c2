"""The section ``evolution``: the algorithms and their parameters."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from evofool.config.base import Model
from evofool.config.values import Classes, Count, RankedBy, Share, Target


class _Evolution(Model):
    """What every algorithm has.

    Attributes:
        algorithm: which of the classes below this is.
        initial: random individuals before the first generation.
        children: individuals a generation.
        fitness: what ranks; `log_odds` does not saturate where a probability does. Or the
            ``path/to/file.py:function`` of a function of log-odds and pictures.
        lag: generations that selection is behind scoring. With 1 (`map_elites` only) no worker
            waits at a generation's end; it is part of what a digest means.
    """

    algorithm: Literal["map_elites", "mu_plus_lambda", "cma_es"]
    initial: Count = 200
    children: Count = 200
    fitness: RankedBy = "log_odds"
    lag: Literal[0, 1] = 0


class MapElitesConfig(_Evolution):
    """Every class at once: one champion a class, every child against every champion.

    Attributes:
        classes: ``"all"``, or indices, labels, inclusive ranges such as ``"151-285"`` and patterns
            such as ``"*shark*"``.
        parents: how they are drawn from the champions: each filled cell alike (``uniform``), or of
            three such draws the champion of the latest generation (``recent``), so that children
            are bred where the last ones did well.
        refine: whether a share of the children, the median confidence, is made by small steps in
            what a picture looks like, for champions that have most to gain by them
            (`evofool.evolution.refining`).
    """

    algorithm: Literal["map_elites"] = "map_elites"
    classes: Classes = "all"
    parents: Literal["uniform", "recent"] = "uniform"
    refine: bool = False

    @model_validator(mode="after")
    def _refines_at_once(self) -> Self:
        if self.refine and self.lag:
            raise ValueError("refine needs the confidences of the last generation: set lag: 0")
        return self


class OneClass(_Evolution):
    """What the algorithms for one class have in common: no lag."""

    @field_validator("lag")
    @classmethod
    def _no_lag(cls, value: int) -> int:
        if value != 0:
            raise ValueError("only map_elites can have a lag; set lag: 0")
        return value


class MuPlusLambdaConfig(OneClass):
    """One class with DEAP's (mu + lambda); lambda is `children`.

    Attributes:
        target: the class, an index or a label.
        mu: survivors of a generation.
        cxpb: probability that a child comes of crossover.
        mutpb: probability that a child comes of mutation; the rest are copies.
    """

    algorithm: Literal["mu_plus_lambda"] = "mu_plus_lambda"
    target: Target
    mu: Count = 50
    cxpb: Share = 0.5
    mutpb: Share = 0.5

    @model_validator(mode="after")
    def _sum(self) -> Self:
        if self.cxpb + self.mutpb > 1:
            raise ValueError(f"cxpb + mutpb must be at most 1, not {self.cxpb + self.mutpb:g}")
        if self.cxpb + self.mutpb == 0:
            raise ValueError("cxpb + mutpb must be above 0: with only copies, nothing evolves")
        if self.cxpb > 0 and min(self.mu, self.initial) < 2:
            raise ValueError("crossover takes two parents: set cxpb to 0, or mu and initial to 2")
        return self


class CmaEsConfig(OneClass):
    """One class with DEAP's CMA-ES, for low-dimensional genomes; lambda is `children`.

    Attributes:
        target: the class, an index or a label.
        sigma: the first step, on genes that live on [0, 1].
    """

    algorithm: Literal["cma_es"] = "cma_es"
    target: Target
    sigma: Annotated[float, Field(gt=0, le=10)] = 0.3

    @field_validator("children")
    @classmethod
    def _two(cls, value: int) -> int:
        if value < 2:
            raise ValueError("cma_es needs at least 2 children to choose from")
        return value


EvolutionConfig: TypeAlias = MapElitesConfig | MuPlusLambdaConfig | CmaEsConfig
