"""How long works are expected to take, set against each other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evofool.classifiers import Classifier
from evofool.config.transforms import TransformsConfig
from evofool.experiments.engine.work import Work


class Efforts:
    """What an image costs in each of some works: the values of the largest net's input, as often
    as the net sees it (`classifier.transforms`).

    A picture of ImageNet takes a net some hundred times as long as a digit. Without that, the
    time that is left would be far off wherever an experiment asks nets of both kinds. Works that
    name no net, such as trainings, are taken to be of the smallest kind there is.

    Args:
        works: all of an experiment.
    """

    def __init__(self, works: Iterable[Work]) -> None:
        self._known: dict[str, int] = {}
        for work in works:
            self._of(work)
        self._smallest = min((size for size in self._known.values() if size), default=1)

    def an_image(self, work: Work) -> int:
        """Of one of the works: values of an image, such as 784."""
        return self._known.get(work.address, 0) or self._smallest

    def of(self, work: Work) -> int:
        """Of one of the works, all its images together."""
        return work.images * self.an_image(work)

    def _of(self, work: Work) -> int:
        if work.address not in self._known:
            views = [value.k for value in _values(work) if isinstance(value, TransformsConfig)]
            size = max(self._sizes(_values(work)), default=0)
            self._known[work.address] = size * max(views, default=1)
        return self._known[work.address]

    def _sizes(self, values: Iterable[Any]) -> Iterator[int]:
        for value in values:
            if isinstance(value, Work):
                yield self._of(value)
            elif isinstance(value, Classifier):
                views = 1 if value.transformed is None else value.transformed.config.k
                yield math.prod(value.input_shape) * views
            elif isinstance(value, Mapping):
                yield from self._sizes(value.values())
            elif isinstance(value, tuple | list):
                yield from self._sizes(value)
            elif dataclasses.is_dataclass(value) and not isinstance(value, type):
                yield from self._sizes(_values(value))


def _values(value: Any) -> Iterator[Any]:
    return (getattr(value, f.name) for f in dataclasses.fields(value))
