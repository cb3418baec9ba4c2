"""The schema of a campaign: what a config may say, its defaults and its bounds."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from evofool.config.base import Model as Model
from evofool.config.folders import without_prefix, written_as_folder
from evofool.config.http import HttpConfig
from evofool.config.transforms import TransformsConfig
from evofool.text import suggestion
from evofool.validation import shown

RANGE = re.compile(r"(\d{1,9})\s*-\s*(\d{1,9})")
"""``151-285``: an inclusive range of class indices."""


_SUFFIXES = (".safetensors", ".onnx", ".pt2", ".skops", ".yaml", ".yml")
"""Of files that name a victim."""
RAY_ADDRESS = r"auto|[\w.\-]+:\d{1,5}|\[[0-9a-fA-F:.]+\]:\d{1,5}"
"""Where a cluster of Ray is: ``auto`` or ``HOST:PORT``."""
FITNESSES = ("log_odds", "probability", "log_probability")


def listed(value: Any) -> Any:
    """A YAML list as the tuple that strict models want; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) else listed(value)


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


def class_name(value: Any) -> int | str:
    """A class as a config names it, an index or a label."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"must be a class index (0, 1, ...) or a label, not {shown(value)}")


def _classes(value: Any) -> Any:
    if value == "all":
        return value
    value = listed(value)
    if not isinstance(value, tuple):
        value = (value,)
    if not value:
        raise ValueError("is an empty list; write `all`, or indices, labels and ranges")
    for item in value:
        class_name(item)
        match = RANGE.fullmatch(item) if isinstance(item, str) else None
        if match and int(match[1]) > int(match[2]):
            raise ValueError(f"the range {item} runs backwards")
    return value


def _fitness(value: Any) -> Any:
    if value in FITNESSES:
        return value
    if isinstance(value, str) and re.fullmatch(r".+\.py:[^\W\d]\w*", value):
        return value
    mend = suggestion(value, FITNESSES) if isinstance(value, str) else ""
    raise ValueError(
        f"must be one of {', '.join(FITNESSES)}, or path/to/file.py:function, not {shown(value)}"
        f"{mend}"
    )


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


def gathered(value: Any, *own: str) -> Any:
    """A mapping with all that is not one of the keys `own` moved into ``options``."""
    if not isinstance(value, dict):
        return value
    rest = {key: inner for key, inner in value.items() if key not in own}
    if rest.keys() == {"options"} and isinstance(rest["options"], dict):
        rest = rest["options"]
    return {**{key: value[key] for key in own if key in value}, "options": rest}


Strings: TypeAlias = Annotated[tuple[str, ...] | str | None, BeforeValidator(_labels)]
Floats: TypeAlias = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | None, BeforeValidator(_one_or_many)
]
Target: TypeAlias = Annotated[int | str, BeforeValidator(class_name)]
Classes: TypeAlias = Annotated[Literal["all"] | tuple[int | str, ...], BeforeValidator(_classes)]
RankedBy: TypeAlias = Annotated[str, BeforeValidator(_fitness)]
EnsembleRule: TypeAlias = Literal["least", "mean"]
MOST_NETS = 100
"""Nets of an ensemble, at most."""
Side: TypeAlias = Annotated[int, Field(ge=1, le=8192)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=10_000_000)]
Positive: TypeAlias = Annotated[int, Field(ge=1, lt=2**63)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]


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


class EncodingConfig(Model):
    """The encoding: in YAML its options are written beside its name, and it checks them itself."""

    name: Annotated[str, Field(min_length=1)]
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        return gathered(value, "name")

    @model_serializer
    def _spread(self) -> dict[str, Any]:
        return {"name": self.name, **self.options}


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


class _OneClass(_Evolution):
    @field_validator("lag")
    @classmethod
    def _no_lag(cls, value: int) -> int:
        if value != 0:
            raise ValueError("only map_elites can have a lag; set lag: 0")
        return value


class MuPlusLambdaConfig(_OneClass):
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


class CmaEsConfig(_OneClass):
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


class StopConfig(Model):
    """When a campaign ends: at the first of these that is reached; None is never.

    Attributes:
        generations: not counting the initial individuals.
        evaluations: distinct images, the initial ones included.
        seconds: active time, summed over resumes.
        confidence: every cell has reached it.
        stagnation: generations in which no cell improved.
    """

    generations: Positive | None = None
    evaluations: Positive | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    confidence: Annotated[float, Field(gt=0, le=1)] | None = None
    stagnation: Positive | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            names = ", ".join(type(self).model_fields)
            raise ValueError(f"the campaign would never end; set at least one of {names}")
        return self


class ScoringConfig(Model):
    """How images are scored.

    Attributes:
        engine: ``auto`` takes the best one that is installed.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        batch: images a forward pass; part of the result, since float sums depend on it.
        workers: threads; not part of the result.
        budget: images that may be scored in all.
        precision: what children are screened in; ``tf32`` (CUDA) and ``bf16`` are faster on some
            devices, and what would win a cell by them is confirmed in ``float32``. Part of the
            result (`map_elites` only).
    """

    engine: Literal["auto", "torch", "onnxruntime"] = "auto"
    device: str = "auto"
    batch: Annotated[int, Field(ge=1, le=65536)] = 64
    workers: Annotated[int, Field(ge=1, le=1024)] = 2
    budget: Positive | None = None
    precision: Literal["float32", "tf32", "bf16"] = "float32"

    @field_validator("device")
    @classmethod
    def _device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
            raise ValueError(f"must be auto, cpu, cuda or cuda:N, not {value!r}")
        return value


class RayConfig(Model):
    """How a campaign is spread over a cluster of Ray; no part of the result.

    Attributes:
        address: ``HOST:PORT`` of a running cluster, or ``auto`` for the one of this machine; None
            starts one on this machine, which ends with the run.
        actors: workers; None is as many as the cluster has room for.
        cores: CPU cores of an actor, each of which works on a micro-batch of its own; None is one,
            or two of an actor with a GPU, of which it has one.
        timeout: seconds after which an actor that gives no answer to a micro-batch is replaced.
    """

    address: Annotated[str, Field(max_length=300)] | None = None
    actors: Annotated[int, Field(ge=1, le=4096)] | None = None
    cores: Annotated[int, Field(ge=1, le=1024)] | None = None
    timeout: Annotated[float, Field(gt=0, le=1e7)] = 1800.0

    @field_validator("address")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(RAY_ADDRESS, value):
            client = value.startswith("ray://")
            mend = " of its head; run evofool on a node of the cluster" if client else ""
            raise ValueError(f"must be auto or HOST:PORT{mend}, not {value!r}")
        return value


class SpreadScoring(ScoringConfig):
    """How the images of a campaign are scored.

    ``engine: ray`` is short for ``engine: auto`` with ``ray: {}``: what scores in a worker is one
    of the other engines, which alone decides the result.

    Attributes:
        ray: where pictures are drawn and scored by workers of Ray; None is in this process.
    """

    ray: RayConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _engine_ray(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("engine") == "ray":
            return {**data, "engine": "auto", "ray": data.get("ray") or {}}
        return data


class Campaign(Model):
    """A campaign, checked and complete; `evofool.config.to_yaml` writes it down."""

    kind: Literal["evolve"] = "evolve"
    name: Annotated[str, Field(pattern=r"^\w[\w .-]{0,99}$")] | None = None
    classifier: ClassifierConfig
    encoding: EncodingConfig
    evolution: Annotated[EvolutionConfig, Field(discriminator="algorithm")] = Field(
        default_factory=MapElitesConfig
    )
    stop: StopConfig
    scoring: SpreadScoring = Field(default_factory=SpreadScoring)
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    @field_validator("classifier", "encoding", mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("scoring")
    @classmethod
    def _screened(cls, value: SpreadScoring, info: ValidationInfo) -> SpreadScoring:
        evolution = info.data.get("evolution")
        if value.precision != "float32" and isinstance(evolution, _OneClass):
            raise ValueError(
                f"precision {value.precision} can only screen for an archive, and"
                f" {evolution.algorithm} ranks every child; use float32"
            )
        return value

    @field_validator("evolution", mode="before")
    @classmethod
    def _default_algorithm(cls, value: Any) -> Any:
        if isinstance(value, dict) and "algorithm" not in value:
            return {"algorithm": "map_elites", **value}
        return value
