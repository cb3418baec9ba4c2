"""What a victim is: a name, labels, an input shape, and what turns images into outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers.checks.locks import CallLock
from evofool.classifiers.sources.onnx_feed import OnnxFeed
from evofool.config.transforms import TransformsConfig
from evofool.images import Shape, UInt8Images
from evofool.randomness import Stream

if TYPE_CHECKING:  # torch takes seconds to import; a black-box victim does without it
    from torch import nn

Output: TypeAlias = Literal["logits", "log_probs", "probs", "topk", "label"]
Link: TypeAlias = Literal["softmax", "sigmoid", "identity"]
Interpolation: TypeAlias = Literal["bicubic", "bilinear", "nearest", "lanczos", "hamming", "box"]
Rule: TypeAlias = Literal["least", "mean"]
"""What an ensemble's log-odds of a class are: the least or the mean of its members'."""
Predict: TypeAlias = Callable[[UInt8Images], NDArray[np.generic]]
"""uint8 N x C x H x W to N x classes of what `output` names, or (N,) integers for ``label``.

With ``topk`` the matrix holds NaN for classes that the service left out."""

DIGEST_VERSION = 2
"""Rule 1, of manifests that name none, saw parameters, buffers and the user's one file only."""


@dataclass(frozen=True, repr=False)
class Resize:
    """How a natural picture of any size becomes an input: it is resized, then cut at the centre.

    A picture of exactly the input size is taken as it is.

    Attributes:
        shorter_side: pixels of the frame's shorter side, before the cut.
        interpolation: the filter, one of Pillow's.
        fit: ``crop`` keeps the ratio of the sides and covers the frame; ``squash`` makes the sides
            those of the frame; ``pad`` keeps the ratio inside the frame and fills the border.
        frame: height and width of the frame; by default a square, and with ``crop`` of an input
            that is not square whatever gives the shorter side.
        fill: colour of the border, a level of 0 to 255 for each channel; by default black.
        cut: where the cut begins if the centre lies between two pixels: at the ``even`` one, as in
            torchvision, or at the ``lower`` one, as in transformers.
    """

    shorter_side: int
    interpolation: Interpolation = "bicubic"
    fit: Literal["crop", "squash", "pad"] = "crop"
    frame: tuple[int, int] | None = None
    fill: tuple[int, ...] | None = None
    cut: Literal["even", "lower"] = "even"

    def __repr__(self) -> str:
        """Without defaults beyond the first two: addresses of stored results hold this text."""
        shown: dict[str, object] = {
            "shorter_side": self.shorter_side,
            "interpolation": self.interpolation,
        }
        others = {name: getattr(self, name) for name in ("fit", "frame", "fill", "cut")}
        plain = (None, "crop", "even")
        shown |= {key: value for key, value in others.items() if value not in plain}
        return f"Resize({', '.join(f'{key}={value!r}' for key, value in shown.items())})"


