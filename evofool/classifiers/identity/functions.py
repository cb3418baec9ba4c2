"""The identity of a predict function: its file, and the arrays, tensors and modules it holds."""

from __future__ import annotations

import hashlib
import inspect
import types
from pathlib import Path

from evofool.classifiers.base import Predict
from evofool.classifiers.identity.files import sha256_file
from evofool.classifiers.identity.reachable import weights_of


def digest_function(predict: Predict, source: tuple[Path, str] | None) -> str:
    """Of rule 2: the user's files, or the file of the function, and the weights it holds.

    Args:
        predict: images to outputs.
        source: path and sha256 of the user's file that defines it, if there is one.
    """
    file = None if source is not None else _file(predict, type(predict))
    if source is None and file is None:
        from evofool.classifiers.identity.digest import digest_code_of

        return digest_code_of(predict)
    code = source[1] if file is None and source is not None else sha256_file(file or Path())
    if not weights_of(predict):
        return code
    from evofool.classifiers.identity.digest import digest_weights_of

    return hashlib.sha256(f"{code} {digest_weights_of(predict)}".encode()).hexdigest()


def old_digest_function(predict: Predict) -> str:
    """Of rule 1: the file of the function, else its type and its compiled code."""
    file = _file(predict)
    if file is not None:
        return sha256_file(file)
    code = predict.__code__.co_code if isinstance(predict, types.FunctionType) else b""
    return hashlib.sha256(repr(type(predict)).encode() + code).hexdigest()


def _file(*things: object) -> Path | None:
    """The file of the first of `things` that has one."""
    for thing in things:
        try:
            file = inspect.getsourcefile(thing)  # type: ignore[arg-type]
        except TypeError:  # an object, or a class that is built in
            continue
        if file is not None and Path(file).is_file():
            return Path(file)
    return None
