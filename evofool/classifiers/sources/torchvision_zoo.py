"""torchvision's classification models: ``torchvision:NAME`` with a weights enum or a file."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from evofool.classifiers.base import Classifier, Interpolation, Resize
from evofool.classifiers.build import by_weights, from_module
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.labels import numbered_labels
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.errors import ClassifierError
from evofool.files import reason
from evofool.images import Shape

if TYPE_CHECKING:
    from torch import nn

PREFIX = "torchvision:"
_KEYS = ("weights", "input_shape", "labels", "output", "link", "mean", "std", "task")


@dataclass(frozen=True)
class _Plan:
    """A spec after every check that needs neither weights nor a network."""

    model: str
    enum: Any  # the weights enum entry: what is loaded, or what a file's preprocessing is taken of
    file: Path | None
    input_shape: Shape
    resize: Resize
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: tuple[str, ...]

    @property
    def preprocessing(self) -> str:
        mean, std = (", ".join(f"{value:.4g}" for value in part) for part in (self.mean, self.std))
        return (
            f"shorter side {self.resize.shorter_side} {self.resize.interpolation}, centre crop"
            f" {self.input_shape[2]}, (x - ({mean})) / ({std})"
        )


def load_torchvision(spec: ClassifierSpec, base: Path) -> Classifier:
    """A torchvision model; weights come from its cache, else its download, or from a file.

    Raises:
        ClassifierError: unknown model or weights, or weights that cannot be got or do not fit.
    """
    plan = _plan(spec, base)
    net = _fill(spec, plan)
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
        preprocessing=plan.preprocessing,
        source=None if plan.file is None else (plan.file, sha256_file(plan.file)),
        keep=True,
        task=spec.task,
    )
    return by_weights(victim)


def inspect_torchvision(spec: ClassifierSpec, base: Path) -> Inspection:
    """Shape, classes, and whether the weights are in torch hub's cache (or the file exists)."""
    plan = _plan(spec, base)
    if plan.file is not None:
        ready = plan.file.is_file()
        missing = f"weights: {plan.file}: no such file"
    else:
        ready = _cached(plan.enum).is_file()
        missing = _how_to_get(plan.enum)
    return Inspection(
        spec.name, plan.input_shape, len(plan.labels), ready, "" if ready else missing
    )


def _plan(spec: ClassifierSpec, base: Path) -> _Plan:
    from torchvision import models

    spec.allow("a torchvision model", _KEYS)
    model = spec.name.removeprefix(PREFIX)
    known = models.list_models(module=models)
    if model not in known:
        close = [name for name in known if name.startswith(model[:4])] or known
        raise ClassifierError(
            f"classifier {spec.name}: torchvision has no classification model {model!r};"
            f" near: {', '.join(close[:8])}"
        )
    enum, file = _weights(spec, models.get_model_weights(model), base)
    preset = enum.transforms()
    (crop,), (resized,) = preset.crop_size, preset.resize_size
    shape: Shape = spec.input_shape or (3, crop, crop)
    if shape[0] != 3:
        raise ClassifierError(f"classifier {spec.name}: input_shape: takes 3 channels, not 1")
    usual = numbered_labels(2) if spec.task == "binary" else tuple(enum.meta["categories"])
    return _Plan(
        model=model,
        enum=enum,
        file=file,
        input_shape=shape,
        resize=Resize(
            round(resized * min(shape[1:]) / crop), _interpolation(preset.interpolation.value)
        ),
        mean=spec.mean or tuple(preset.mean),
        std=spec.std or tuple(preset.std),
        labels=spec.read_labels(base) or usual,
    )


def _weights(spec: ClassifierSpec, enums: Any, base: Path) -> tuple[Any, Path | None]:
    if spec.weights is None:
        return enums.DEFAULT, None
    if spec.weights in enums.__members__:
        return enums[spec.weights], None
    if Path(spec.weights).suffix or "/" in spec.weights:
        return enums.DEFAULT, resolve(spec.weights, base)
    raise ClassifierError(
        f"classifier {spec.name}: weights: {spec.weights!r} is neither a file nor one of"
        f" {', '.join(enums.__members__)}"
    )


def _fill(spec: ClassifierSpec, plan: _Plan) -> nn.Module:
    from torchvision import models

    from evofool.classifiers.nets.checkpoints import (
        check_outputs,
        load_strictly,
        read_state_dict,
    )

    if plan.file is not None:
        state = read_state_dict(plan.file, spec.name)
        where = str(plan.file)
    else:
        state = _download(spec, plan.enum)
        where = str(_cached(plan.enum))
    n_outputs = len(plan.enum.meta["categories"])
    if plan.file is not None:
        n_outputs = 1 if spec.task == "binary" else len(plan.labels)
    options: dict[str, object] = {"num_classes": n_outputs}
    if plan.model in ("googlenet", "inception_v3"):
        # Their checkpoints carry auxiliary heads that only training uses, and expect inputs that
        # the net itself normalises a second time.
        options |= {"aux_logits": False, "init_weights": False, "transform_input": True}
        state = {key: value for key, value in state.items() if not key.startswith(("aux", "Aux"))}
    net: nn.Module = models.get_model(plan.model, weights=None, **options)
    state = _renamed(state, plan.model)
    check_outputs(net, state, n_outputs, f"classifier {spec.name}: weights: {where}")
    load_strictly(net, state, spec.name, where)
    return net


def _download(spec: ClassifierSpec, enum: Any) -> Any:
    try:
        return enum.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ClassifierError(
            f"classifier {spec.name}: {_cached(enum)} is refused, since it holds more than"
            " tensors and could run code when it is read; delete it"
        ) from error
    except Exception as error:  # of the network, or of a damaged file in the cache
        raise ClassifierError(
            f"classifier {spec.name}: {_how_to_get(enum)} (tried to get it: {reason(error)})"
        ) from error


def _how_to_get(enum: Any) -> str:
    cached = _cached(enum)
    return (
        f"{cached.name} is not on this machine; download {enum.url} into {cached.parent}, or"
        " give your own file as weights: FILE"
    )


def _cached(enum: Any) -> Path:
    from torch import hub

    return Path(hub.get_dir()) / "checkpoints" / str(enum.url).rpartition("/")[2]


def _renamed(state: Any, model: str) -> Any:
    """The older DenseNet checkpoints call the layer ``norm1`` ``norm.1``."""
    if not model.startswith("densenet"):
        return state
    return {re.sub(r"\.(norm|relu|conv)\.([12])\.", r".\1\2.", key): state[key] for key in state}


def _interpolation(name: str) -> Interpolation:
    return cast(Interpolation, name) if name in get_args(Interpolation) else "bilinear"
