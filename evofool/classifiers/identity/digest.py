"""The identity of a module: its weights, whatever else it holds, and its code.

It serves two purposes. A *digest* goes into run folders: the same victim must have it again
after an upgrade of Python or of a library, on another machine, and from another folder. A *cache
key* only has to change with everything that can change an answer.
"""

from __future__ import annotations

import platform
from importlib import metadata

from torch import nn

from evofool.classifiers.identity.encoder import Encoder, Identity
from evofool.classifiers.identity.reachable import (
    weights_of,
)

_LIBRARIES = ("torch", "torchvision", "timm", "transformers", "open_clip_torch", "numpy", "onnx")


def identity(module: nn.Module) -> Identity:
    """What a module is, by rule 2: all that it holds, and the source text of the user's classes.

    To be computed before the module runs, since many keep something of their last batch.
    """
    encoder = Encoder(exact=False)
    encoder.value(module, "")
    return encoder.identity()


def cache_key(module: nn.Module) -> str | None:
    """As `identity`, with compiled code, every attribute, and versions of Python and libraries.

    None if the module holds something that cannot be compared: then nothing may be cached for it.
    """
    encoder = Encoder(exact=True)
    encoder.write("python", platform.python_version())
    for name in _LIBRARIES:
        try:
            encoder.write(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    encoder.value(module, "")
    key = encoder.identity()
    return None if key.opaque else key.digest


def digest_weights_of(function: object) -> str | None:
    """Hex sha256 of the arrays, tensors and modules that a function holds, None if there are none.

    Numbers, texts and other objects do not count: a black box may hold a key or an address, which
    change while the service behind it stays the same.
    """
    held = weights_of(function)
    if not held:
        return None
    encoder = Encoder(exact=False)
    for place, value in held:
        encoder.value(value, place)
    return encoder.identity().digest


def digest_code_of(function: object) -> str:
    """Hex sha256 of the compiled code of a function that no file holds, and of its variables."""
    encoder = Encoder(exact=True)
    encoder.value(function, "")
    return encoder.identity().digest
