"""What a defense is: what it learns from clean pictures, and what it puts around a net."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import ConfigDict

from evofool.classifiers import Classifier
from evofool.images import UInt8Images
from evofool.scoring import Scorer

if TYPE_CHECKING:
    from torch import nn

Place: TypeAlias = Literal["control", "before the net", "behind the net", "in the weights"]


@dataclass(frozen=True)
class Defense(ABC):
    """Something that is put around a net: a frozen dataclass, whose fields are its options.

    Options are plain YAML values. A module that is put around a net may have a method
    ``adapted()`` that returns the module as an attack which knows the defense differentiates it.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    name: ClassVar[str]
    """In configs, file names and digests."""
    place: ClassVar[Place] = "before the net"
    """Where it stands, for listings."""
    paper: ClassVar[str] = ""
    """Where it comes from."""
    rejects: ClassVar[bool] = False
    """Whether the defended net has one class more than the net, the last, for "no answer"."""
    learns: ClassVar[bool] = False
    """Whether `fit` takes something from clean pictures."""
    files: ClassVar[tuple[str, ...]] = ()
    """Options that are paths."""

    @abstractmethod
    def module(self, base: Classifier) -> nn.Module:
        """The defended net: float32 N x C x H x W on [0, 1] to outputs as those of the base.

        Args:
            base: a white box, whose module is part of what is returned.

        Raises:
            UsageError: it does not go around this net.
        """

    def check(self, base: Classifier) -> None:
        """Refuse a net that it does not go around, before anything is run or trained.

        Raises:
            UsageError: what is wrong with the net.
        """
        self.module(base)

    def check_clean(self, count: int) -> None:  # noqa: B027
        """Refuse to learn from so few clean pictures.

        Raises:
            UsageError: it needs more.
        """

    def fit(self, clean: UInt8Images, scorer: Scorer) -> Self:
        """The defense with all that it learns from clean pictures; by default as it is.

        Args:
            clean: uint8 N x C x H x W.
            scorer: of the undefended net.
        """
        return self

    def options(self) -> dict[str, Any]:
        """Its options, those that are None left out."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {key: value for key, value in values.items() if value is not None}

    def identity(self) -> dict[str, Any]:
        """What tells the defended net from others, as JSON values; part of its digest.

        Raises:
            UsageError: a file that it names cannot be read.
        """
        return {"name": self.name, **self.options()}