@dataclass(frozen=True)
class Ensemble:
    """Several nets that a picture has to fool at once (`evofool.classifiers.ensembles`).

    Attributes:
        members: white or black boxes, none of them an ensemble or with crops.
        rule: how the members' log-odds of a class become one figure.
        classes: for each member, its own class for each class of the ensemble.
        note: which classes are left out because not every member has them; "" if none are.
    """

    members: tuple[Classifier, ...]
    rule: Rule
    classes: tuple[tuple[int, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Onto:
    """Natural pictures that pictures are stuck onto, uint8 of the net's input shape.

    Attributes:
        scored: k x C x H x W, one for each transform.
        held_back: T x C x H x W, one for each transform that is held back.
        digest: hex sha256 of all pictures that both were drawn from.
    """

    scored: UInt8Images
    held_back: UInt8Images
    digest: str

    def under(self, transforms: range, stream: Stream) -> UInt8Images:
        """Those of some transforms, len(transforms) x C x H x W."""
        held = stream == Stream.HELD_BACK
        pictures = self.held_back if held else self.scored
        return pictures[np.array(transforms, np.int64) % len(pictures)]


@dataclass(frozen=True)
class Transformed:
    """A net that sees every picture through transforms (`evofool.classifiers.transformed`).

    Attributes:
        net: what sees them: a net or an ensemble of nets, without crops.
        config: the transforms, and how the answers to them become one.
        onto: pictures that pictures are stuck onto, if `config` says so.
    """

    net: Classifier
    config: TransformsConfig
    onto: Onto | None = None


@dataclass(frozen=True)
class Classifier:
    """A classifier that can be attacked: a victim.

    Exactly one of `module`, `onnx` and `predict` is set, except for an `ensemble` and for one
    behind transforms (`transformed`).

    Attributes:
        name: as in a config (``mnist-lenet``, ``torchvision:alexnet``, ``path.py:function``).
        labels: one name a class, in the order of the outputs.
        input_shape: channels, height and width of the image that is scored.
        digest: hex sha256 of what the victim is, by rule `DIGEST_VERSION`: the weights of a named
            architecture; all that a module of the user's holds, with its code; the files of a
            predict function, with the arrays it holds; the file of a graph.
        output: what the net gives.
        link: how outputs become confidences: softmax over classes, a sigmoid a class, or as they
            are.
        module: white box: float32 N x C x H x W on [0, 1] to N x classes; normalisation is inside.
        onnx: an ONNX file with the same contract as `module`, without gradients.
        feed: how `onnx` takes its images.
        predict: black box: uint8 images to outputs.
        crops: 1, or 10 (four corners and the centre, mirrored) of `crop_size`, whose softmax
            confidences are averaged; `input_shape` is then that of the image before cropping.
        resize: for natural pictures.
        preprocessing: one line for people.
        source: path and sha256 of a file from outside that defines the victim, with the files
            beside it that it imports, else None.
        reject: the class that means "no answer" (of a detector), else None. A picture in it is
            neither right nor fooling.
        old_digest: by rule 1, for runs that were made under it; None where it is the same.
        title: what pages call the victim; by default its name without folders.
        opaque: parts of it that the digest cannot cover, each with its type, for people.
        probed: pictures that a predict function has been sent by the probe; 0 for a net on this
            machine, which nobody pays by the picture.
        lock: held during calls of a victim that one thread at a time may call.
        ensemble: the nets that every picture is shown to, of a victim that is several; its outputs
            are combined log-odds, and `module` is set where gradients of all members can be had.
        transformed: the net behind transforms of every picture, of a victim that has any; its
            outputs are combined log-odds (of a single transform the net's own), and `module` is
            set where the net's is.
        multi_label: whether classes do not exclude each other: each whose confidence is above a
            half is claimed (`evofool.classifiers.tasks`).
    """

    name: str
    labels: tuple[str, ...]
    input_shape: Shape
    digest: str
    output: Output = "logits"
    link: Link = "softmax"
    module: nn.Module | None = field(default=None, repr=False)
    onnx: Path | None = None
    predict: Predict | None = field(default=None, repr=False)
    crops: int = 1
    crop_size: int | None = None
    resize: Resize | None = None
    preprocessing: str = ""
    source: tuple[Path, str] | None = None
    reject: int | None = None
    old_digest: str | None = None
    title: str = ""
    opaque: tuple[str, ...] = ()
    feed: OnnxFeed = field(default_factory=OnnxFeed)
    probed: int = 0
    lock: CallLock = field(default_factory=CallLock, repr=False, compare=False)
    ensemble: Ensemble | None = None
    transformed: Transformed | None = None
    multi_label: bool = False

    @property
    def headline(self) -> str:
        """Its title, or its name without folders: ``victim.py:make``."""
        return self.title or short_name(self.name)

    def is_known_as(self, digest: str, version: int | None = None) -> bool:
        """Whether `digest` is that of this victim.

        Args:
            digest: hex sha256.
            version: of the rule by which it was made; None if that was not recorded.
        """
        old = self.digest if self.old_digest is None else self.old_digest
        if version is None:
            return digest in (self.digest, old)
        return digest == (old if version < DIGEST_VERSION else self.digest)

    @property
    def metered(self) -> bool:
        """Whether it is a service: pictures leave this program one by one, and may be paid for."""
        if self.ensemble is not None:
            return any(member.metered for member in self.ensemble.members)
        return self.predict is not None

    @property
    def is_service(self) -> bool:
        """Whether `predict` asks a service over a network (`sources.http`), by itself."""
        # by its name: whoever has no service needs no client either
        return type(self.predict).__module__ == "evofool.classifiers.sources.http.service"

    @property
    def passes(self) -> int:
        """Images that go forward for one picture: crops, members of an ensemble, transforms."""
        if self.transformed is not None:
            return self.transformed.config.k * self.transformed.net.passes
        return self.crops if self.ensemble is None else len(self.ensemble.members)

    @property
    def rows(self) -> int:
        """Rows that a call of the net has for one picture: crops or transforms."""
        return self.crops if self.transformed is None else self.transformed.config.k

    @property
    def n_classes(self) -> int:
        """Number of classes (cells of a champion archive over all of them)."""
        return len(self.labels)

    @property
    def white_box(self) -> bool:
        """Whether gradients can be had."""
        return self.module is not None


def short_name(name: str) -> str:
    """`name` as a page shows it: of a file its last part, of a ``.yaml`` its folder too.

    ``/home/me/nets/victim.py:make`` is ``victim.py:make``, ``run/victims/jpeg.yaml`` is
    ``victims/jpeg.yaml``, and ``torchvision:alexnet`` remains as it is.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part]
    return "/".join(parts[-2 if name.endswith((".yaml", ".yml")) else -1 :])
