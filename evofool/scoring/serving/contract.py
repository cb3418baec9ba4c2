"""The JSON contract of ``evofool serve``: what is asked, what is answered, and what is refused.

``POST /v1/predict`` takes ``{"images": [BASE64, ...]}``, each the bytes of a PNG or JPEG, and gives
``{"output": "probs", "labels": [...], "scores": [[...], ...]}``, one row of scores a picture in the
order of the labels; of a net that gives labels only ``{"output": "label", "labels": [...],
"predictions": [LABEL, ...]}``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from evofool.classifiers import Classifier, prepare
from evofool.errors import ImageError, UsageError
from evofool.images import UInt8Images, decode_picture
from evofool.scoring.ranking import Scores

VERSION = 1
"""Of the contract."""


class Refused(Exception):
    """A request that is not answered; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """What one request may hold.

    Attributes:
        body: most bytes.
        pictures: most pictures.
        pixels: most pixels of a picture; a larger one is refused before it is decoded.
        seconds: in which head and body of a request must have come.
        connections: open at the same time; more are answered 503.
    """

    body: int = 16 * 1024 * 1024
    pictures: int = 256
    pixels: int = 4096 * 4096
    seconds: float = 30.0
    connections: int = 256


@dataclass(frozen=True)
class Contract:
    """What a server says of its net.

    Attributes:
        classifier: that is served.
        output: what is answered: ``probs``, ``logits``, ``topk`` or ``label``.
        top: how many classes ``topk`` tells.
    """

    classifier: Classifier
    output: str = "probs"
    top: int = 5

    def __post_init__(self) -> None:
        c = self.classifier
        if c.output == "label" and self.output != "label":
            raise UsageError(f"{c.name} gives only labels; serve it with --output label")
        if self.output == "logits" and (c.output != "logits" or c.passes > 1):
            raise UsageError(f"{c.name} has no logits to serve; use --output probs")

    def metadata(self) -> dict[str, Any]:
        """What ``GET /v1/metadata`` answers; `digest` is another for everything that matters."""
        c = self.classifier
        value = {
            "contract": VERSION,
            "name": c.headline,
            "labels": list(c.labels),
            "input_shape": list(c.input_shape),
            "output": self.output,
            "link": c.link if self.output == "logits" else "identity",
            **({"top": self.top} if self.output == "topk" else {}),
        }
        told = json.dumps([value, c.digest], sort_keys=True).encode()
        return {**value, "digest": hashlib.sha256(told).hexdigest()}

    def answer(self, scores: Scores | NDArray[np.int64]) -> dict[str, Any]:
        """What ``POST /v1/predict`` answers.

        Args:
            scores: of N pictures, or int64 (N,) of a net that gives labels only.
        """
        labels = self.classifier.labels
        head = {"output": self.output, "labels": list(labels)}
        if not isinstance(scores, Scores):
            return {**head, "predictions": [labels[int(index)] for index in scores]}
        if self.output == "label":
            return {**head, "predictions": [labels[int(index)] for index in scores.labels]}
        if self.output == "logits":
            assert scores.outputs is not None
            return {**head, "scores": scores.outputs.astype(np.float64).tolist()}
        confidence = scores.confidence
        if self.output == "probs":
            return {**head, "scores": confidence.tolist()}
        order = np.argsort(-confidence, axis=1, kind="stable")[:, : self.top]
        return {
            "output": self.output,
            "top": [
                [{"label": labels[int(c)], "score": float(row[c])} for c in best]
                for row, best in zip(confidence, order, strict=True)
            ],
        }


def pictures_in(body: bytes, limits: Limits) -> list[bytes]:
    """The pictures of a request, not decoded yet.

    Raises:
        Refused: it is not what the contract says.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "the body is not JSON") from error
    images = value.get("images") if isinstance(value, dict) else None
    if not isinstance(images, list) or not images:
        raise Refused(400, 'the body must be {"images": [BASE64, ...]} with at least one picture')
    if len(images) > limits.pictures:
        raise Refused(413, f"{len(images)} pictures; at most {limits.pictures} per request")
    found = []
    for place, image in enumerate(images):
        if not isinstance(image, str):
            raise Refused(400, f"images[{place}] is not base64 text")
        try:
            found.append(base64.b64decode(image, validate=True))
        except (binascii.Error, ValueError) as error:
            raise Refused(400, f"images[{place}] is not base64 text") from error
    return found


def decoded(pictures: list[bytes], classifier: Classifier, limits: Limits) -> UInt8Images:
    """Pictures as inputs of the net, uint8 N x C x H x W.

    Raises:
        Refused: one is no picture, or larger than `Limits.pixels`.
    """
    images = []
    for place, data in enumerate(pictures):
        try:
            picture: PIL.Image.Image = decode_picture(
                io.BytesIO(data), f"images[{place}]", ("PNG", "JPEG"), limits.pixels
            )
            images.append(prepare(picture, classifier))
        except ImageError as error:
            raise Refused(422, str(error)) from error
    return np.stack(images)
