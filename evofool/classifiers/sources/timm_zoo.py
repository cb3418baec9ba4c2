"""timm's models: ``timm:NAME``, with the preprocessing of their pretrained configuration."""

from __future__ import annotations

import socket
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from evofool.classifiers.base import Classifier, Resize
from evofool.classifiers.build import by_weights, from_module
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.labels import shipped_labels
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.errors import ClassifierError
from evofool.images import Shape

if TYPE_CHECKING:
    from torch import nn

PREFIX = "timm:"
_KEYS = ("weights", "input_shape", "labels", "output", "link", "mean", "std")
_INSTALL = "timm is not installed: pip install 'evofool[timm]'"
_FILTERS: dict[str, Literal["bicubic", "bilinear", "nearest"]] = {
    "bicubic": "bicubic",
    "bilinear": "bilinear",
    "nearest": "nearest",
}


@dataclass(frozen=True)
class _Plan:
    model: str
    config: Any  # timm's PretrainedCfg
    file: Path | None
    input_shape: Shape
    resize: Resize
    labels: tuple[str, ...] | None
    n_classes: int


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
    mean = spec.mean or tuple(plan.config.mean)
    std = spec.std or tuple(plan.config.std)
    scale = ", ".join(f"{value:.4g}" for value in mean), ", ".join(f"{value:.4g}" for value in std)
    victim = from_module(
        net,
        input_shape=plan.input_shape,
        name=spec.name,
        labels=plan.labels,
        output=spec.output or "logits",
        link=spec.link,
        mean=mean,
        std=std,
        resize=plan.resize,
        preprocessing=(
            f"shorter side {plan.resize.shorter_side} {plan.resize.interpolation},"
            f" centre crop {plan.input_shape[2]}, (x - ({scale[0]})) / ({scale[1]})"
        ),
        source=None if plan.file is None else (plan.file, sha256_file(plan.file)),
        keep=True,
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
    shape: Shape = spec.input_shape or tuple(config.input_size)
    if shape[0] != config.input_size[0]:
        raise ClassifierError(
            f"classifier {spec.name}: input_shape: takes {config.input_size[0]} channels,"
            f" not {shape[0]}"
        )
    labels = spec.read_labels(base)
    n_classes = config.num_classes if labels is None else len(labels)
    if labels is None and n_classes == 1000:
        labels = shipped_labels("imagenet")
    if n_classes < 2:
        raise ClassifierError(f"classifier {spec.name}: has no classes, it only gives features")
    file = None if spec.weights is None else resolve(spec.weights, base)
    shorter = int(min(shape[1:]) / config.crop_pct)  # timm truncates
    return _Plan(
        model=model,
        config=config,
        file=file,
        input_shape=shape,
        resize=Resize(shorter, _FILTERS.get(config.interpolation, "bicubic")),
        labels=labels,
        n_classes=n_classes,
    )


def _fill(timm: ModuleType, spec: ClassifierSpec, plan: _Plan) -> nn.Module:
    if plan.file is not None:
        from evofool.classifiers.nets.checkpoints import load_strictly, read_state_dict

        state = read_state_dict(plan.file, spec.name)
        net: nn.Module = timm.create_model(
            plan.model, pretrained=False, num_classes=plan.n_classes, **_size(spec)
        )
        load_strictly(net, state, spec.name, str(plan.file))
        return net
    cached = _cached(plan.config)
    overlay = {}
    if cached is not None:
        overlay = {
            "pretrained_cfg_overlay": {"file": str(cached)}
        }  # asks no server for a newer one
    elif plan.config.hf_hub_id and not _hub_resolves():
        raise ClassifierError(f"classifier {spec.name}: {_how_to_get(plan)} (no network)")
    try:
        made: nn.Module = timm.create_model(plan.model, pretrained=True, **overlay, **_size(spec))
    except Exception as error:  # the hub's errors have several unrelated bases
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ClassifierError(
            f"classifier {spec.name}: {_how_to_get(plan)} (tried to get it: {line})"
        ) from error
    return made


def _size(spec: ClassifierSpec) -> dict[str, object]:
    """The argument for another input size, which transformers need and convolutions do not."""
    if spec.input_shape is None or not spec.name.removeprefix(PREFIX).startswith(("vit", "deit")):
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


def _hub_resolves() -> bool:
    """Whether the hub can be reached at all: without a network its client retries for a minute."""
    if urllib.request.getproxies():
        return True
    try:
        from huggingface_hub import constants

        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except (ImportError, OSError):
        return False
    return True


def _how_to_get(plan: _Plan) -> str:
    origin = plan.config.hf_hub_id or plan.config.url
    if not origin:
        return f"timm has no weights for {plan.model}; give a file of your own as weights: FILE"
    return (
        f"the weights of {plan.model} ({origin}) are not on this machine; load them once with a"
        " network, or give a file of your own as weights: FILE.safetensors"
    )
