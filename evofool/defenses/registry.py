"""The defenses that a config can name, for listings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Description:
    """A description of a defense for people.

    Attributes:
        name: in a config.
        kind: where it acts: before the net, behind it, or in its weights.
        about: one line.
        paper: where it comes from, or empty.
        parameters: with their defaults, None where there is none.
    """

    name: str
    kind: str
    about: str
    paper: str
    parameters: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


_BEFORE, _BEHIND = "before the net", "behind the net"
_ALL = (
    Description("none", "control", "no defense: the verdict must be green", "", {}),
    Description(
        "jpeg", _BEFORE, "pictures are compressed and unpacked", "Dziugaite et al., 2016",
        {"quality": 75},
    ),
    Description(
        "bit-depth", _BEFORE, "pictures keep 2^bits levels", "Xu et al., NDSS 2018", {"bits": 3}
    ),
    Description(
        "median", _BEFORE, "a median over size x size pixels", "Xu et al., NDSS 2018", {"size": 3}
    ),
    Description(
        "max-softmax", _BEHIND, "rejects where the largest confidence is small",
        "Hendrycks, Gimpel, ICLR 2017", {"threshold": None, "false_alarms": 0.05},
    ),
    Description(
        "energy", _BEHIND, "rejects where the free energy of the logits is high",
        "Liu et al., NeurIPS 2020", {"threshold": None, "false_alarms": 0.05, "temperature": 1.0},
    ),
    Description(
        "denoiser", _BEFORE, "a U-net takes the noise away, trained before the frozen net (HGD)",
        "Liao et al., CVPR 2018",
        {
            "weights": None, "loss": "logits", "width": 64, "levels": 5, "epochs": 20,
            "batch": 64, "lr": 0.01, "images": 10_000, "attacks": None, "sources": None,
            "device": "auto",
        },
    ),
    Description(
        "trained", "in the weights",
        "a net that evofool train made, or a training config that is run first (adversarial"
        " training with FGSM, R+FGSM, PGD or an ensemble: see configs/train)",
        "Goodfellow et al., ICLR 2015; Madry et al., Tramèr et al., ICLR 2018",
        {"weights": None, "train": None},
    ),
)  # fmt: skip


def names() -> tuple[str, ...]:
    """Every defense a config can name."""
    return tuple(each.name for each in _ALL)


def describe(name: str) -> Description:
    """A defense by name.

    Raises:
        KeyError: there is none of this name.
    """
    return {each.name: each for each in _ALL}[name]
