"""The DEAP toolbox of a campaign, which a program may change before it hands it over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np
from deap import base, tools

from evofool.config import EvolutionConfig, MapElitesConfig
from evofool.encodings import Encoding
from evofool.errors import FolderError, ScoringError, UsageError
from evofool.evolution.archive import SELECTIONS
from evofool.evolution.guarded import explained
from evofool.evolution.individual import Individual
from evofool.randomness import Draws, rebound
from evofool.store import CampaignFolder

VARIATION = ("sample", "mate", "mutate")
"""Tools that make genomes: where one of them is a program's, no ancestor can be bred again."""
TOOLS: Mapping[str, tuple[str, ...]] = {
    "map_elites": (*VARIATION, "select", "fitness"),
    "mu_plus_lambda": (*VARIATION, "select", "fitness"),
    "cma_es": ("sample", "fitness"),
}
"""What each algorithm takes from a toolbox."""
OWN = ("evaluate", "map", "clone")
"""What belongs to the campaign, whose scorer counts every picture."""

Replaced = Mapping[str, str | None]
"""Tools that are not the campaign's own, each with its qualified name where it has one."""


class CampaignToolbox(base.Toolbox):  # type: ignore[misc]  # deap is untyped
    """A toolbox that remembers which tools were in it at first."""

    def __init__(self, algorithm: str, first: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.register("map", _whole)
        self.register("clone", Individual.clone)
        for name, tool in first.items():
            self.register(name, tool)
        self.first = {name: getattr(self, name) for name in (*first, "map", "clone")}

    def replaced(self) -> Replaced:
        """The tools that are others now.

        Raises:
            UsageError: one was taken away, or cannot be replaced.
        """
        wanted = TOOLS[self.algorithm]
        for name in OWN:
            if getattr(self, name, None) is not self.first.get(name):
                raise UsageError(
                    f"toolbox: {name} belongs to the campaign, whose scorer counts every"
                    " picture; to rank differently, register `fitness`"
                )
        for name in wanted:
            if not callable(getattr(self, name, None)):
                raise UsageError(f"toolbox: no longer has a {name}; register one")
        for name in {each for some in TOOLS.values() for each in some} - {*wanted}:
            if hasattr(self, name):
                raise UsageError(f"toolbox: {self.algorithm} does not use {name}")
        return {
            name: qualified_name(getattr(self, name))
            for name in wanted
            if getattr(self, name) is not self.first[name]
        }


def first_tools(
    config: EvolutionConfig, encoding: Encoding[Any], fitness: Callable[..., Any]
) -> CampaignToolbox:
    """A campaign's own tools, as nobody has changed them."""
    every: dict[str, Callable[..., Any]] = {
        "sample": encoding.sample,
        "mate": encoding.mate,
        "mutate": encoding.mutate,
        "select": (
            SELECTIONS[config.parents] if isinstance(config, MapElitesConfig) else tools.selBest
        ),
        "fitness": fitness,
    }
    return CampaignToolbox(
        config.algorithm, {name: every[name] for name in TOOLS[config.algorithm]}
    )


def replaced_in(given: base.Toolbox | None, config: EvolutionConfig) -> Replaced:
    """The tools of a toolbox that a program hands over which are not the campaign's own.

    Raises:
        UsageError: it is no toolbox that `toolbox` made, or of another algorithm.
    """
    if given is None:
        return {}
    if not isinstance(given, CampaignToolbox):
        raise UsageError(
            f"toolbox: is a {type(given).__name__}; start with"
            " evofool.evolution.toolbox(config), which has all tools of a campaign, and replace"
            " some"
        )
    if given.algorithm != config.algorithm:
        raise UsageError(
            f"toolbox: was made for {given.algorithm}, but evolution.algorithm is"
            f" {config.algorithm}"
        )
    return given.replaced()


def with_tools(own: CampaignToolbox, given: base.Toolbox | None, replaced: Replaced) -> None:
    """Put the tools of a program into a campaign's own toolbox, guarded: what one of them raises or
    wrongly returns ends in one message that names it."""
    for name, qualified in replaced.items():
        if name == "fitness":  # guarded by `CheckedFitness`, with what it returns
            own.register(name, getattr(given, name))
            continue
        what = f"tool {told({name: qualified})}"
        tool = getattr(given, name)
        if name == "select":
            own.register(name, SafeSelect(tool, what, own.algorithm))
        else:
            own.register(name, explained(tool, f"{what} failed", False))


def check_toolbox(run: CampaignFolder, replaced: Replaced) -> None:
    """Refuse to go on with other tools than a run was begun with.

    Raises:
        FolderError: the message says which were the program's, and how to hand them over.
    """
    recorded: Replaced = run.manifest.get("toolbox", {})
    if dict(recorded) == dict(replaced):
        return
    if not recorded:
        raise FolderError(
            f"{run.path}: was started with the campaign's own tools, but {told(replaced)} of"
            " this toolbox are others; resume without toolbox="
        )
    now = f", not with {told(replaced)}" if replaced else ""
    raise FolderError(
        f"{run.path}: was started with tools of a program{now}: {told(recorded)}; resume from"
        " Python with the same tools: evofool.resume(RUN, toolbox=TOOLBOX)"
    )


def told(replaced: Replaced) -> str:
    """``mutate (lab.tools.jump), select``."""
    return ", ".join(
        name if qualified is None else f"{name} ({qualified[:80]})"
        for name, qualified in replaced.items()
    )


def not_bred_again(manifest: Mapping[str, Any]) -> str:
    """Why the ancestors of a run cannot be bred again, "" if they can."""
    recorded = manifest.get("toolbox", {})
    foreign = {name: recorded[name] for name in VARIATION if name in recorded}
    if not foreign:
        return ""
    return f"bred with tools of a program, which are not available here: {told(foreign)}"


def qualified_name(tool: Callable[..., Any]) -> str | None:
    """``package.module.function`` of what was registered; None for a lambda or a local one."""
    function: Any = tool
    while isinstance(function, partial):
        function = function.func
    name, module = getattr(function, "__qualname__", None), getattr(function, "__module__", None)
    if not isinstance(name, str) or not isinstance(module, str) or "<" in name:
        return None
    return f"{module}.{name}"


@dataclass(frozen=True)
class SafeSelect:
    """A program's ``select``, held to what its algorithm can go on with."""

    tool: Callable[..., Any]
    what: str
    algorithm: str

    def __call__(self, candidates: Any, argument: Any) -> Any:
        chosen = explained(self.tool, f"{self.what} failed", False)(candidates, argument)
        if self.algorithm == "map_elites":
            pair = isinstance(chosen, tuple) and len(chosen) == 2
            if not (pair and isinstance(chosen[0], Individual) and _is_index(chosen[1])):
                raise ScoringError(
                    f"{self.what} returned {_shown(chosen)}, but must return an individual and"
                    " the index of the class for which it was chosen"
                )
            return chosen[0], int(chosen[1])
        chosen = list(chosen) if isinstance(chosen, list | tuple) else chosen
        people = isinstance(chosen, list) and all(isinstance(one, Individual) for one in chosen)
        if not people or len(chosen) != argument:
            raise ScoringError(
                f"{self.what} returned {_shown(chosen)}, but must return a list of {argument}"
                " individuals"
            )
        return chosen


def drawing_from(tool: Callable[..., Any], draws: Draws) -> Callable[..., Any]:
    """`tool`; if it is one of DEAP's operators, one that draws from `draws`.

    DEAP's operators draw from Python's global generator, which is not that of a campaign.
    """
    if isinstance(tool, SafeSelect):
        return replace(tool, tool=drawing_from(tool.tool, draws))
    if isinstance(tool, partial):
        return partial(drawing_from(tool.func, draws), *tool.args, **tool.keywords)
    if not isinstance(tool, FunctionType) or not tool.__module__.startswith("deap."):
        return tool
    names: dict[str, Any] = {"random": draws.python}
    for name, other in vars(sys.modules[tool.__module__]).items():
        if isinstance(other, FunctionType) and other.__module__ == tool.__module__:
            names[name] = rebound(other, random=draws.python)
    return rebound(tool, **names)


def _whole(function: Callable[..., Any], population: Sequence[Any]) -> Any:
    """`map` where `evaluate` takes a whole population."""
    return function(population)


def _is_index(value: object) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and int(value) >= 0  # type: ignore[call-overload]


def _shown(value: object) -> str:
    size = f" of {len(value)}" if isinstance(value, list | tuple) else ""
    return f"a {type(value).__name__}{size}"
