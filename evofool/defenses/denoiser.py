"""A denoiser in front of a net, and its file: weights in safetensors, all else in a card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evofool.classifiers import Classifier
from evofool.classifiers.build import check_shape
from evofool.classifiers.identity.files import sha256_file
from evofool.defenses.base import Defense
from evofool.errors import ClassifierError, UsageError
from evofool.files import is_file, read_file
from evofool.images import Shape

if TYPE_CHECKING:
    from torch import nn

    from evofool.defenses.unet import UNet

KIND = "evofool denoiser"
SCHEMA = 1
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Denoiser(Defense):
    """A U-net takes the noise away before the frozen net is asked.

    Attributes:
        weights: a safetensors file with its card beside it.
    """

    name: ClassVar[str] = "denoiser"
    paper: ClassVar[str] = "Liao et al., CVPR 2018"
    files: ClassVar[tuple[str, ...]] = ("weights",)

    weights: str

    def module(self, base: Classifier) -> nn.Module:
        from evofool.defenses.unet import Denoised

        assert base.module is not None
        front, _ = load_denoiser(Path(self.weights), base)
        return Denoised(front, base.module)

    def identity(self) -> dict[str, Any]:
        """By its weights, wherever they lie."""
        return {"name": self.name, "sha256": read_card(Path(self.weights)).sha256}


@dataclass(frozen=True)
class Card:
    """What is needed of a denoiser's JSON file in order to use it.

    Attributes:
        input_shape: of the pictures it was trained on.
        width: see `unet.UNet`.
        levels: likewise.
        base: name of the net it was trained for.
        base_digest: of that net's weights.
        sha256: of the denoiser's weights file.
    """

    input_shape: Shape
    width: int
    levels: int
    base: str
    base_digest: str
    sha256: str


def read_card(path: Path) -> Card:
    """The card beside the weights file `path`.

    Raises:
        UsageError: no weights, no card, or a damaged one.
    """
    where = f"denoiser {path}"
    if not is_file(path):
        raise UsageError(f"{where}: no such file")
    beside = path.with_suffix(".json")
    if not is_file(beside):
        raise UsageError(
            f"{where}: has no card {beside.name} beside it, which a run of evofool defend writes"
            " with the weights; copy both"
        )
    try:
        content = json.loads(read_file(beside, _MAX_BYTES))
        if content["kind"] != KIND or content["schema"] != SCHEMA:
            raise ValueError(f"kind {content['kind']!r:.40}, schema {content['schema']!r:.40}")
        card = Card(
            input_shape=check_shape(content["input_shape"], str(beside)),
            width=_whole(content["width"]),
            levels=_whole(content["levels"]),
            base=str(content["base"]["name"]),
            base_digest=str(content["base"]["digest"]),
            sha256=str(content["sha256"]),
        )
    except (
        OSError, ValueError, KeyError, TypeError, RecursionError, ClassifierError
    ) as error:  # fmt: skip
        raise UsageError(f"{beside}: is not the card of a denoiser ({error!r:.200})") from error
    return card


def check_fits(card: Card, base: Classifier, path: Path) -> None:
    """Refuse a denoiser that was trained for another net.

    Raises:
        UsageError: another input shape, or other weights.
    """
    if card.input_shape != base.input_shape:
        raise UsageError(
            f"denoiser {path}: was trained on {_by(card.input_shape)} pictures, but {base.name}"
            f" takes {_by(base.input_shape)}; train one for it"
        )
    if not base.is_known_as(card.base_digest):
        raise UsageError(
            f"denoiser {path}: was trained for {card.base} (digest {card.base_digest[:12]}), not"
            f" for {base.name} ({base.digest[:12]}); train one for it, or name that base"
        )


def load_denoiser(path: Path, base: Classifier) -> tuple[UNet, str]:
    """The denoiser of a file, frozen and in evaluation mode, and the sha256 of its weights.

    Args:
        path: a safetensors file with its card beside it.
        base: the net that it is to protect.

    Raises:
        UsageError: missing, damaged, not the weights of its card, or trained for another net.
    """
    from evofool.classifiers.build import freeze
    from evofool.classifiers.nets.checkpoints import load_strictly, read_state_dict
    from evofool.defenses.unet import UNet

    if path.suffix != ".safetensors":
        raise UsageError(f"denoiser {path}: must end in .safetensors")
    card = read_card(path)
    check_fits(card, base, path)
    sha256 = sha256_file(path)
    if sha256 != card.sha256:
        raise UsageError(
            f"denoiser {path}: is not the file that {path.stem}.json describes (sha256"
            f" {sha256[:12]}, not {card.sha256[:12]}); copy both again or train it again"
        )
    try:
        state = read_state_dict(path, "denoiser")
        if _last_bias(state) != card.input_shape[0] or _first_maps(state) != card.width:
            # before anything is built: a card could ask for any amount of memory
            raise UsageError(
                f"denoiser {path}: its weights are not those that its card"
                " describes; copy both again or train it again"
            )
        net = UNet(card.input_shape, card.width, card.levels)
        load_strictly(net, state, "denoiser", str(path))
    except ClassifierError as error:
        raise UsageError(str(error).removeprefix("classifier ")) from error
    if not all(bool(value.isfinite().all()) for value in net.state_dict().values()):
        raise UsageError(f"denoiser {path}: holds weights that are not finite; train it again")
    freeze(net)
    return net, card.sha256


def write_denoiser(net: UNet, path: Path, facts: Mapping[str, Any]) -> str:
    """The weights as `path` and their card beside it, the card last; returns the sha256.

    Args:
        net: on any device.
        path: ends in ``.safetensors``; its folder is made if it is not there.
        facts: how it was made, with ``base``: part of the card.

    Raises:
        UsageError: the folder cannot be written.
    """
    from safetensors.torch import save

    from evofool.training.weights import write_atomically

    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    content = save(state)
    sha256 = hashlib.sha256(content).hexdigest()
    card = {
        "kind": KIND,
        "schema": SCHEMA,
        "input_shape": list(net.input_shape),
        "width": net.width,
        "levels": net.levels,
        **facts,
        "sha256": sha256,
    }
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        write_atomically(path.with_suffix(".json"), text.encode())
    except OSError as error:
        raise UsageError(f"{path.parent}: cannot be written ({error.strerror})") from error
    return sha256


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is not a whole number")
    return value


def _first_maps(state: Mapping[str, Any]) -> int:
    weight = state.get("down.0.0.weight")
    return -1 if weight is None or weight.ndim != 4 else len(weight)


def _last_bias(state: Mapping[str, Any]) -> int:
    bias = state.get("noise.bias")
    return -1 if bias is None or bias.ndim != 1 else len(bias)


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))
