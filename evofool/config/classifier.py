"""The section ``classifier``: the victim, one net, several, or a service."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from evofool.config.base import Model
from evofool.config.folders import without_prefix, written_as_folder
from evofool.config.http import HttpConfig
from evofool.config.transforms import TransformsConfig
from evofool.config.values import Floats, Side, listed
from evofool.validation import shown

_SUFFIXES = (".safetensors", ".onnx", ".pt2", ".skops", ".yaml", ".yml")
"""Of files that name a victim."""


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):  # which a literal 1 would take for 1
        raise ValueError(f"must be one of 1, 10, not {shown(value)}")
    return value


def _answers(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if value is None or value == "label" or whole:
        return value
    raise ValueError(f"must be a number of classes, 1 or more, or label, not {shown(value)}")


def _three(value: Any) -> Any:
    value = listed(value)
    if isinstance(value, tuple) and len(value) != 3:
        raise ValueError(f"must be [channels, height, width], not {len(value)} numbers")
    return value


def _labels(value: Any) -> Any:
    value = listed(value)
    ok = isinstance(value, str) or (
        isinstance(value, tuple) and all(isinstance(label, str) for label in value)
    )
    if value is not None and not (ok and value):
        raise ValueError("must be a list of label texts (quote numbers) or the path of a file")
    return value


def _nets(value: Any) -> Any:
    value = listed(value)
    if not isinstance(value, tuple):
        return value
    for net in value:
        if isinstance(net, dict) and net.get("ensemble") is not None:
            raise ValueError("holds another ensemble; list its nets instead")
    return tuple({"name": net} if isinstance(net, str) else net for net in value)


def ensemble_name(rule: str, names: Sequence[str]) -> str:
    """What an ensemble is called: ``least of mnist-lenet, mnist-d``.

    Folders and suffixes of files are left out, so that it stays the same where files are moved.

    Args:
        rule: ``least`` or ``mean``.
        names: of its nets, as a config names them.
    """
    return f"{rule} of {', '.join(_bare(name) for name in names)}"


def _of_service(value: Any) -> str:
    """The name of a service that is given none; of a wrong config anything."""
    url = value.url if isinstance(value, HttpConfig) else dict(value).get("url") if isinstance(
        value, Mapping
    ) else ""  # fmt: skip
    try:
        return HttpConfig.model_construct(url=str(url)).name
    except ValueError:
        return "http"


def _bare(name: str) -> str:
    if ".py:" in name:
        file, _, function = name.rpartition(".py:")
        return f"{PurePath(file).name}:{function}"
    if written_as_folder(without_prefix(name)) and without_prefix(name) != name:
        return PurePath(name).name
    path = PurePath(name)
    return path.stem if path.suffix in _SUFFIXES else name


Strings: TypeAlias = Annotated[tuple[str, ...] | str | None, BeforeValidator(_labels)]
EnsembleRule: TypeAlias = Literal["least", "mean"]
MOST_NETS = 100
"""Nets of an ensemble, at most."""


class OnnxConfig(Model):
    """How an ONNX graph is run, where the graph itself does not say it.

    Attributes:
        layout: of its input: ``nchw`` or ``nhwc``.
        output_name: of the output that holds the scores.
        fixed_batch: how many images it takes at once, if only so many.
    """

    layout: Literal["nchw", "nhwc"] | None = None
    output_name: Annotated[str, Field(min_length=1)] | None = None
    fixed_batch: Annotated[int, Field(ge=1, le=65536)] | None = None


class PrototypesConfig(Model):
    """Prototypes of the classes, for a net that gives features.

    Attributes:
        path: a ``.npz`` or ``.safetensors`` file with one point a class, or a folder that holds a
            folder of pictures for each class, whose mean features are the points.
        similarity: ``cosine``, or ``euclidean`` for squared distances.
        scale: what similarities are multiplied by to be logits; by default 10 for cosine, 1 for
            squared distances.
    """

    path: Annotated[str, Field(min_length=1)]
    similarity: Literal["cosine", "euclidean"] = "cosine"
    scale: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None

    @property
    def factor(self) -> float:
        """The scale, or its default."""
        return self.scale or (10.0 if self.similarity == "cosine" else 1.0)


def _prototypes(value: Any) -> Any:
    """A path alone is a mapping that says no more."""
    return {"path": value} if isinstance(value, str) else value


class ClassifierConfig(Model):
    """The victim, one net or several. Whatever is None is what the classifier itself says.

    Attributes:
        name: bundled, ``torchvision:NAME``, ``timm:NAME``, ``hf:NAME``, ``clip:NAME``,
            ``file.onnx``, ``file.pt2``, ``sklearn:file.skops`` or ``file.py:function``.
        weights: a weights file, or the member of a weights enum.
        crops: 1, or 10 (corners and centre, mirrored; the confidences are averaged).
        input_shape: channels, height, width.
        labels: one per class, or the path of a text file with one per line.
        templates: of a zero-shot CLIP: texts that hold ``{}`` for the name of the class, or the
            path of a file with one per line.
        output: what the net gives.
        link: how outputs become confidences.
        mean: subtracted from the image on [0, 1], one number or one per channel.
        std: divided by after that.
        onnx: of an ONNX graph: what it does not say itself.
        probe: how much a victim of one's own is asked when it is loaded: ``none``, ``small`` (at
            most 8 pictures, the default for a predict function) or ``full`` (also by several
            threads, in other orders and batches).
        ensemble: several nets at once, instead of one by `name`.
        rule: of an ensemble: its log-odds of a class are the least of its nets' or their mean.
        answers: what a net on this machine tells, as if it were a service: so many of its likeliest
            classes with their confidences, or the first ``label`` alone.
        task: ``multi-label`` of a net whose classes do not exclude each other, ``binary`` of one
            that gives one value for two classes.
        prototypes: what makes a classifier of a net that gives features.
        http: a service, instead of a net on this machine.
        transforms: what is done to every picture before the net sees it, k times over; the k
            answers become one.
    """

    name: Annotated[str, Field(min_length=1)]
    weights: Annotated[str, Field(min_length=1)] | None = None
    crops: Annotated[Literal[1, 10], BeforeValidator(_no_bool)] = 1
    input_shape: Annotated[tuple[Side, Side, Side] | None, BeforeValidator(_three)] = None
    labels: Strings = None
    templates: Strings = None
    output: Literal["logits", "log_probs", "probs", "topk", "label"] | None = None
    link: Literal["softmax", "sigmoid", "identity"] | None = None
    mean: Floats = None
    std: Floats = None
    onnx: OnnxConfig | None = None
    probe: Literal["none", "small", "full"] | None = None
    ensemble: Annotated[
        Annotated[tuple[ClassifierConfig, ...], Field(min_length=1, max_length=MOST_NETS)] | None,
        BeforeValidator(_nets),
    ] = None
    rule: EnsembleRule | None = None
    answers: Annotated[Literal["label"] | int | None, BeforeValidator(_answers)] = None
    task: Literal["binary", "multi-label"] | None = None
    prototypes: Annotated[PrototypesConfig | None, BeforeValidator(_prototypes)] = None
    http: HttpConfig | None = None
    transforms: TransformsConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """An ensemble and a service need no name: they get that of the nets, or of the address."""
        if not isinstance(value, Mapping) or "name" in value:
            return value
        if value.get("http") is not None and value.get("ensemble") is None:
            return {"name": _of_service(value["http"]), **value}
        if value.get("ensemble") is None:
            return value
        nets = value["ensemble"] if isinstance(value["ensemble"], list | tuple) else ()
        names = [getattr(n, "name", n.get("name") if isinstance(n, Mapping) else n) for n in nets]
        return {
            "name": ensemble_name(str(value.get("rule") or "least"), list(map(str, names))),
            **value,
        }

    @model_validator(mode="after")
    def _of_an_ensemble(self) -> Self:
        if self.rule is not None and self.ensemble is None:
            raise ValueError("rule is for an ensemble; remove it, or list nets under `ensemble`")
        if self.http is not None and self.ensemble is not None:
            raise ValueError(
                "http and ensemble: a victim is either a service or several nets, not both"
            )
        if self.prototypes is not None and (self.http is not None or self.ensemble is not None):
            raise ValueError(
                "prototypes are of one net that gives features; name one (for a service: a predict"
                " function in a file of your own that calls it)"
            )
        return self

    @model_validator(mode="after")
    def _no_crops_beside(self) -> Self:
        if self.transforms is not None and self.crops != 1:
            raise ValueError(
                "transforms do not work with ten crops, which are another way to look at a"
                " picture several times; set crops: 1"
            )
        return self

    @model_serializer(mode="wrap")
    def _one_or_several(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Of one net what was written before there were ensembles."""
        values: dict[str, Any] = handler(self)
        if self.ensemble is None:
            values.pop("ensemble", None)
            values.pop("rule", None)
        if self.answers is None:
            values.pop("answers", None)
        if self.templates is None:
            values.pop("templates", None)
        if self.task is None:
            values.pop("task", None)
        if self.prototypes is None:
            values.pop("prototypes", None)
        if self.http is None:
            values.pop("http", None)
        if self.transforms is None:
            values.pop("transforms", None)
        return values

    @classmethod
    def fitting(cls, written: Mapping[str, Any]) -> Collection[str]:
        """Those of a service, of an ensemble, or of one net on this machine."""
        if written.get("http") is not None:
            return ("name", "http", "input_shape", "labels", "output", "link", "probe", "answers")
        if written.get("ensemble") is not None:
            return ("name", "ensemble", "rule", "answers", "transforms")
        return cls.model_fields.keys() - {"http", "ensemble", "rule"}

    @property
    def passes(self) -> int:
        """Images that go forward for one picture, see `evofool.classifiers.Classifier.passes`."""
        nets = self.crops if self.ensemble is None else len(self.ensemble)
        return nets * (1 if self.transforms is None else self.transforms.k)

    @field_validator("input_shape")
    @classmethod
    def _channels(cls, value: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        if value is not None and value[0] not in (1, 3):
            raise ValueError(f"starts with the channels, 1 or 3, not {value[0]}")
        return value

    @field_validator("mean", "std")
    @classmethod
    def _per_channel(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and len(value) not in (1, 3):
            raise ValueError(f"must be one number or three (one per channel), not {len(value)}")
        return value

    @field_validator("std")
    @classmethod
    def _divisible(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and min(value) <= 0:
            raise ValueError(f"must be above 0, not {min(value):g}")
        return value
