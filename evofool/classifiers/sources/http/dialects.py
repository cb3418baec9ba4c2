"""How each kind of service is asked, and what its answers say: the presets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from evofool.classifiers.sources.http.answers import Classes, CustomAnswers, Rows, finite
from evofool.classifiers.sources.http.failures import Malformed
from evofool.classifiers.sources.http.questions import Question, custom, of_json, tensor, texts
from evofool.config.http import HttpConfig, TensorConfig
from evofool.images import UInt8Images


class Dialect(Protocol):
    """What is said to a service, and what it says."""

    @property
    def url(self) -> str:
        """Where it is asked."""
        ...

    def question(self, images: UInt8Images) -> Question:
        """The request about `images`, uint8 N x C x H x W."""
        ...

    def answer(self, value: Any, count: int) -> Rows:
        """The scores of `count` pictures in the JSON of an answer: float64 N x classes, or int64
        (N,) labels.

        Raises:
            Malformed: it does not say them.
        """
        ...


@dataclass(frozen=True)
class Evofool:
    """The contract of ``evofool serve``, see docs/http.md."""

    config: HttpConfig
    classes: Classes

    @property
    def url(self) -> str:
        """Where it is asked."""
        return joined(self.config.url, "v1/predict")

    def question(self, images: UInt8Images) -> Question:
        """``{"images": [BASE64, ...]}`` of `images`, uint8 N x C x H x W."""
        return of_json({"images": texts(images, self.config)}, len(images))

    def answer(self, value: Any, count: int) -> Rows:
        """Of ``scores`` beside ``labels``, of ``top`` or of ``predictions``: float64 N x classes,
        or int64 (N,) labels."""
        if not isinstance(value, Mapping):
            raise Malformed("its answer is not a JSON object")
        output = self.classes.output
        if value.get("output", output) != output:
            raise Malformed(f"it gives {str(value['output'])[:20]}, but {output} is expected")
        if output == "label":
            return self.classes.chosen(_list(value, "predictions"), count)
        if output == "topk":
            rows = [_pairs(pairs) for pairs in _list(value, "top")]
            return self.classes.rows([self.classes.row(s, names) for names, s in rows], count)
        labels, rows = _list(value, "labels"), _list(value, "scores")
        return self.classes.rows([self.classes.row(row, labels) for row in rows], count)


@dataclass(frozen=True)
class KServe:
    """KServe's protocol v2, as Triton, OpenVINO and TorchServe speak it: tensors in JSON."""

    config: HttpConfig
    classes: Classes
    tensors: TensorConfig
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)

    @property
    def url(self) -> str:
        """Where it is asked."""
        return joined(self.config.url, f"{model_path(self.tensors)}/infer")

    def question(self, images: UInt8Images) -> Question:
        """One input tensor of `images`, uint8 N x C x H x W."""
        asked = self.tensors
        shape, data = tensor(images, asked.datatype, asked.layout, self.mean, self.std)
        body: dict[str, Any] = {
            "inputs": [
                {"name": asked.input, "shape": shape, "datatype": asked.datatype, "data": data}
            ]
        }
        if asked.output is not None:
            body["outputs"] = [{"name": asked.output}]
        return of_json(body, len(images))

    def answer(self, value: Any, count: int) -> Rows:
        """Of the output tensor, whose numbers may be nested or flat: float64 N x classes, or int64
        (N,) labels."""
        outputs = _list(value, "outputs")
        named = [
            o for o in outputs if isinstance(o, Mapping) and o.get("name") == self.tensors.output
        ]
        chosen = named or (outputs if self.tensors.output is None else [])
        if len(chosen) != 1 or not isinstance(chosen[0], Mapping):
            raise Malformed(f"it gives {len(chosen)} outputs with the name {self.tensors.output}")
        data = _flat(_list(chosen[0], "data"))
        if self.classes.output == "label":
            return self.classes.chosen(data, count)
        n = len(self.classes.labels)
        shape = chosen[0].get("shape")
        if len(data) != count * n or (shape is not None and shape != [count, n]):
            raise Malformed(
                f"it gives {len(data)} numbers of shape {str(shape)[:40]}, but [{count}, {n}] is"
                " expected"
            )
        return self.classes.rows(
            [self.classes.row(data[i * n : (i + 1) * n]) for i in range(count)], count
        )


@dataclass(frozen=True)
class HuggingFace:
    """Hugging Face's inference of image classification: one picture, labels with their scores."""

    config: HttpConfig
    classes: Classes

    @property
    def url(self) -> str:
        """Where it is asked."""
        return self.config.url

    def question(self, images: UInt8Images) -> Question:
        """``{"inputs": BASE64, "parameters": {"top_k": ...}}`` of `images`, uint8 1 x C x H x W."""
        (picture,) = texts(images, self.config)
        return of_json({"inputs": picture, "parameters": {"top_k": len(self.classes.labels)}}, 1)

    def answer(self, value: Any, count: int) -> Rows:
        """Of ``[{"label": ..., "score": ...}, ...]``, the surest first: float64 N x classes, or
        int64 (N,) labels."""
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
            value = value[0]  # as a batch of one
        labels, scores = _pairs(value)
        if self.classes.output == "label":
            if not labels:
                raise Malformed("it names no class at all")
            numbers = [finite(score) for score in scores]
            best = numbers.index(max(numbers))
            return self.classes.chosen([labels[best]], count)
        return self.classes.rows([self.classes.row(scores, labels)], count)


class Custom:
    """A service of one's own, by `RequestConfig` and `AnswerConfig`."""

    def __init__(self, config: HttpConfig, classes: Classes) -> None:
        assert config.request is not None
        assert config.answer is not None
        self.url = config.url
        self._config, self._request = config, config.request
        self._answers = CustomAnswers(config.answer, classes)

    def question(self, images: UInt8Images) -> Question:
        """As `questions.custom`, of `images`, uint8 N x C x H x W."""
        return custom(images, self._config, self._request)

    def answer(self, value: Any, count: int) -> Rows:
        """As `CustomAnswers`: float64 N x classes, or int64 (N,) labels."""
        return self._answers(value, count)


def joined(url: str, path: str) -> str:
    """`path` below `url`; a query of it stays."""
    before, mark, query = url.partition("?")
    return f"{before.rstrip('/')}/{path}{mark}{query}"


def model_path(tensors: TensorConfig) -> str:
    """Where a model is, below the server."""
    version = "" if tensors.version is None else f"/versions/{tensors.version}"
    return f"v2/models/{tensors.model}{version}"


def _list(value: Any, key: str) -> list[Any]:
    inner = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(inner, list):
        message = value.get("error") if isinstance(value, Mapping) else None
        said = f" ({str(message)[:100]})" if isinstance(message, str) else ""
        raise Malformed(f"its answer has no list {key!r}{said}")
    return inner


def _pairs(value: Any) -> tuple[list[Any], list[Any]]:
    """Labels and scores of a list of ``{"label": ..., "score": ...}``."""
    if not isinstance(value, list) or not all(
        isinstance(pair, Mapping) and "label" in pair and "score" in pair for pair in value
    ):
        raise Malformed("its answer is not a list of labels with their scores")
    return [pair["label"] for pair in value], [pair["score"] for pair in value]


def _flat(values: list[Any]) -> list[Any]:
    for _ in range(3):  # [[...], [...]], and one more around it
        if not values or not all(isinstance(value, list) for value in values):
            return values
        values = [inner for value in values for inner in value]
    return values
