"""timm's models: ``timm:NAME``, with the preprocessing of their pretrained configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

from evofool.classifiers.base import Classifier, Interpolation, Resize
from evofool.classifiers.build import by_weights, from_module
from evofool.classifiers.checks.answers import ONE_VALUE
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.labels import shipped_labels
from evofool.classifiers.pictures import in_words
from evofool.classifiers.sources.hub import hub_resolves
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.errors import ClassifierError
from evofool.images import Shape

if TYPE_CHECKING:
    from torch import nn

PREFIX = "timm:"
_KEYS = ("weights", "input_shape", "labels", "output", "link", "mean", "std", "task")
_FITS: dict[str, Literal["crop", "squash", "pad"]] = {"squash": "squash", "border": "pad"}
"""timm's words for how a picture is brought to another shape."""
_INSTALL = "timm is not installed: pip install 'evofool[timm]'"


@dataclass(frozen=True)
class _Plan:
    model: str
    config: Any  # timm's PretrainedCfg
    file: Path | None
    input_shape: Shape
    resize: Resize
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: tuple[str, ...] | None
    n_classes: int
    n_outputs: int


def load_timm(spec: ClassifierSpec, base: Path) -> Classifier:
    """A timm model; weights come from its cache, else its download, or from a file.

    Raises:
        ClassifierError: timm is not installed, the model is unknown, or there are no weights.
    """
    timm = _timm()
    if timm is None:
        raise ClassifierError(f"classifier {spec.name}: {_INSTALL}")
    plan = _plan(timm, spec, base)
    net = _fill(timm, spec, plan)
    victim = from_module(
        net,
        input_shape=plan.input_shape,
        name=spec.name,
        labels=plan.labels,
        output=spec.output or "logits",
        link=spec.link,
        mean=plan.mean,
        std=plan.std,
        resize=plan.resize,
        preprocessing=in_words(plan.resize, plan.input_shape, plan.mean, plan.std),
        source=None if plan.file is None else (plan.file, sha256_file(plan.file)),
        keep=True,
        task=spec.task,
    )
    return by_weights(victim)


def inspect_timm(spec: ClassifierSpec, base: Path) -> Inspection:
    """Shape and classes of the configuration, and whether the weights are in a cache."""
    spec.allow("a timm model", _KEYS)
    timm = _timm()
    if timm is None:
        labels = spec.read_labels(base)
        n_classes = None if labels is None else len(labels)
        return Inspection(spec.name, spec.input_shape, n_classes, False, _INSTALL)
    plan = _plan(timm, spec, base)
    if plan.file is not None:
        ready = plan.file.is_file()
        missing = f"weights: {plan.file}: no such file"
    else:
        ready = _cached(plan.config) is not None
        missing = _how_to_get(plan)
    return Inspection(spec.name, plan.input_shape, plan.n_classes, ready, "" if ready else missing)


def _timm() -> ModuleType | None:
    try:
        import timm
    except ImportError:
        return None
    module: ModuleType = timm
    return module


def _plan(timm: ModuleType, spec: ClassifierSpec, base: Path) -> _Plan:
    spec.allow("a timm model", _KEYS)
    model = spec.name.removeprefix(PREFIX)
    if not timm.is_model(model):
        near = timm.list_models(f"*{model.partition('.')[0][:5]}*")[:8]
        raise ClassifierError(
            f"classifier {spec.name}: timm has no model {model!r}"
            + (f"; near: {', '.join(near)}" if near else "")
        )
    config = timm.get_pretrained_cfg(model, allow_unregistered=False)
    if config is None:
        raise ClassifierError(f"classifier {spec.name}: timm has no weights of that name")
    channels = config.input_size[0]
    if spec.input_shape is not None and spec.input_shape[0] != channels:
        raise ClassifierError(
            f"classifier {spec.name}: input_shape: takes {channels} channels,"
            f" not {spec.input_shape[0]}"
        )
    data = _data_config(timm, config, spec)
    shape: Shape = data["input_size"]
    labels = spec.read_labels(base)
    n_classes = config.num_classes if labels is None else len(labels)
    if labels is None:
        labels = _labels(timm, n_classes)
    n_outputs = n_classes
    if spec.prototypes is not None:
        n_classes, n_outputs, labels = 0, 0, None  # timm leaves the last layer out then
    elif spec.task == "binary":
        n_classes, n_outputs = 2, 1
    elif n_classes == 1:
        raise ClassifierError(f"classifier {spec.name}: gives one value per picture; {ONE_VALUE}")
    elif n_classes < 1:
        raise ClassifierError(
            f"classifier {spec.name}: has no classes, it only gives features; give prototypes"
        )
    file = None if spec.weights is None else resolve(spec.weights, base)
    return _Plan(
        model=model,
        config=config,
        file=file,
        input_shape=shape,
        resize=_resize(data, shape, spec.name),
        mean=data["mean"],
        std=data["std"],
        labels=labels,
        n_classes=n_classes,
        n_outputs=n_outputs,
    )


