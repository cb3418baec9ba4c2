"""Defended victims: a net with something in front of it or behind it, a Classifier like any other.

A file ``victim.yaml`` describes one, and is a name that every config and command takes::

    base: {name: mnist-lenet}
    defense: {name: jpeg, quality: 50}
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import (
    Field,
    SerializeAsAny,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from evofool.classifiers import Classifier, load_classifier
from evofool.classifiers.identity.code import code_digest
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.load import Source, inspect_classifier
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.config import ClassifierConfig, Model, load_model
from evofool.config.options import WithOptions
from evofool.defenses.base import Defense
from evofool.defenses.registry import is_foreign, make
from evofool.errors import ClassifierError, EvofoolError, UsageError
from evofool.files import is_file

T = TypeVar("T")

REJECTED = "rejected"
"""Label of the class that means "no answer"."""


class BitDepthConfig(Model):
    """Fewer levels (`transforms.BitDepth`)."""

    name: Literal["bit-depth"]
    bits: Annotated[int, Field(ge=1, le=7)] = 3

    rejects: ClassVar[bool] = False


class MedianConfig(Model):
    """A median blur (`transforms.MedianBlur`)."""

    name: Literal["median"]
    size: Literal[3, 5] = 3

    rejects: ClassVar[bool] = False


class JpegConfig(Model):
    """JPEG and back (`transforms.Jpeg`)."""

    name: Literal["jpeg"]
    quality: Annotated[int, Field(ge=1, le=100)] = 75

    rejects: ClassVar[bool] = False


class MaxSoftmaxConfig(Model):
    """Rejects where the largest confidence is small (`detectors.MaxSoftmax`).

    Attributes:
        threshold: of its log-odds.
    """

    name: Literal["max-softmax"]
    threshold: float

    rejects: ClassVar[bool] = True


class EnergyConfig(Model):
    """Rejects where the energy is high (`detectors.Energy`).

    Attributes:
        threshold: of the negative energy.
        temperature: T.
    """

    name: Literal["energy"]
    threshold: float
    temperature: Annotated[float, Field(gt=0)] = 1.0

    rejects: ClassVar[bool] = True


class DenoiserConfig(Model):
    """A denoiser that was trained for this base (`denoiser.Denoiser`).

    Attributes:
        weights: a safetensors file with its card beside it; from the folder of this file.
    """

    name: Literal["denoiser"]
    weights: Annotated[str, Field(pattern=r"\.safetensors$")]

    rejects: ClassVar[bool] = False


class ForeignDefense(WithOptions):
    """A defense of a file or an installed package; its options are written beside its name.

    Attributes:
        name: ``path/to/file.py:Class``, or what a package offers.
        options: checked by the defense itself.
    """

    name: Annotated[str, Field(min_length=1, max_length=4096)]


def foreign(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """`value` as a `ForeignDefense` if its name is that of one, else as `handler` takes it."""
    if isinstance(value, ForeignDefense):
        return value
    name = value.get("name") if isinstance(value, Mapping) else None
    if isinstance(name, str) and is_foreign(name):
        return ForeignDefense.model_validate(value)
    return handler(value)


DefenseConfig: TypeAlias = Annotated[
    BitDepthConfig | MedianConfig | JpegConfig | MaxSoftmaxConfig | EnergyConfig | DenoiserConfig,
    Field(discriminator="name"),
    WrapValidator(foreign),
    SerializeAsAny(),
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
            cannot be read or was trained for another net; a defense from outside that fails.
    """
    return base if defense is None else put_around(base, *made(defense, folder))


def made(config: Model, folder: Path | None = None) -> tuple[Defense, str | None]:
    """The defense of a config, and a digest of its code where that is a file of the user's.

    Args:
        config: name and options.
        folder: that relative paths start from; by default the working directory.

    Raises:
        DefenseError: it fails to load, or an option is wrong.
    """
    options = config.model_dump(exclude_none=True)
    name = str(options.pop("name"))
    return make(name, options, Path.cwd() if folder is None else folder), code_digest(name, folder)


