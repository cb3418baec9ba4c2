"""How many actors a pool has, and what each of them has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evofool.errors import UsageError


@dataclass(frozen=True)
class Layout:
    """How many actors there are, and what each of them has.

    Attributes:
        actors: None is as many as the cluster has room for.
        cores: CPU cores of each, and micro-batches that it computes at once.
        gpus: of each, 0 or 1.
        timeout: seconds after which an actor that does not answer is taken to hang.
    """

    actors: int | None = None
    cores: int = 1
    gpus: int = 0
    timeout: float = 1800.0

    def fitting(self, nodes: Sequence[Mapping[str, Any]]) -> int:
        """The number of actors: as asked for, or as many as `ray.nodes()` have room for.

        Raises:
            UsageError: no node has room for a single one.
        """
        room = 0
        for node in nodes:
            if node.get("Alive"):
                has = node.get("Resources", {})
                cores = int(has.get("CPU", 0)) // self.cores
                room += min(cores, int(has.get("GPU", 0))) if self.gpus else cores
        if room == 0:
            gpu = " and a GPU" if self.gpus else ""
            raise UsageError(
                f"scoring.ray: no machine of the cluster has {self.cores} CPU cores{gpu} for a"
                " worker; set scoring.ray.cores to fewer, or join another cluster"
            )
        return self.actors or room