def _labels(timm: ModuleType, n_classes: int) -> tuple[str, ...] | None:
    """The names that timm knows for the parts of ImageNet, which it tells apart by their number."""
    if n_classes == 1000:
        return shipped_labels("imagenet")
    subset = timm.data.infer_imagenet_subset({"num_classes": n_classes})
    return None if subset is None else tuple(timm.data.ImageNetInfo(subset).label_descriptions())


def _data_config(timm: ModuleType, config: Any, spec: ClassifierSpec) -> dict[str, Any]:
    """What timm itself makes of a configuration, with what the spec says against it."""
    said = {"input_size": spec.input_shape, "mean": spec.mean, "std": spec.std}
    data: dict[str, Any] = timm.data.resolve_data_config(said, pretrained_cfg=config.to_dict())
    return {**data, **{key: tuple(data[key]) for key in ("input_size", "mean", "std")}}


def _resize(data: Mapping[str, Any], shape: Shape, name: str) -> Resize:
    """timm's preparation of pictures for evaluation (`timm.data.create_transform`).

    Raises:
        ClassifierError: a filter that Pillow does not have.
    """
    if data["interpolation"] not in get_args(Interpolation):
        raise ClassifierError(
            f"classifier {name}: its interpolation {data['interpolation']!r} is none of"
            f" {', '.join(get_args(Interpolation))}; load the net in a file of your own"
        )
    high, wide = (math.floor(side / data["crop_pct"]) for side in shape[1:])
    return Resize(
        min(high, wide),
        data["interpolation"],
        _FITS.get(data["crop_mode"], "crop"),
        None if high == wide else (high, wide),
        tuple(round(255 * level) for level in data["mean"])
        if data["crop_mode"] == "border"
        else None,
    )


def _fill(timm: ModuleType, spec: ClassifierSpec, plan: _Plan) -> nn.Module:
    if plan.file is not None:
        from evofool.classifiers.nets.checkpoints import (
            check_outputs,
            load_strictly,
            read_state_dict,
        )

        state = read_state_dict(plan.file, spec.name)
        net: nn.Module = timm.create_model(
            plan.model, pretrained=False, num_classes=plan.n_outputs, **_size(spec, plan.config)
        )
        if plan.n_outputs == 0:
            heads = tuple(f"{head}." for head in _heads(plan.config))
            state = {key: value for key, value in state.items() if not key.startswith(heads)}
        where = f"classifier {spec.name}: weights: {plan.file}"
        check_outputs(net, state, plan.n_outputs, where)
        load_strictly(net, state, spec.name, str(plan.file))
        return net
    cached = _cached(plan.config)
    options = _size(spec, plan.config) | ({} if plan.n_outputs else {"num_classes": 0})
    if cached is not None:  # asks no server for a newer one
        options["pretrained_cfg_overlay"] = {"file": str(cached)}
    elif plan.config.hf_hub_id and not hub_resolves():
        raise ClassifierError(f"classifier {spec.name}: {_how_to_get(plan)} (no network)")
    try:
        made: nn.Module = timm.create_model(plan.model, pretrained=True, **options)
    except Exception as error:  # the hub's errors have several unrelated bases
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ClassifierError(
            f"classifier {spec.name}: {_how_to_get(plan)} (tried to get it: {line})"
        ) from error
    return made


def _heads(config: Any) -> tuple[str, ...]:
    """Names of the last layers, which give the classes."""
    named = config.classifier or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _size(spec: ClassifierSpec, config: Any) -> dict[str, object]:
    """The argument for another input size, which transformers need and convolutions do not."""
    if spec.input_shape is None or spec.input_shape == tuple(config.input_size):
        return {}
    by_name = spec.name.removeprefix(PREFIX).startswith(("vit", "deit"))
    if not (config.fixed_input_size or by_name):
        return {}
    return {"img_size": spec.input_shape[1:]}


def _cached(config: Any) -> Path | None:
    """The weights of `config` in the hub's or torch's cache, if they are there."""
    if config.hf_hub_id:
        try:
            from huggingface_hub import try_to_load_from_cache
        except ImportError:
            return None
        repository, _, revision = str(config.hf_hub_id).partition("@")
        own = (config.hf_hub_filename,) if config.hf_hub_filename else ()
        for name in own or ("model.safetensors", "pytorch_model.bin"):
            file = try_to_load_from_cache(repository, name, revision=revision or None)
            if isinstance(file, str):
                return Path(file)
    elif config.url:
        from torch import hub

        file = Path(hub.get_dir()) / "checkpoints" / str(config.url).rpartition("/")[2]
        if file.is_file():
            return file
    return None


def _how_to_get(plan: _Plan) -> str:
    origin = plan.config.hf_hub_id or plan.config.url
    if not origin:
        return f"timm has no weights for {plan.model}; give your own file as weights: FILE"
    return (
        f"the weights of {plan.model} ({origin}) are not on this machine; load them once with a"
        " network, or give your own file as weights: FILE.safetensors"
    )