def check_defense(base: Classifier, defense: Defense) -> None:
    """Refuse a net that a defense does not go around.

    Raises:
        UsageError: what is wrong with it.
    """
    if base.ensemble is not None:
        raise UsageError(
            f"defense {defense.name}: {base.name} is an ensemble, but a defense goes around one"
            " net: defend its members, and list the victim.yaml of each"
        )
    if base.transformed is not None:
        raise UsageError(
            f"defense {defense.name}: {base.name} has transforms, but a defense goes around the"
            " net: defend it without them, and give them to the victim.yaml of the defended net"
        )
    if base.multi_label and defense.rejects:
        raise UsageError(
            f"defense {defense.name}: rejects a picture by one more class that excludes all others,"
            f" and {base.name} may claim several (task: multi-label); use a defense in front of the"
            " net: jpeg, bit-depth or median"
        )
    if base.module is None:
        raise UsageError(
            f"defense {defense.name}: {base.name} is a black box, but a defense goes around a"
            " net: name a bundled, torchvision or timm classifier, or a .py file that returns a"
            " module"
        )
    if base.crops > 1:
        raise UsageError(f"defense {defense.name}: {base.name} averages crops; set crops: 1")
    if defense.rejects and base.reject is not None:
        raise UsageError(f"defense {defense.name}: {base.name} already has a reject option")
    _guarded(defense, lambda: defense.check(base))


def put_around(base: Classifier, defense: Defense, code: str | None = None) -> Classifier:
    """`base` with `defense` around it, under another name and other digests.

    Args:
        base: a white box.
        defense: with all that it learns.
        code: digest of the file that it comes from.

    Raises:
        UsageError: it does not go around this net, or fails.
    """
    from torch import nn

    check_defense(base, defense)
    module = _guarded(defense, lambda: defense.module(base))
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"defense {defense.name}: gives a {type(module).__name__}, not a torch.nn.Module"
        )
    text = json.dumps(identity_of(defense, code), sort_keys=True)

    def digest(of: str) -> str:
        return hashlib.sha256(f"{of} {text}".encode()).hexdigest()

    changes: dict[str, Any] = {}
    if defense.rejects:
        changes = {
            "output": "logits",
            "labels": (*base.labels, REJECTED),
            "reject": base.n_classes,
        }
    return dataclasses.replace(
        base,
        module=module,
        name=f"{base.name}+{defense.name}",
        title=f"{base.headline}+{defense.name}",
        digest=digest(base.digest),
        old_digest=None if base.old_digest is None else digest(base.old_digest),
        **changes,
    )


def identity_of(defense: Defense, code: str | None) -> dict[str, Any]:
    """What tells a defense from others: its options, and of a file of the user's the code."""
    return {**defense.identity(), **({} if code is None else {"code": code})}


def _guarded(defense: Defense, do: Callable[[], T]) -> T:
    try:
        return do()
    except EvofoolError:
        raise
    except Exception as error:  # a defense may be anyone's: whatever it raises is its fault
        raise UsageError(
            f"defense {defense.name}: fails ({type(error).__name__}: {error})"
        ) from error


def adapted(victim: Classifier) -> Classifier | None:
    """`victim` with the gradients that an attack adapted to its defense takes; None if it has them.

    The outputs are the same. A transform gets the gradient of its stand-in; a detector is part of
    the outputs anyway, and gradients pass through a denoiser as they are.
    """
    make_adapted = getattr(victim.module, "adapted", None)
    module = make_adapted() if callable(make_adapted) else None
    return None if module is None else dataclasses.replace(victim, module=module)


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
    inspection = inspect_classifier(_spec(config), base=path.parent)
    n = inspection.n_classes
    if config.defense is not None:
        n = classes_behind(config.defense, n)
        for file in files_of(config.defense, path.parent):
            if not is_file(file):
                missing = f"{file}: no such file"
                inspection = dataclasses.replace(inspection, ready=False, missing=missing)
    return dataclasses.replace(inspection, name=spec.name, n_classes=n)


def classes_behind(defense: Model, n: int | None) -> int | None:
    """Classes of a net of `n` classes behind a defense; None where only its code tells."""
    rejects = getattr(defense, "rejects", None)
    return n if n is None or rejects is False else None if rejects is None else n + 1


def files_of(defense: Model, folder: Path) -> list[Path]:
    """The files that a defense of a config names."""
    named = defense.model_dump()
    texts = [named["weights"]] if isinstance(named.get("weights"), str) else []
    name = str(named["name"])
    texts += [name.rpartition(":")[0]] if ".py:" in name else []
    return [resolve(text, folder) for text in texts]


SOURCE = Source(
    "path/to/victim.yaml",
    "a defended victim: base: and defense:",
    _matches,
    _load,
    _inspect,
)
"""Found by `evofool.classifiers.load` through the entry point group ``evofool.classifiers``."""
