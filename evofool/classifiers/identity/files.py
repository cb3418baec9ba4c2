"""Hashing of files from outside."""

from __future__ import annotations

import hashlib
from pathlib import Path

from evofool.errors import ClassifierError
from evofool.files import open_file, reason


def sha256_file(path: Path) -> str:
    """Hex sha256 of the bytes of a regular file.

    Raises:
        ClassifierError: it cannot be read.
    """
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ClassifierError(f"{path}: cannot be read ({reason(error)})") from error
