"""Defended victims: a net with something in front of it or behind it, a Classifier like any other.

A file ``victim.yaml`` describes one, and is a name that every config and command takes::

    base: {name: mnist-lenet}
    defense: {name: jpeg, quality: 50}
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, field_validator

from evofool.classifiers import Classifier, load_classifier
from evofool.classifiers.files import sha256_file
from evofool.classifiers.load import Source, inspect_classifier
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.config import ClassifierConfig, Model, load_model
from evofool.errors import ClassifierError, UsageError
from evofool.files import is_file

REJECTED = "rejected"
"""Label of the class that means "no answer"."""


class BitDepthConfig(Model):
    """Fewer levels (`transforms.BitDepth`)."""

    name: Literal["bit-depth"]
    bits: Annotated[int, Field(ge=1, le=7)] = 3


class MedianConfig(Model):
    """A median blur (`transforms.MedianBlur`)."""

    name: Literal["median"]
    size: Literal[3, 5] = 3


class JpegConfig(Model):
    """JPEG and back (`transforms.Jpeg`)."""

    name: Literal["jpeg"]
    quality: Annotated[int, Field(ge=1, le=100)] = 75


class MaxSoftmaxConfig(Model):
    """Rejects where the largest confidence is small (`detectors.MaxSoftmax`).

    Attributes:
        threshold: of its log-odds.
    """

    name: Literal["max-softmax"]
    threshold: float


class EnergyConfig(Model):
    """Rejects where the energy is high (`detectors.Energy`).

    Attributes:
        threshold: of the negative energy.
        temperature: T.
    """

    name: Literal["energy"]
    threshold: float
    temperature: Annotated[float, Field(gt=0)] = 1.0


class DenoiserConfig(Model):
    """A denoiser that was trained for this base (`denoiser.denoised`).

    Attributes:
        weights: a safetensors file with its card beside it; from the folder of this file.
    """

    name: Literal["denoiser"]
    weights: Annotated[str, Field(pattern=r"\.safetensors$")]


DefenseConfig: TypeAlias = Annotated[
    BitDepthConfig | MedianConfig | JpegConfig | MaxSoftmaxConfig | EnergyConfig | DenoiserConfig,
    Field(discriminator="name"),
]


class VictimConfig(Model):
    """The content of a ``victim.yaml``.

    Attributes:
        base: the net.
        defense: what is put around it; None where the defense is in its weights.
    """

    kind: Literal["victim"] = "victim"
    base: ClassifierConfig
    defense: DefenseConfig | None = None

    @field_validator("base", mode="before")
    @classmethod
    def _shorthand(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


def defend(
    base: Classifier, defense: DefenseConfig | None, folder: Path | None = None
) -> Classifier:
    """`base` with a defense around it.

    Args:
        base: the net.
        defense: None gives the net itself.
        folder: that a relative path starts from; by default the working directory.

    Raises:
        UsageError: a black box, ten crops, a detector on outputs without logits, a denoiser that
            cannot be read or was trained for another net.
    """
    if defense is None:
        return base
    if base.module is None:
        raise UsageError(
            f"defense {defense.name}: {base.name} is a black box; a defense goes around a net:"
            " name a bundled, torchvision or timm classifier, or a .py file that returns a module"
        )
    if base.crops > 1:
        raise UsageError(f"defense {defense.name}: {base.name} averages crops; set crops: 1")
    if isinstance(defense, DenoiserConfig):
        from evofool.defenses.denoiser import denoised

        module, sha256 = denoised(base, _beside(defense.weights, folder))
        return _around(base, {"name": defense.name, "sha256": sha256}, module=module)
    # here: whoever only asks what victims there are must not wait for torch
    from evofool.defenses.detectors import DETECTORS, Rejecting
    from evofool.defenses.transforms import TRANSFORMS, Transformed

    options = {k: v for k, v in defense.model_dump().items() if k not in ("name", "threshold")}
    said = defense.model_dump()
    if defense.name in TRANSFORMS:
        front = Transformed(base.module, TRANSFORMS[defense.name](**options))
        return _around(base, said, module=front)
    if base.output not in ("logits", "log_probs") or base.link != "softmax":
        raise UsageError(
            f"defense {defense.name}: needs softmax logits, {base.name} gives {base.output}"
            f" with link {base.link}"
        )
    if base.reject is not None:
        raise UsageError(f"defense {defense.name}: {base.name} has a reject option already")
    assert isinstance(defense, MaxSoftmaxConfig | EnergyConfig)
    module = Rejecting(base.module, DETECTORS[defense.name](**options), defense.threshold)
    return _around(
        base,
        said,
        module=module,
        output="logits",
        labels=(*base.labels, REJECTED),
        reject=base.n_classes,
    )


def _around(base: Classifier, said: Mapping[str, object], **changes: Any) -> Classifier:
    """`base` with a defense that `said` describes: another name, other digests, and `changes`."""
    text = json.dumps(said, sort_keys=True)

    def digest(of: str) -> str:
        return hashlib.sha256(f"{of} {text}".encode()).hexdigest()

    return dataclasses.replace(
        base,
        name=f"{base.name}+{said['name']}",
        title=f"{base.headline}+{said['name']}",
        digest=digest(base.digest),
        old_digest=None if base.old_digest is None else digest(base.old_digest),
        **changes,
    )


def _beside(path: str, folder: Path | None) -> Path:
    return resolve(path, Path.cwd() if folder is None else folder)


def adapted(victim: Classifier) -> Classifier | None:
    """`victim` with the gradients that an attack adapted to its defense takes; None if it has them.

    The outputs are the same. A transform gets the gradient of its stand-in; a detector is part of
    the outputs anyway, and gradients pass through a denoiser as they are.
    """
    from evofool.defenses.transforms import Transformed

    module = victim.module
    if isinstance(module, Transformed) and not module.adaptive:
        adaptive = Transformed(module.net, module.transform, adaptive=True)
        return dataclasses.replace(victim, module=adaptive)
    return None


def load_victim(path: Path) -> Classifier:
    """The victim that a ``victim.yaml`` describes.

    Raises:
        ConfigError: the file is wrong.
        ClassifierError, UsageError: its net cannot be had, or not be defended so.
    """
    loaded = load_model(path, VictimConfig)
    base = load_classifier(_spec(loaded.config), base=path.parent)
    return defend(base, loaded.config.defense, path.parent)


def _spec(config: VictimConfig) -> ClassifierSpec:
    spec = ClassifierSpec.model_validate(config.base.model_dump(exclude_unset=True))
    if _matches(spec.name):
        raise ClassifierError(f"base: {spec.name}: a defended victim cannot be defended again")
    return spec


def _matches(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _path(spec: ClassifierSpec, base: Path) -> Path:
    spec.allow("a defended victim", ())
    return resolve(spec.name, base)


def _load(spec: ClassifierSpec, base: Path) -> Classifier:
    path = _path(spec, base)
    victim = load_victim(path)
    title, sha256 = victim.headline, sha256_file(path)
    return dataclasses.replace(victim, name=spec.name, title=title, source=(path, sha256))


def _inspect(spec: ClassifierSpec, base: Path) -> Inspection:
    path = _path(spec, base)
    if not is_file(path):
        return Inspection(spec.name, None, None, False, f"{path}: no such file")
    config = load_model(path, VictimConfig).config
    found = inspect_classifier(_spec(config), base=path.parent)
    n = found.n_classes
    if n is not None and isinstance(config.defense, MaxSoftmaxConfig | EnergyConfig):
        n += 1
    if isinstance(config.defense, DenoiserConfig):
        weights = _beside(config.defense.weights, path.parent)
        if not is_file(weights):
            missing = f"{weights}: no such file"
            found = dataclasses.replace(found, ready=False, missing=missing)
    return dataclasses.replace(found, name=spec.name, n_classes=n)


SOURCE = Source(
    "path/to/victim.yaml",
    "a defended victim: base: and defense:",
    _matches,
    _load,
    _inspect,
)
"""Found by `evofool.classifiers.load` through the entry point group ``evofool.classifiers``."""
