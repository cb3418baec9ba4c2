"""Pictures as the body of a request."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image

from evofool.config.http import PICTURE, PICTURES, HttpConfig, RequestConfig
from evofool.images import UInt8Images, encode_png, to_hwc


@dataclass(frozen=True)
class Question:
    """What is sent.

    Attributes:
        body: of the request.
        content_type: of the body.
        count: pictures in it.
    """

    body: bytes
    content_type: str
    count: int


def of_json(value: Any, count: int) -> Question:
    """A JSON body about `count` pictures."""
    return Question(json.dumps(value, separators=(",", ":")).encode(), "application/json", count)


def encoded(image: UInt8Images, config: HttpConfig) -> bytes:
    """One `image`, uint8 C x H x W, as a PNG or JPEG file."""
    if config.picture == "png":
        return encode_png(image)
    rows = to_hwc(image)
    buffer = io.BytesIO()
    picture = PIL.Image.fromarray(rows[..., 0] if rows.shape[-1] == 1 else rows)
    picture.save(buffer, "JPEG", quality=config.quality, subsampling=0)
    return buffer.getvalue()


def texts(images: UInt8Images, config: HttpConfig, uri: bool = False) -> list[str]:
    """Each of `images`, uint8 N x C x H x W, as a file in base64, perhaps with ``data:`` before."""
    head = f"data:image/{config.picture};base64," if uri else ""
    return [head + base64.b64encode(encoded(image, config)).decode() for image in images]


def custom(images: UInt8Images, config: HttpConfig, request: RequestConfig) -> Question:
    """`images`, uint8 N x C x H x W, as `RequestConfig` says."""
    kind = f"image/{config.picture}"
    if request.body == "raw":
        return Question(encoded(images[0], config), kind, 1)
    if request.body == "multipart":
        return _multipart([encoded(image, config) for image in images], kind, config, request)
    found = texts(images, config, request.text == "data_uri")
    return of_json(_filled(request.template, found), len(images))


def tensor(
    images: UInt8Images, datatype: str, layout: str, mean: Sequence[float], std: Sequence[float]
) -> tuple[list[int], list[float] | list[int]]:
    """Shape and numbers of a tensor of `images`, uint8 N x C x H x W.

    Args:
        images: see above.
        datatype: ``UINT8`` for levels, ``FP32`` for (x - mean) / std of x on [0, 1].
        layout: ``nchw`` or ``nhwc``.
        mean: one number, or one per channel.
        std: likewise.
    """
    values: Any = images
    if datatype == "FP32":
        column = (-1, 1, 1)
        values = images.astype(np.float32) / np.float32(255)
        values = (values - np.array(mean, np.float32).reshape(column)) / np.array(
            std, np.float32
        ).reshape(column)
    if layout == "nhwc":
        values = np.moveaxis(values, 1, -1)
    return list(values.shape), values.reshape(-1).tolist()


def _filled(value: Any, pictures: list[str]) -> Any:
    if value == PICTURES:
        return pictures
    if isinstance(value, str):
        return value.replace(PICTURE, pictures[0]) if PICTURE in value else value
    if isinstance(value, dict):
        return {key: _filled(inner, pictures) for key, inner in value.items()}
    if isinstance(value, list):
        if len(value) == 1 and len(pictures) > 1 and value[0] != PICTURES:
            return (
                [_filled(value[0], [picture]) for picture in pictures] if _holds(value) else value
            )
        return [_filled(inner, pictures) for inner in value]
    return value


def _holds(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds, value.values()))
    if isinstance(value, list):
        return any(map(_holds, value))
    return isinstance(value, str) and (PICTURE in value or value == PICTURES)


def _multipart(
    pictures: list[bytes], kind: str, config: HttpConfig, request: RequestConfig
) -> Question:
    import httpx

    files = [
        (request.field, (f"{index}.{config.picture}", picture, kind))
        for index, picture in enumerate(pictures)
    ]
    made = httpx.Request("POST", config.url, files=files, data=request.fields)
    return Question(made.read(), made.headers["content-type"], len(pictures))
