"""From the JSON of an answer to scores in the order of the classes.

A service may name its classes in any order, and in another one the next time: labels are mapped by
name, answer by answer. Whatever does not fit is `Malformed`; nothing else is ever raised.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jsonpath_rfc9535 as jsonpath
import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.base import Output
from evofool.classifiers.sources.http.failures import Malformed
from evofool.config.http import AnswerConfig

Rows: TypeAlias = NDArray[np.float64] | NDArray[np.int64]
"""float64 N x classes, with NaN for classes that ``topk`` left out; int64 (N,) for ``label``."""
_TOLERANCE = 1e-4
_LONGEST = 60


def parsed(body: bytes) -> Any:
    """The JSON of an answer.

    Raises:
        Malformed: it is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"its answer is not JSON ({_short(str(error))})") from None


class Classes:
    """The classes of a victim, by name and by index.

    Args:
        labels: of the victim, in its order.
        output: what the service gives.
    """

    def __init__(self, labels: Sequence[str], output: Output) -> None:
        self.labels, self.output = tuple(labels), output
        self._index = {label: index for index, label in enumerate(self.labels)}
        self._unique = len(self._index) == len(self.labels)

    def index(self, label: object) -> int:
        """The class of a name, or of an integer that is the class itself.

        Raises:
            Malformed: there is none, or there are two of that name.
        """
        if isinstance(label, int) and not isinstance(label, bool):
            if 0 <= label < len(self.labels):
                return label
            raise Malformed(f"it names class {str(label)[:20]}, outside 0..{len(self.labels) - 1}")
        if not isinstance(label, str):
            raise Malformed(f"it names a class by {_shown(label)}, neither a text nor an integer")
        found = self._index.get(label, self._index.get(label.strip()))
        if found is None:
            raise Malformed(f"it names a class {_shown(label)} that is not among the labels")
        if not self._unique and self.labels.count(label) > 1:
            raise Malformed(f"two classes are called {_shown(label)}: names cannot tell them apart")
        return found

    def row(self, scores: object, labels: object = None) -> NDArray[np.float64]:
        """The scores of one picture, float64 (classes,), in the order of the classes.

        Args:
            scores: a list of numbers, or an object ``{label: number}``.
            labels: beside a list: names or indices; None for the order of the classes.

        Raises:
            Malformed: a class is missing, unknown or named twice, or a score is no usable number.
        """
        if isinstance(scores, Mapping):
            labels, scores = list(scores), list(scores.values())
        if not isinstance(scores, list):
            raise Malformed(f"it gives {_shown(scores)} instead of scores")
        values = [self._number(score) for score in scores]
        n, partial = len(self.labels), self.output == "topk"
        if labels is None or (isinstance(labels, list) and tuple(labels) == self.labels):
            if len(values) != n:
                raise Malformed(f"it gives {len(values)} scores, but {n} classes are known")
            return np.array(values, np.float64)
        if not isinstance(labels, list) or len(labels) != len(values):
            count = len(labels) if isinstance(labels, list) else "no"
            raise Malformed(f"it gives {count} labels beside {len(values)} scores")
        row = np.full(n, np.nan)
        for label, value in zip(labels, values, strict=True):
            index = self.index(label)
            if not math.isnan(row[index]):
                raise Malformed(f"it names the class {_shown(label)} twice")
            row[index] = value
        missing = np.flatnonzero(np.isnan(row))
        if len(missing) == n:
            raise Malformed("it names no class at all")
        if len(missing) and not partial:
            first = _shown(self.labels[int(missing[0])])
            raise Malformed(f"it leaves out {len(missing)} classes, for example {first}")
        return row

    def rows(self, rows: Sequence[NDArray[np.float64]], count: int) -> Rows:
        """The `rows` of `count` pictures, each float64 (classes,), as float64 N x classes.

        Raises:
            Malformed: there are more or fewer.
        """
        self.check_count(len(rows), count)
        return np.stack(rows)

    def chosen(self, labels: Sequence[object], count: int) -> Rows:
        """int64 (N,): the classes that a service names for `count` pictures.

        Raises:
            Malformed: there are more or fewer, or one is unknown.
        """
        self.check_count(len(labels), count)
        return np.array([self.index(label) for label in labels], np.int64)

    def check_count(self, found: int, count: int) -> None:
        """Raises `Malformed` unless so many pictures are answered as were sent."""
        if found != count:
            raise Malformed(f"it answers {found} pictures of {count}")

    def _number(self, value: object) -> float:
        number = finite(value, low=self.output in ("logits", "log_probs"))
        if self.output in ("probs", "topk") and not -_TOLERANCE <= number <= 1 + _TOLERANCE:
            raise Malformed(f"it gives {number:.6g} as a probability")
        if self.output == "log_probs" and number > _TOLERANCE:
            raise Malformed(f"it gives {number:.6g} as the logarithm of a probability")
        return number


class CustomAnswers:
    """Answers of a service of one's own, by `AnswerConfig`."""

    def __init__(self, config: AnswerConfig, classes: Classes) -> None:
        self._classes = classes
        self._each, self._scores, self._labels = (
            None if path is None else jsonpath.compile(path)
            for path in (config.each, config.scores, config.labels)
        )

    def __call__(self, value: Any, count: int) -> Rows:
        """What an answer says of `count` pictures: float64 N x classes, or int64 (N,) labels.

        Raises:
            Malformed: it does not say it.
        """
        nodes = [value] if self._each is None else _found(self._each, value)
        if self._each is not None and len(nodes) == 1 and isinstance(nodes[0], list):
            nodes = nodes[0] if count > 1 or len(nodes[0]) == 1 else nodes
        self._classes.check_count(len(nodes), count)
        if self._classes.output == "label":
            return self._classes.chosen([self._label(node) for node in nodes], count)
        return self._classes.rows([self._row(node) for node in nodes], count)

    def _label(self, node: Any) -> object:
        path = self._labels or self._scores
        assert path is not None
        found = _found(path, node)
        if len(found) != 1:
            raise Malformed(f"it names {len(found)} labels for a picture")
        return found[0]

    def _row(self, node: Any) -> NDArray[np.float64]:
        assert self._scores is not None
        scores = _listed(_found(self._scores, node))
        if self._labels is None or isinstance(scores, Mapping):
            return self._classes.row(scores)
        return self._classes.row(scores, _listed(_found(self._labels, node)))


def finite(value: object, *, low: bool = False) -> float:
    """A score as a number; -inf, the logarithm of 0, is one if `low`.

    Raises:
        Malformed: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"it gives {_shown(value)} instead of a score")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isfinite(number) or (low and number == -math.inf):
        return number
    raise Malformed(f"it gives {number} as a score")


def _found(path: jsonpath.JSONPathQuery, value: Any) -> list[Any]:
    try:
        return [node.value for node in path.find(value)]
    except (jsonpath.JSONPathError, RecursionError) as error:
        raise Malformed(
            f"JSONPath {path} cannot be followed in it ({type(error).__name__})"
        ) from None


def _listed(found: list[Any]) -> Any:
    """One list or object that a path led to, or all that it led to."""
    return found[0] if len(found) == 1 and isinstance(found[0], list | dict) else found


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:_LONGEST])
    return f"a {type(value).__name__}" if isinstance(value, list | dict) else str(value)[:_LONGEST]


def _short(text: str) -> str:
    return text.split("\n")[0][:_LONGEST]
